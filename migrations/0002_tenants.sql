-- SPDX-License-Identifier: Apache-2.0
-- Tenants, their callers (API keys) and the keys their manifests are signed with.
SET LOCAL ROLE sallyport_owner;

CREATE TABLE sallyport.tenant (
    tenant_id  text PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    quorum     integer NOT NULL DEFAULT 2 CHECK (quorum BETWEEN 1 AND 16),
    allow_hmac boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN sallyport.tenant.quorum IS 'how many different principals must approve an artifact';
COMMENT ON COLUMN sallyport.tenant.allow_hmac IS 'whether manifests may be signed with a shared secret';
CALL sallyport.isolate('sallyport.tenant');
GRANT SELECT ON sallyport.tenant TO sallyport_api, sallyport_worker, sallyport_read;

CREATE TABLE sallyport.api_key (
    api_key_id  text PRIMARY KEY CHECK (api_key_id ~ '^[0-9a-f]{16}$'),
    tenant_id   text REFERENCES sallyport.tenant,
    principal   text NOT NULL CHECK (principal ~ '^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$'),
    roles       text[] NOT NULL CHECK (cardinality(roles) > 0 AND
                    roles <@ ARRAY['viewer', 'submitter', 'publisher', 'approver', 'auditor', 'admin']),
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);
COMMENT ON COLUMN sallyport.api_key.tenant_id IS 'NULL for a key of the platform, which names its tenant by header';
COMMENT ON COLUMN sallyport.api_key.principal IS 'the person or machine behind the key; quorums count principals';
COMMENT ON COLUMN sallyport.api_key.secret_hash IS 'SHA-256 of the 32 secret bytes; the secret itself is never stored';
CREATE INDEX api_key_tenant ON sallyport.api_key (tenant_id);
CALL sallyport.isolate('sallyport.api_key');
-- A revocation is final, whoever asks otherwise.
CREATE FUNCTION sallyport.revoked_once() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL THEN
        RAISE EXCEPTION 'a revocation is final' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER revoked_once BEFORE UPDATE ON sallyport.api_key
    FOR EACH ROW EXECUTE FUNCTION sallyport.revoked_once();
GRANT SELECT, INSERT (api_key_id, tenant_id, principal, roles, secret_hash, created_by, created_at, expires_at),
      UPDATE (revoked_at) ON sallyport.api_key TO sallyport_api;
GRANT SELECT ON sallyport.api_key TO sallyport_worker;

-- Finds a key before it is known whose it is: the one read that no tenant bounds.
CREATE FUNCTION sallyport.api_key_find(wanted text)
    RETURNS TABLE (tenant_id text, principal text, roles text, secret_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp
BEGIN ATOMIC
    SELECT k.tenant_id, k.principal, array_to_string(k.roles, ','), k.secret_hash
      FROM sallyport.api_key k
     WHERE k.api_key_id = wanted AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now());
END;
GRANT EXECUTE ON FUNCTION sallyport.api_key_find(text) TO sallyport_api;

-- The deciding transaction asks again, under the lock a revocation takes. A key of the platform has no
-- tenant, and acts for each.
CREATE FUNCTION sallyport.api_keys_live(wanted text[])
    RETURNS TABLE (api_key_id text, tenant_id text, submits boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp
BEGIN ATOMIC
    SELECT k.api_key_id, k.tenant_id, 'submitter' = ANY (k.roles) FROM sallyport.api_key k
     WHERE k.api_key_id = ANY (wanted) AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now());
END;
GRANT EXECUTE ON FUNCTION sallyport.api_keys_live(text[]) TO sallyport_api, sallyport_worker;

CREATE TABLE sallyport.verification_key (
    tenant_id      text NOT NULL REFERENCES sallyport.tenant,
    kid            text NOT NULL CHECK (kid ~ '^[!-~]{1,128}$'),
    alg            text NOT NULL CHECK (alg IN ('HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'EdDSA')),
    public_pem     text CHECK (octet_length(public_pem) <= 16384),
    wrapped_secret bytea CHECK (octet_length(wrapped_secret) <= 2048),
    not_before     timestamptz,
    not_after      timestamptz,
    created_by     text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    revoked_at     timestamptz,
    PRIMARY KEY (tenant_id, kid),
    CHECK ((alg LIKE 'HS%') = (wrapped_secret IS NOT NULL)),
    CHECK ((alg LIKE 'HS%') = (public_pem IS NULL)),
    CHECK (not_before IS NULL OR not_after IS NULL OR not_before < not_after)
);
COMMENT ON COLUMN sallyport.verification_key.alg IS 'the one algorithm this key verifies; a token''s word never chooses it';
COMMENT ON COLUMN sallyport.verification_key.wrapped_secret IS 'HMAC secret, AES-256-GCM under the master key, bound to tenant and kid';
CALL sallyport.isolate('sallyport.verification_key');
CREATE TRIGGER revoked_once BEFORE UPDATE ON sallyport.verification_key
    FOR EACH ROW EXECUTE FUNCTION sallyport.revoked_once();
GRANT SELECT, INSERT (tenant_id, kid, alg, public_pem, wrapped_secret, not_before, not_after, created_by, created_at),
      UPDATE (revoked_at) ON sallyport.verification_key TO sallyport_api;
GRANT SELECT ON sallyport.verification_key TO sallyport_worker;
GRANT SELECT (tenant_id, kid, alg, public_pem, not_before, not_after, created_at, revoked_at)
    ON sallyport.verification_key TO sallyport_read;
