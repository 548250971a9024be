-- SPDX-License-Identifier: Apache-2.0
-- The Armory made whole: revocation that ends what waits, documents beside the bytes and what a tenant asks of
-- them, quotas, and what the inspection saw. A build of the version before still runs on all of this.
SET LOCAL ROLE sallyport_owner;

-- ---- cancelling ----

ALTER TABLE sallyport.execution_active
    ADD COLUMN cancel_reason text CHECK (cancel_reason IN ('cancel_requested', 'artifact_revoked')),
    ADD COLUMN cancel_event_id uuid,
    ADD CHECK ((cancel_requested_at IS NULL) = (cancel_reason IS NULL)),
    ADD CHECK (cancel_event_id IS NULL OR cancel_reason = 'cancel_requested');
COMMENT ON COLUMN sallyport.execution_active.cancel_reason IS 'why it is to end early; only a worker ends it';
COMMENT ON COLUMN sallyport.execution_active.cancel_event_id IS 'its own event of cancel_requested; a revocation says one for all';
ALTER TABLE sallyport.execution ADD COLUMN cancel_event_id uuid;
CREATE INDEX execution_active_cancel ON sallyport.execution_active (execution_id) WHERE cancel_requested_at IS NOT NULL;

-- The first word stands: a cancel is neither taken back nor given another reason.
CREATE FUNCTION sallyport.cancel_once() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.cancel_requested_at IS NOT NULL OR NEW.cancel_requested_at IS NULL THEN
        RAISE EXCEPTION 'a cancel is final' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER cancel_once BEFORE UPDATE OF cancel_requested_at, cancel_reason, cancel_event_id ON sallyport.execution_active
    FOR EACH ROW EXECUTE FUNCTION sallyport.cancel_once();
GRANT UPDATE (cancel_requested_at, cancel_reason, cancel_event_id) ON sallyport.execution_active TO sallyport_api;

CREATE OR REPLACE VIEW sallyport.execution_all WITH (security_invoker = true) AS
    SELECT execution_id, tenant_id, state, reason, exit_code, signal, submitted_at, started_at, finished_at, worker,
           task_id, operator_id, correlation_id, source, action, target_urn, tool_sha256, manifest_sha256,
           stdout_bytes, stderr_bytes, usage, token, accepted_event_id, started_event_id, finished_event_id, cancel_event_id
      FROM sallyport.execution
    UNION ALL
    SELECT execution_id, tenant_id, state, NULL, NULL, NULL, submitted_at, started_at, NULL, worker,
           task_id, operator_id, correlation_id, source, action, target_urn, tool_sha256, manifest_sha256,
           NULL, NULL, NULL, token, accepted_event_id, started_event_id, NULL, cancel_event_id
      FROM sallyport.execution_active;

-- The reason of a revocation is as long as the comment of an approval may be.
ALTER TABLE sallyport.artifact DROP CONSTRAINT artifact_reason_check,
    ADD CONSTRAINT artifact_reason_check CHECK (octet_length(reason) <= 4096);

-- ---- documents ----

ALTER TABLE sallyport.tenant
    ADD COLUMN require_sbom   boolean NOT NULL DEFAULT false,
    ADD COLUMN require_report boolean NOT NULL DEFAULT false,
    ADD COLUMN max_severity   smallint CHECK (max_severity BETWEEN 0 AND 5);
COMMENT ON COLUMN sallyport.tenant.max_severity IS
    'worst finding with which approvals count, of a report that must be there then: 0 none, 1 negligible, 2 low, 3 medium, 4 high, 5 critical; NULL: any';

ALTER TABLE sallyport.artifact
    ADD COLUMN round           integer NOT NULL DEFAULT 0 CHECK (round >= 0),
    ADD COLUMN sbom_sha256     bytea CHECK (octet_length(sbom_sha256) = 32),
    ADD COLUMN report_sha256   bytea CHECK (octet_length(report_sha256) = 32),
    ADD COLUMN report_severity smallint CHECK (report_severity BETWEEN 0 AND 5),
    ADD CHECK ((report_sha256 IS NULL) = (report_severity IS NULL));
COMMENT ON COLUMN sallyport.artifact.round IS 'counts the documents attached so far; approvals of an earlier round do not count';
COMMENT ON COLUMN sallyport.artifact.report_severity IS 'the worst finding of the present report; what is of unknown severity counts as 5';

