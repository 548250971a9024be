-- SPDX-License-Identifier: Apache-2.0
-- Roles of least privilege, one a process. The migrating role must be a superuser, or have CREATEROLE
-- and own the database. Passwords and host rules are the operator's.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['sallyport_api', 'sallyport_worker', 'sallyport_ledger', 'sallyport_read'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', role_name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sallyport_owner') THEN
        CREATE ROLE sallyport_owner NOLOGIN;
    END IF;
    EXECUTE format('GRANT sallyport_owner TO %I', current_user);
END
$$;

COMMENT ON ROLE sallyport_owner IS 'owns every Sallyport object; used by migrations only';
COMMENT ON ROLE sallyport_api IS 'sallyportd api: admits jobs, answers callers';
COMMENT ON ROLE sallyport_worker IS 'sallyportd worker: claims, starts and finishes executions';
COMMENT ON ROLE sallyport_ledger IS 'sallyportd ledger: orders events, signs checkpoints';
COMMENT ON ROLE sallyport_read IS 'dashboards and auditors: reads, within the tenants its session names';

REVOKE ALL ON SCHEMA sallyport FROM PUBLIC;
ALTER SCHEMA sallyport OWNER TO sallyport_owner;
ALTER TABLE sallyport.schema_migration OWNER TO sallyport_owner;
GRANT USAGE ON SCHEMA sallyport TO sallyport_api, sallyport_worker, sallyport_ledger, sallyport_read;
GRANT SELECT ON sallyport.schema_migration TO sallyport_api, sallyport_worker, sallyport_ledger, sallyport_read;

SET LOCAL ROLE sallyport_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA sallyport REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- The tenants this transaction acts for: set locally, per transaction; unset means none.
CREATE FUNCTION sallyport.tenants() RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('sallyport.tenants', true), '')::text[];
GRANT EXECUTE ON FUNCTION sallyport.tenants() TO sallyport_api, sallyport_worker, sallyport_ledger, sallyport_read;

-- Keeps a table's tenants apart: the api and readers see and write rows of the named tenants only;
-- the worker serves every tenant; the owner (definer functions) is not bound.
CREATE PROCEDURE sallyport.isolate(relation regclass)
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format('CREATE POLICY tenants ON %s TO sallyport_api, sallyport_read '
                   'USING (tenant_id = ANY (sallyport.tenants())) '
                   'WITH CHECK (tenant_id = ANY (sallyport.tenants()))', relation);
    EXECUTE format('CREATE POLICY worker ON %s TO sallyport_worker USING (true) WITH CHECK (true)', relation);
    EXECUTE format('CREATE POLICY owner ON %s TO sallyport_owner USING (true) WITH CHECK (true)', relation);
END
$$;

CREATE FUNCTION sallyport.refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table %.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Refuses UPDATE, DELETE and TRUNCATE for everyone who cannot disable triggers, replication roles included.
CREATE PROCEDURE sallyport.append_only(relation regclass)
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION sallyport.refuse_change()', relation);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', relation);
END
$$;
