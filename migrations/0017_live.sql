-- SPDX-License-Identifier: Apache-2.0
-- What a running tool writes can be read while it runs. A chunk of output is named by where it begins, so that a reader
-- finds any offset by the primary key, and whoever stores goes on where the last chunk ends. A build of the version
-- before still runs on this: it counts its chunks, all of 1 MiB but the last, and is understood.
SET LOCAL ROLE sallyport_owner;

UPDATE sallyport.execution_output SET n = n * 1048576 WHERE n > 0;
COMMENT ON COLUMN sallyport.execution_output.n IS 'the offset of its first byte in the stream';

-- A stream is stored from its beginning, without holes, and nothing twice. (Its writers take turns by its row in
-- execution_queue.)
CREATE FUNCTION sallyport.output_goes_on() RETURNS trigger
    LANGUAGE plpgsql SET search_path = sallyport, pg_temp AS $$
DECLARE
    stored bigint;
BEGIN
    SELECT o.n + octet_length(o.data) INTO stored FROM execution_output o
     WHERE o.execution_id = NEW.execution_id AND o.stream = NEW.stream ORDER BY o.n DESC LIMIT 1;
    stored := coalesce(stored, 0);
    IF NEW.n = stored THEN
        RETURN NEW;
    ELSIF NEW.n * bigint '1048576' = stored THEN -- of the version before
        NEW.n := stored;
        RETURN NEW;
    ELSIF EXISTS (SELECT FROM execution_output o WHERE o.execution_id = NEW.execution_id AND o.stream = NEW.stream
                  AND o.n = NEW.n) THEN
        RETURN NEW; -- stored already, as the primary key will say
    END IF;
    RAISE EXCEPTION 'output at % of %, where % bytes are stored', NEW.n, NEW.stream, stored
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER output_goes_on BEFORE INSERT ON sallyport.execution_output
    FOR EACH ROW EXECUTE FUNCTION sallyport.output_goes_on();