CREATE TABLE sallyport.artifact_document (
    tenant_id       text NOT NULL,
    sha256          bytea NOT NULL,
    round           integer NOT NULL CHECK (round BETWEEN 1 AND 1000),
    kind            text NOT NULL CHECK (kind IN ('sbom', 'report')),
    document_sha256 bytea NOT NULL,
    format          text NOT NULL CHECK (octet_length(format) BETWEEN 1 AND 64),
    summary         text NOT NULL CHECK (octet_length(summary) <= 8192),
    body            bytea NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 4194304),
    attached_by     text NOT NULL,
    attached_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256, round),
    FOREIGN KEY (tenant_id, sha256) REFERENCES sallyport.artifact,
    CHECK (document_sha256 = sha256(body))
);
COMMENT ON TABLE sallyport.artifact_document IS 'SBOMs and scan reports as they were attached; the artifact names the present ones';
COMMENT ON COLUMN sallyport.artifact_document.summary IS 'JSON, computed from body and nothing else';
CALL sallyport.isolate('sallyport.artifact_document');
CALL sallyport.append_only('sallyport.artifact_document');
GRANT SELECT, INSERT (tenant_id, sha256, round, kind, document_sha256, format, summary, body, attached_by)
    ON sallyport.artifact_document TO sallyport_api;
GRANT SELECT ON sallyport.artifact_document TO sallyport_read;
GRANT UPDATE (round, sbom_sha256, report_sha256, report_severity) ON sallyport.artifact TO sallyport_api;

-- A document is attached as one: its row, and the artifact's next round.
CREATE FUNCTION sallyport.artifact_documents() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.round <> OLD.round + 1 OR OLD.state NOT IN ('inspecting', 'pending') OR NOT EXISTS (
        SELECT FROM sallyport.artifact_document d
         WHERE d.tenant_id = NEW.tenant_id AND d.sha256 = NEW.sha256 AND d.round = NEW.round
           AND CASE d.kind
               WHEN 'sbom' THEN d.document_sha256 = NEW.sbom_sha256
                    AND (NEW.report_sha256, NEW.report_severity) IS NOT DISTINCT FROM (OLD.report_sha256, OLD.report_severity)
               ELSE d.document_sha256 = NEW.report_sha256 AND NEW.sbom_sha256 IS NOT DISTINCT FROM OLD.sbom_sha256
               END)
    THEN
        RAISE EXCEPTION 'a round of an artifact needs its document' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER artifact_documents BEFORE UPDATE OF round, sbom_sha256, report_sha256, report_severity ON sallyport.artifact
    FOR EACH ROW EXECUTE FUNCTION sallyport.artifact_documents();

-- An approval is of the round it was given in; one principal may approve again in the next.
ALTER TABLE sallyport.artifact_approval ADD COLUMN round integer NOT NULL DEFAULT 0;
ALTER TABLE sallyport.artifact_approval DROP CONSTRAINT artifact_approval_pkey;
ALTER TABLE sallyport.artifact_approval ADD PRIMARY KEY (tenant_id, sha256, descriptor_sha256, round, principal);
CREATE FUNCTION sallyport.artifact_approval_round() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.round INTO NEW.round FROM sallyport.artifact a
     WHERE a.tenant_id = NEW.tenant_id AND a.sha256 = NEW.sha256 AND a.state = 'pending';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only an artifact that is pending is approved' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER artifact_approval_round BEFORE INSERT ON sallyport.artifact_approval
    FOR EACH ROW EXECUTE FUNCTION sallyport.artifact_approval_round();

-- What of its tenant's policy keeps an artifact from counting as approved; NULL: nothing.
CREATE FUNCTION sallyport.artifact_lacks(wanted_tenant text, wanted_sha256 bytea) RETURNS text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN t.require_sbom AND a.sbom_sha256 IS NULL THEN 'sbom'
                WHEN (t.require_report OR t.max_severity IS NOT NULL) AND a.report_sha256 IS NULL THEN 'report'
                WHEN a.report_severity > t.max_severity THEN 'severity'
           END
      FROM sallyport.artifact a JOIN sallyport.tenant t USING (tenant_id)
     WHERE a.tenant_id = wanted_tenant AND a.sha256 = wanted_sha256;
END;
GRANT EXECUTE ON FUNCTION sallyport.artifact_lacks(text, bytea) TO sallyport_api, sallyport_worker, sallyport_read;

CREATE OR REPLACE FUNCTION sallyport.artifact_approvals(wanted_tenant text, wanted_sha256 bytea) RETURNS bigint
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT count(DISTINCT p.principal)
      FROM sallyport.artifact a
      JOIN sallyport.artifact_approval p USING (tenant_id, sha256, descriptor_sha256, round)
     WHERE a.tenant_id = wanted_tenant AND a.sha256 = wanted_sha256
       AND p.principal <> a.ingested_by
       AND (p.expires_at IS NULL OR p.expires_at > now())
       AND sallyport.artifact_lacks(wanted_tenant, wanted_sha256) IS NULL;
END;

-- ---- what the inspection saw ----

ALTER TABLE sallyport.artifact ADD COLUMN image text CHECK (octet_length(image) <= 65536);
COMMENT ON COLUMN sallyport.artifact.image IS
    'JSON: how an oci image says it starts, shown to approvers; the worker reads it from the bytes again';
