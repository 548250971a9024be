-- SPDX-License-Identifier: Apache-2.0
-- Fair sharing: whose turn it is, how many of a tenant's executions workers may hold at once, and how many may wait or
-- run. A build of the version before still runs on this: its workers claim the oldest of all, and ask for no ceiling.
SET LOCAL ROLE sallyport_owner;

ALTER TABLE sallyport.tenant
    ADD COLUMN max_running integer CHECK (max_running > 0),
    ADD COLUMN queue_max   integer CHECK (queue_max > 0);
COMMENT ON COLUMN sallyport.tenant.max_running IS
    'how many of its executions all workers together may have claimed at once; NULL: any number';
COMMENT ON COLUMN sallyport.tenant.queue_max IS
    'how many of its executions may wait or run; NULL: what the api''s setting queue-max says';

-- Each row is in one of the two: what waits, in each tenant's order, and what workers hold.
CREATE INDEX execution_queue_waiting ON sallyport.execution_queue (tenant_id, execution_id) WHERE worker_id IS NULL;
CREATE INDEX execution_queue_held ON sallyport.execution_queue (tenant_id) WHERE worker_id IS NOT NULL;

-- Apart from tenant, which every submission reads: this is written with every claim.
CREATE TABLE sallyport.tenant_turn (
    tenant_id text PRIMARY KEY REFERENCES sallyport.tenant ON DELETE CASCADE,
    turn      bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE sallyport.tenant_turn IS 'whose turn it is to be claimed: the tenant of the lowest';
COMMENT ON COLUMN sallyport.tenant_turn.turn IS 'the fencing token of its last claim; 0: it had none';
CALL sallyport.isolate('sallyport.tenant_turn');
GRANT SELECT, UPDATE (turn) ON sallyport.tenant_turn TO sallyport_worker;

-- Every tenant has a turn, whichever build made it.
CREATE FUNCTION sallyport.tenant_turn_make() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
BEGIN
    INSERT INTO sallyport.tenant_turn (tenant_id) VALUES (NEW.tenant_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER turn_make AFTER INSERT ON sallyport.tenant
    FOR EACH ROW EXECUTE FUNCTION sallyport.tenant_turn_make();
INSERT INTO sallyport.tenant_turn (tenant_id) SELECT tenant_id FROM sallyport.tenant;

-- Claims up to `most` executions, each the oldest of the tenant whose last claim is longest ago. Nothing where the
-- claimer's lease has run out.
--
-- The turn of a tenant without a ceiling is noted by one of the claims under way at a time, the others do not wait for
-- it: so another tenant waits for one claim of it by each claimer at most. Under a ceiling the turn's row is locked before
-- the held ones are counted, in a statement (and snapshot) of its own: no claim is made beyond it. Who has locked
-- something already does not wait for more, but passes over: no two wait for each other.
--
-- Planned for the indexes, whatever the statistics say: a plan made while the queue was short is used when it is long.
-- To compile it (jit) takes a hundred times as long as to run it.
CREATE FUNCTION sallyport.queue_claim(claimer uuid, most integer)
    RETURNS TABLE (execution_id uuid, worker_id uuid, fence bigint)
    LANGUAGE plpgsql ROWS 1 SET search_path = sallyport, pg_temp SET jit = off
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    next   record;
    taken  record;
    locked boolean := false;
    served boolean := true;
BEGIN
    IF NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = claimer AND w.lease_expires_at > now()) THEN
        RETURN;
    END IF;
    FOR n IN 1..most LOOP
        EXIT WHEN NOT served;
        served := false;
        FOR next IN
            WITH RECURSIVE waiting (tenant_id) AS (
                (SELECT q.tenant_id FROM execution_queue q WHERE q.worker_id IS NULL ORDER BY q.tenant_id LIMIT 1)
                UNION ALL
                SELECT (SELECT q.tenant_id FROM execution_queue q
                         WHERE q.worker_id IS NULL AND q.tenant_id > w.tenant_id ORDER BY q.tenant_id LIMIT 1)
                  FROM waiting w WHERE w.tenant_id IS NOT NULL)
            SELECT t.tenant_id, t.max_running
              FROM waiting JOIN tenant t USING (tenant_id) JOIN tenant_turn u USING (tenant_id)
             WHERE t.max_running IS NULL OR t.max_running > (
                SELECT count(*) FROM execution_queue q WHERE q.tenant_id = t.tenant_id AND q.worker_id IS NOT NULL)
             ORDER BY u.turn, t.tenant_id
        LOOP
            IF next.max_running IS NOT NULL THEN
                IF locked THEN
                    PERFORM FROM tenant_turn u WHERE u.tenant_id = next.tenant_id FOR UPDATE SKIP LOCKED;
                    CONTINUE WHEN NOT FOUND;
                ELSE
                    PERFORM FROM tenant_turn u WHERE u.tenant_id = next.tenant_id FOR UPDATE;
                END IF;
                locked := true;
                PERFORM FROM tenant t WHERE t.tenant_id = next.tenant_id AND (t.max_running IS NULL OR t.max_running > (
                    SELECT count(*) FROM execution_queue q WHERE q.tenant_id = t.tenant_id AND q.worker_id IS NOT NULL));
                CONTINUE WHEN NOT FOUND;
            END IF;
            UPDATE execution_queue q SET worker_id = claimer, fence = nextval('fence')
             WHERE q.execution_id = (
                SELECT o.execution_id FROM execution_queue o WHERE o.tenant_id = next.tenant_id AND o.worker_id IS NULL
                 ORDER BY o.execution_id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING q.execution_id, q.fence INTO taken;
            CONTINUE WHEN NOT FOUND; -- others are claiming all it has
            UPDATE tenant_turn u SET turn = taken.fence WHERE u.tenant_id = (
                SELECT f.tenant_id FROM tenant_turn f WHERE f.tenant_id = next.tenant_id FOR UPDATE SKIP LOCKED);
            execution_id := taken.execution_id;
            worker_id := claimer;
            fence := taken.fence;
            RETURN NEXT;
            locked := true;
            served := true;
            EXIT;
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION sallyport.queue_claim(uuid, integer) TO sallyport_worker;
