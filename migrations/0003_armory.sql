-- SPDX-License-Identifier: Apache-2.0
-- The Armory: bytes in chunks, artifacts with their descriptors and approvals, and job inputs.
SET LOCAL ROLE sallyport_owner;

CREATE TABLE sallyport.blob (
    blob_id      uuid PRIMARY KEY,
    tenant_id    text NOT NULL REFERENCES sallyport.tenant,
    created_at   timestamptz NOT NULL DEFAULT now(),
    touched_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz
);
COMMENT ON TABLE sallyport.blob IS 'one upload; incomplete ones that nobody touches are swept';
CREATE INDEX blob_incomplete ON sallyport.blob (touched_at) WHERE completed_at IS NULL;
CALL sallyport.isolate('sallyport.blob');
GRANT SELECT, INSERT, DELETE, UPDATE (touched_at, completed_at) ON sallyport.blob TO sallyport_api;
GRANT SELECT ON sallyport.blob TO sallyport_worker;

CREATE TABLE sallyport.blob_chunk (
    blob_id   uuid NOT NULL REFERENCES sallyport.blob ON DELETE CASCADE,
    n         integer NOT NULL CHECK (n >= 0),
    tenant_id text NOT NULL,
    data      bytea NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 1048576),
    PRIMARY KEY (blob_id, n)
);
ALTER TABLE sallyport.blob_chunk ALTER COLUMN data SET STORAGE EXTERNAL;
CALL sallyport.isolate('sallyport.blob_chunk');
GRANT SELECT, INSERT ON sallyport.blob_chunk TO sallyport_api;
GRANT SELECT ON sallyport.blob_chunk TO sallyport_worker;

CREATE TABLE sallyport.artifact (
    tenant_id         text NOT NULL REFERENCES sallyport.tenant,
    sha256            bytea NOT NULL CHECK (octet_length(sha256) = 32),
    blob_id           uuid NOT NULL REFERENCES sallyport.blob,
    size              bigint NOT NULL CHECK (size > 0),
    kind              text NOT NULL CHECK (kind IN ('binary', 'rootfs', 'oci')),
    name              text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 128),
    version           text NOT NULL CHECK (octet_length(version) BETWEEN 1 AND 128),
    descriptor        bytea NOT NULL CHECK (octet_length(descriptor) <= 32768),
    descriptor_sha256 bytea NOT NULL CHECK (octet_length(descriptor_sha256) = 32),
    state             text NOT NULL DEFAULT 'inspecting'
                      CHECK (state IN ('inspecting', 'pending', 'rejected', 'revoked')),
    reason            text CHECK (octet_length(reason) <= 1024),
    inspect_until     timestamptz,
    ingested_by       text NOT NULL,
    ingested_at       timestamptz NOT NULL DEFAULT now(),
    revoked_by        text,
    revoked_at        timestamptz,
    PRIMARY KEY (tenant_id, sha256),
    CHECK ((state = 'revoked') = (revoked_at IS NOT NULL))
);
COMMENT ON COLUMN sallyport.artifact.descriptor IS 'exact JSON bytes; fixed at ingest, never changed';
COMMENT ON COLUMN sallyport.artifact.descriptor_sha256 IS 'covers digest and descriptor; what an approval names';
COMMENT ON COLUMN sallyport.artifact.state IS 'approved is not a state: it is computed from live approvals at each check';
COMMENT ON COLUMN sallyport.artifact.inspect_until IS 'a worker inspects it until then';
CREATE INDEX artifact_inspecting ON sallyport.artifact (ingested_at) WHERE state = 'inspecting';
CALL sallyport.isolate('sallyport.artifact');
-- Every artifact begins in inspection: the api cannot name another state, nor a lease of one.
GRANT SELECT, INSERT (tenant_id, sha256, blob_id, size, kind, name, version, descriptor, descriptor_sha256, ingested_by),
      UPDATE (state, revoked_by, revoked_at, reason) ON sallyport.artifact TO sallyport_api;
GRANT SELECT, UPDATE (state, reason, inspect_until) ON sallyport.artifact TO sallyport_worker;
GRANT SELECT ON sallyport.artifact TO sallyport_read;