ALTER TABLE sallyport.artifact ADD CHECK (image IS NULL OR kind = 'oci');
GRANT UPDATE (image) ON sallyport.artifact TO sallyport_worker;

-- An inspection is its worker's for as long as that lives, a day at most (inspect_until), for unpacking has no other end
-- that holds everywhere; one that failed for no fault of the artifact is nobody's, and tried again from inspect_until on.
ALTER TABLE sallyport.artifact ADD COLUMN inspect_worker uuid;
COMMENT ON COLUMN sallyport.artifact.inspect_worker IS 'the worker that inspects it, if its lease holds';
GRANT UPDATE (inspect_worker) ON sallyport.artifact TO sallyport_worker;
CREATE TABLE sallyport.inspection_turn (
    tenant_id text PRIMARY KEY REFERENCES sallyport.tenant,
    taken_at  timestamptz NOT NULL
);
COMMENT ON TABLE sallyport.inspection_turn IS
    'when a tenant''s artifact was last taken to be inspected: whose turn is longest ago is next';
CALL sallyport.isolate('sallyport.inspection_turn');
GRANT SELECT, INSERT, UPDATE (taken_at) ON sallyport.inspection_turn TO sallyport_worker;

-- What approvers were shown stays what it was.
CREATE FUNCTION sallyport.artifact_image() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'inspecting' AND NEW.image IS DISTINCT FROM OLD.image THEN
        RAISE EXCEPTION 'how an image starts is said once, by its inspection' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER artifact_image BEFORE UPDATE OF image ON sallyport.artifact
    FOR EACH ROW EXECUTE FUNCTION sallyport.artifact_image();

-- The worker says how an inspection ended; nobody else may.
DROP POLICY api_writes ON sallyport.event;
CREATE POLICY api_writes ON sallyport.event FOR INSERT TO sallyport_api
    WITH CHECK (tenant_id = ANY (sallyport.tenants()) AND
                type NOT IN ('io.sallyport.execution.started.v1', 'io.sallyport.execution.finished.v1',
                             'io.sallyport.artifact.inspected.v1'));
DROP POLICY worker_writes ON sallyport.event;
CREATE POLICY worker_writes ON sallyport.event FOR INSERT TO sallyport_worker
    WITH CHECK (type IN ('io.sallyport.execution.started.v1', 'io.sallyport.execution.finished.v1',
                         'io.sallyport.artifact.inspected.v1'));

-- ---- quotas ----

ALTER TABLE sallyport.tenant
    ADD COLUMN input_quota_bytes    bigint NOT NULL DEFAULT 10737418240 CHECK (input_quota_bytes >= 0),
    ADD COLUMN artifact_quota_bytes bigint NOT NULL DEFAULT 107374182400 CHECK (artifact_quota_bytes >= 0);

CREATE TABLE sallyport.tenant_usage (
    tenant_id      text PRIMARY KEY REFERENCES sallyport.tenant,
    input_bytes    bigint NOT NULL DEFAULT 0 CHECK (input_bytes >= 0),
    artifact_bytes bigint NOT NULL DEFAULT 0 CHECK (artifact_bytes >= 0),
    input_count    bigint NOT NULL DEFAULT 0 CHECK (input_count >= 0),
    artifact_count bigint NOT NULL DEFAULT 0 CHECK (artifact_count >= 0)
);
COMMENT ON TABLE sallyport.tenant_usage IS 'what a tenant stores; kept by triggers, which also hold its quotas';
CALL sallyport.isolate('sallyport.tenant_usage');
GRANT SELECT ON sallyport.tenant_usage TO sallyport_api, sallyport_read;
INSERT INTO sallyport.tenant_usage (tenant_id, input_bytes, artifact_bytes, input_count, artifact_count)
SELECT t.tenant_id, (SELECT coalesce(sum(size), 0) FROM sallyport.input i WHERE i.tenant_id = t.tenant_id),
       (SELECT coalesce(sum(size), 0) FROM sallyport.artifact a WHERE a.tenant_id = t.tenant_id),
       (SELECT count(*) FROM sallyport.input i WHERE i.tenant_id = t.tenant_id),
       (SELECT count(*) FROM sallyport.artifact a WHERE a.tenant_id = t.tenant_id)
  FROM sallyport.tenant t;

