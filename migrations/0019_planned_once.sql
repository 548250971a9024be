-- SPDX-License-Identifier: Apache-2.0
-- What a job costs the database. A build of the version before still runs on this.
--
-- What every submission and every start asks is planned once a session: a function in SQL that reads tables is read and
-- planned anew in every statement that calls it, which took ten times as long as its answer.
SET LOCAL ROLE sallyport_owner;

CREATE OR REPLACE FUNCTION sallyport.artifact_lacks(wanted_tenant text, wanted_sha256 bytea) RETURNS text
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT CASE WHEN t.require_sbom AND a.sbom_sha256 IS NULL THEN 'sbom'
                        WHEN (t.require_report OR t.max_severity IS NOT NULL) AND a.report_sha256 IS NULL THEN 'report'
                        WHEN a.report_severity > t.max_severity THEN 'severity'
                   END
              FROM sallyport.artifact a JOIN sallyport.tenant t USING (tenant_id)
             WHERE a.tenant_id = wanted_tenant AND a.sha256 = wanted_sha256);
END
$$;

-- Live approvals of the present descriptor, by different people, and none by whoever ingested it.
CREATE OR REPLACE FUNCTION sallyport.artifact_approvals(wanted_tenant text, wanted_sha256 bytea) RETURNS bigint
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF sallyport.artifact_lacks(wanted_tenant, wanted_sha256) IS NOT NULL THEN
        RETURN 0;
    END IF;
    RETURN (SELECT count(DISTINCT p.principal)
              FROM sallyport.artifact a
              JOIN sallyport.artifact_approval p USING (tenant_id, sha256, descriptor_sha256, round)
             WHERE a.tenant_id = wanted_tenant AND a.sha256 = wanted_sha256
               AND p.principal <> a.ingested_by
               AND (p.expires_at IS NULL OR p.expires_at > now()));
END
$$;

CREATE OR REPLACE FUNCTION sallyport.api_keys_live(wanted text[])
    RETURNS TABLE (api_key_id text, tenant_id text, submits boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT k.api_key_id, k.tenant_id, 'submitter' = ANY (k.roles) FROM sallyport.api_key k
     WHERE k.api_key_id = ANY (wanted) AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now());
END
$$;

CREATE OR REPLACE FUNCTION sallyport.api_key_find(wanted text)
    RETURNS TABLE (tenant_id text, principal text, roles text, secret_hash bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT k.tenant_id, k.principal, array_to_string(k.roles, ','), k.secret_hash
      FROM sallyport.api_key k
     WHERE k.api_key_id = wanted AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now());
END
$$;

-- A finished event without much output has some 3 KB: it stays in its row as it is, where 2 KB were the most before, and
-- it was compressed, in vain, and put aside. Larger ones are compressed by LZ4 where the server has it.
ALTER TABLE sallyport.event SET (toast_tuple_target = 4080);
DO $$
BEGIN
    ALTER TABLE sallyport.event ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;

-- A row has its token and some 1.7 KB: room for the versions of half of them in their own page, or each start adds to
-- the indexes.
ALTER TABLE sallyport.execution_active SET (fillfactor = 50);