-- What an artifact is never changes, and its state only moves forward.
CREATE FUNCTION sallyport.artifact_moves() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.tenant_id, NEW.sha256, NEW.blob_id, NEW.size, NEW.kind, NEW.descriptor, NEW.descriptor_sha256, NEW.ingested_by)
       IS DISTINCT FROM
       (OLD.tenant_id, OLD.sha256, OLD.blob_id, OLD.size, OLD.kind, OLD.descriptor, OLD.descriptor_sha256, OLD.ingested_by)
    THEN
        RAISE EXCEPTION 'an artifact''s identity is fixed at ingest' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> NEW.state AND NOT (
        (OLD.state = 'inspecting' AND NEW.state IN ('pending', 'rejected', 'revoked')) OR
        (OLD.state = 'pending' AND NEW.state = 'revoked'))
    THEN
        RAISE EXCEPTION 'an artifact cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF current_user = 'sallyport_worker' AND OLD.state <> NEW.state AND NEW.state = 'revoked' THEN
        RAISE EXCEPTION 'a worker cannot revoke' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF current_user = 'sallyport_api' AND OLD.state <> NEW.state AND NEW.state <> 'revoked' THEN
        RAISE EXCEPTION 'the api cannot inspect' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER artifact_moves BEFORE UPDATE ON sallyport.artifact
    FOR EACH ROW EXECUTE FUNCTION sallyport.artifact_moves();

CREATE TABLE sallyport.artifact_approval (
    tenant_id         text NOT NULL,
    sha256            bytea NOT NULL,
    descriptor_sha256 bytea NOT NULL CHECK (octet_length(descriptor_sha256) = 32),
    principal         text NOT NULL,
    api_key_id        text NOT NULL REFERENCES sallyport.api_key,
    comment           text NOT NULL CHECK (octet_length(comment) BETWEEN 1 AND 4096),
    approved_at       timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz,
    PRIMARY KEY (tenant_id, sha256, descriptor_sha256, principal),
    FOREIGN KEY (tenant_id, sha256) REFERENCES sallyport.artifact
);
CALL sallyport.isolate('sallyport.artifact_approval');
CALL sallyport.append_only('sallyport.artifact_approval');
GRANT SELECT, INSERT ON sallyport.artifact_approval TO sallyport_api;
GRANT SELECT ON sallyport.artifact_approval TO sallyport_worker, sallyport_read;

-- The four-eyes rule where nobody can step round it.
CREATE FUNCTION sallyport.artifact_approval_rules() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM sallyport.artifact a
                WHERE a.tenant_id = NEW.tenant_id AND a.sha256 = NEW.sha256 AND a.ingested_by = NEW.principal) THEN
        RAISE EXCEPTION 'the ingester cannot approve' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM sallyport.api_key k
                    WHERE k.api_key_id = NEW.api_key_id AND k.tenant_id = NEW.tenant_id
                      AND k.principal = NEW.principal AND 'approver' = ANY (k.roles)
                      AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) THEN
        RAISE EXCEPTION 'a live approver''s key of this tenant is needed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER artifact_approval_rules BEFORE INSERT ON sallyport.artifact_approval
    FOR EACH ROW EXECUTE FUNCTION sallyport.artifact_approval_rules();

-- Live approvals of the present descriptor. A function, so that api and worker count alike.
CREATE FUNCTION sallyport.artifact_approvals(wanted_tenant text, wanted_sha256 bytea) RETURNS bigint
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(DISTINCT p.principal)
      FROM sallyport.artifact a
      JOIN sallyport.artifact_approval p USING (tenant_id, sha256, descriptor_sha256)
     WHERE a.tenant_id = wanted_tenant AND a.sha256 = wanted_sha256
       AND p.principal <> a.ingested_by
       AND (p.expires_at IS NULL OR p.expires_at > now());
END;
GRANT EXECUTE ON FUNCTION sallyport.artifact_approvals(text, bytea) TO sallyport_api, sallyport_worker, sallyport_read;

CREATE TABLE sallyport.input (
    tenant_id  text NOT NULL REFERENCES sallyport.tenant,
    sha256     bytea NOT NULL CHECK (octet_length(sha256) = 32),
    blob_id    uuid NOT NULL REFERENCES sallyport.blob,
    size       bigint NOT NULL CHECK (size >= 0),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, sha256)
);
CALL sallyport.isolate('sallyport.input');
GRANT SELECT, INSERT ON sallyport.input TO sallyport_api;
GRANT SELECT ON sallyport.input TO sallyport_worker, sallyport_read;
