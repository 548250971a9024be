-- SPDX-License-Identifier: Apache-2.0
-- What a tenant's runs may use at most; and claims for many slots at once. A build of the version before runs on this as
-- it is: it asks for no such limit, and name, arguments and answers of the claim are the same.
SET LOCAL ROLE sallyport_owner;

ALTER TABLE sallyport.tenant
    ADD COLUMN max_timeout_seconds integer CHECK (max_timeout_seconds > 0),
    ADD COLUMN max_memory_mib      integer CHECK (max_memory_mib > 0),
    ADD COLUMN max_pids            integer CHECK (max_pids > 0),
    ADD COLUMN max_cpu_percent     integer CHECK (max_cpu_percent > 0),
    ADD COLUMN max_tmp_mib         integer CHECK (max_tmp_mib > 0);
COMMENT ON COLUMN sallyport.tenant.max_timeout_seconds IS
    'the most a run of it gets, whatever manifest or artifact ask, as in the next four; NULL: what its host allows';

-- Who waits, and whose turn it is, is asked once a round instead of once a claim.

-- Claims up to `most` executions. Tenants take turns, who was claimed last longest ago first: round by round each gets an
-- equal part of what is left, one at least while there is any, the oldest of its own. So the turn after a claim is whose it
-- would be had they been claimed one by one. Nothing where the claimer's lease has run out.
--
-- The turn of a tenant without a ceiling is noted by one of the claims under way at a time, the others do not wait for
-- it: so another tenant waits for one claim of it by each claimer at most. Under a ceiling the turn's row is locked before
-- the held ones are counted, in a statement (and snapshot) of its own: no claim is made beyond it. Who has locked
-- something already does not wait for more, but passes over: no two wait for each other.
--
-- Planned for the indexes, whatever the statistics say: a plan made while the queue was short is used when it is long.
-- To compile it (jit) takes a hundred times as long as to run it.
CREATE OR REPLACE FUNCTION sallyport.queue_claim(claimer uuid, most integer)
    RETURNS TABLE (execution_id uuid, worker_id uuid, fence bigint)
    LANGUAGE plpgsql ROWS 1 SET search_path = sallyport, pg_temp SET jit = off
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    next   record;
    part   integer;
    got    integer;
    locked boolean := false;
    again  boolean := true; -- somebody got all of its part: there may be more
BEGIN
    IF NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = claimer AND w.lease_expires_at > now()) THEN
        RETURN;
    END IF;
    worker_id := claimer;
    WHILE again AND most > 0 LOOP
        again := false;
        part := NULL;
        FOR next IN
            WITH RECURSIVE waiting (tenant_id) AS (
                (SELECT q.tenant_id FROM execution_queue q WHERE q.worker_id IS NULL ORDER BY q.tenant_id LIMIT 1)
                UNION ALL
                SELECT (SELECT q.tenant_id FROM execution_queue q
                         WHERE q.worker_id IS NULL AND q.tenant_id > w.tenant_id ORDER BY q.tenant_id LIMIT 1)
                  FROM waiting w WHERE w.tenant_id IS NOT NULL)
            SELECT t.tenant_id, t.max_running, count(*) OVER () AS tenants
              FROM waiting JOIN tenant t USING (tenant_id) JOIN tenant_turn u USING (tenant_id)
             WHERE t.max_running IS NULL OR t.max_running > (
                SELECT count(*) FROM execution_queue q WHERE q.tenant_id = t.tenant_id AND q.worker_id IS NOT NULL)
             ORDER BY u.turn, t.tenant_id
        LOOP
            EXIT WHEN most = 0;
            part := coalesce(part, greatest(1, most / next.tenants));
            got := least(part, most);
            IF next.max_running IS NOT NULL THEN
                IF locked THEN
                    PERFORM FROM tenant_turn u WHERE u.tenant_id = next.tenant_id FOR UPDATE SKIP LOCKED;
                    CONTINUE WHEN NOT FOUND;
                ELSE
                    PERFORM FROM tenant_turn u WHERE u.tenant_id = next.tenant_id FOR UPDATE;
                END IF;
                locked := true;
                SELECT least(got, t.max_running - ( -- of a null and a number the number is the least
                    SELECT count(*) FROM execution_queue q WHERE q.tenant_id = t.tenant_id AND q.worker_id IS NOT NULL))
                  INTO got FROM tenant t WHERE t.tenant_id = next.tenant_id;
                CONTINUE WHEN got IS NULL OR got < 1;
            END IF;
            fence := NULL;
            FOR execution_id, fence IN
                WITH oldest AS MATERIALIZED (
                    SELECT o.execution_id FROM execution_queue o
                     WHERE o.tenant_id = next.tenant_id AND o.worker_id IS NULL
                     ORDER BY o.execution_id LIMIT got FOR UPDATE SKIP LOCKED)
                UPDATE execution_queue q SET worker_id = claimer, fence = nextval('fence')
                  FROM oldest WHERE q.execution_id = oldest.execution_id
                RETURNING q.execution_id, q.fence
            LOOP
                most := most - 1;
                got := got - 1;
                RETURN NEXT;
            END LOOP;
            CONTINUE WHEN fence IS NULL; -- others are claiming all it has
            UPDATE tenant_turn u SET turn = fence WHERE u.tenant_id = (
                SELECT f.tenant_id FROM tenant_turn f WHERE f.tenant_id = next.tenant_id FOR UPDATE SKIP LOCKED);
            locked := true;
            again := again OR got = 0;
        END LOOP;
    END LOOP;
END
$$;