-- SQLSTATE SP001: a quota would be passed; of bytes, the tenant's, or of things, for a row costs more than the byte it may
-- be of: a million inputs, a hundred thousand artifacts.
CREATE FUNCTION sallyport.usage_count() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
DECLARE
    inputs boolean := TG_TABLE_NAME = 'input';
    most   bigint := CASE WHEN TG_TABLE_NAME = 'input' THEN 1000000 ELSE 100000 END;
    things bigint;
    stored bigint;
    quota  bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE sallyport.tenant_usage u
           SET input_bytes = u.input_bytes - CASE WHEN inputs THEN OLD.size ELSE 0 END,
               artifact_bytes = u.artifact_bytes - CASE WHEN inputs THEN 0 ELSE OLD.size END,
               input_count = u.input_count - CASE WHEN inputs THEN 1 ELSE 0 END,
               artifact_count = u.artifact_count - CASE WHEN inputs THEN 0 ELSE 1 END
         WHERE u.tenant_id = OLD.tenant_id;
        RETURN NULL;
    END IF;
    INSERT INTO sallyport.tenant_usage AS u (tenant_id, input_bytes, artifact_bytes, input_count, artifact_count)
    VALUES (NEW.tenant_id, CASE WHEN inputs THEN NEW.size ELSE 0 END, CASE WHEN inputs THEN 0 ELSE NEW.size END,
            CASE WHEN inputs THEN 1 ELSE 0 END, CASE WHEN inputs THEN 0 ELSE 1 END)
    ON CONFLICT (tenant_id) DO UPDATE
       SET input_bytes = u.input_bytes + excluded.input_bytes,
           artifact_bytes = u.artifact_bytes + excluded.artifact_bytes,
           input_count = u.input_count + excluded.input_count,
           artifact_count = u.artifact_count + excluded.artifact_count
    RETURNING CASE WHEN inputs THEN u.input_bytes ELSE u.artifact_bytes END,
              CASE WHEN inputs THEN u.input_count ELSE u.artifact_count END INTO STRICT stored, things;
    IF things > most THEN
        RAISE EXCEPTION 'the tenant has % %s, the most', most, TG_TABLE_NAME USING ERRCODE = 'SP001';
    END IF;
    SELECT CASE WHEN inputs THEN t.input_quota_bytes ELSE t.artifact_quota_bytes END INTO STRICT quota
      FROM sallyport.tenant t WHERE t.tenant_id = NEW.tenant_id;
    IF stored > quota THEN
        RAISE EXCEPTION 'the tenant''s quota of % bytes of %s would be passed: % are stored', quota, TG_TABLE_NAME, stored - NEW.size
            USING ERRCODE = 'SP001';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER usage_count AFTER INSERT OR DELETE ON sallyport.input
    FOR EACH ROW EXECUTE FUNCTION sallyport.usage_count();
CREATE TRIGGER usage_count AFTER INSERT OR DELETE ON sallyport.artifact
    FOR EACH ROW EXECUTE FUNCTION sallyport.usage_count();

-- A tenant's live keys and API keys: as many as are listed. Its row is locked, so that they are counted one by one.
CREATE FUNCTION sallyport.live_keys_count() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
DECLARE
    live bigint;
BEGIN
    PERFORM FROM sallyport.tenant t WHERE t.tenant_id = NEW.tenant_id FOR NO KEY UPDATE;
    IF TG_TABLE_NAME = 'api_key' THEN
        SELECT count(*) INTO STRICT live FROM sallyport.api_key k
         WHERE k.tenant_id = NEW.tenant_id AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now());
    ELSE
        SELECT count(*) INTO STRICT live FROM sallyport.verification_key k
         WHERE k.tenant_id = NEW.tenant_id AND k.revoked_at IS NULL AND (k.not_after IS NULL OR k.not_after > now());
    END IF;
    IF live > 1000 THEN
        RAISE EXCEPTION 'the tenant has 1000 live keys of this sort, the most' USING ERRCODE = 'SP001';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER live_keys_count AFTER INSERT ON sallyport.api_key
    FOR EACH ROW WHEN (NEW.tenant_id IS NOT NULL) EXECUTE FUNCTION sallyport.live_keys_count();
CREATE TRIGGER live_keys_count AFTER INSERT ON sallyport.verification_key
    FOR EACH ROW EXECUTE FUNCTION sallyport.live_keys_count();

-- A PUT of an input that is there renews it; what has expired a day ago goes, with its bytes.
GRANT UPDATE (expires_at) ON sallyport.input TO sallyport_api;
CREATE INDEX input_expired ON sallyport.input (expires_at) WHERE expires_at IS NOT NULL;
CREATE FUNCTION sallyport.inputs_sweep() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = sallyport, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM sallyport.input WHERE (tenant_id, sha256) IN (
            SELECT tenant_id, sha256 FROM sallyport.input
             WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)
        RETURNING blob_id),
    marked AS (
        UPDATE sallyport.blob b SET completed_at = NULL, touched_at = '-infinity' FROM gone
         WHERE b.blob_id = gone.blob_id RETURNING 1)
    SELECT count(*) FROM marked;
END;
GRANT EXECUTE ON FUNCTION sallyport.inputs_sweep() TO sallyport_api;
