-- SPDX-License-Identifier: Apache-2.0
-- A result that came after its execution had been called lost: kept once, as an event. What is in the history stays as it
-- is. A build of the version before still runs on this: it drops such results.
SET LOCAL ROLE sallyport_owner;

CREATE TABLE sallyport.execution_late (
    execution_id uuid PRIMARY KEY,
    tenant_id    text NOT NULL,
    event_id     uuid NOT NULL
);
COMMENT ON TABLE sallyport.execution_late IS 'the late result of an execution that was called lost, written with its event';
CALL sallyport.isolate('sallyport.execution_late');
CALL sallyport.append_only('sallyport.execution_late');
GRANT SELECT ON sallyport.execution_late TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.execution_late TO sallyport_worker;

-- History is never changed and never deleted: what is true of it now stays true.
CREATE FUNCTION sallyport.execution_late_rules() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sallyport.execution x WHERE x.execution_id = NEW.execution_id
                      AND x.tenant_id = NEW.tenant_id AND x.state = 'lost') THEN
        RAISE EXCEPTION 'only an execution that was called lost has a late result' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER rules BEFORE INSERT ON sallyport.execution_late
    FOR EACH ROW EXECUTE FUNCTION sallyport.execution_late_rules();
ALTER TABLE sallyport.execution_late ENABLE ALWAYS TRIGGER rules;
