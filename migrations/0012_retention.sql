-- SPDX-License-Identifier: Apache-2.0
-- Bodies of events expire by their tenant's policy. The row stays with its hash: entries, tiles and proofs know hashes
-- only. A build of the version before still runs on this, but its api takes an expired event for an empty one: no tenant
-- should get a policy while one runs.
SET LOCAL ROLE sallyport_owner;

ALTER TABLE sallyport.tenant
    ADD COLUMN event_retention_days integer CHECK (event_retention_days BETWEEN 1 AND 36500);
COMMENT ON COLUMN sallyport.tenant.event_retention_days IS
    'how long its events'' bodies are kept after they got their places; NULL: for ever';

-- NOT VALID, because to look at every row of the longest table there is would find what its NOT NULL has held until now.
ALTER TABLE sallyport.event
    ALTER COLUMN body DROP NOT NULL,
    ADD COLUMN expired_at timestamptz,
    ADD CONSTRAINT event_tombstone CHECK (CASE WHEN body IS NULL THEN expired_at IS NOT NULL AND subject = ''
                                               ELSE expired_at IS NULL END) NOT VALID;
COMMENT ON COLUMN sallyport.event.body IS 'the CloudEvent''s exact bytes: the evidence; NULL once they have expired';
COMMENT ON COLUMN sallyport.event.expired_at IS 'when the body, and the subject with it, were given up';

-- Nobody says an event without its body: expired_at is not among the columns that may be inserted.
REVOKE INSERT ON sallyport.event FROM sallyport_api, sallyport_worker, sallyport_ledger;
GRANT INSERT (event_id, tenant_id, type, subject, execution_id, hash, body) ON sallyport.event
    TO sallyport_api, sallyport_worker, sallyport_ledger;

-- Append-only but for one thing. Who: nobody but the owner, as whom event_expire() below runs, and nobody logs in as.
DROP TRIGGER append_only ON sallyport.event;
CREATE FUNCTION sallyport.event_keep() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_user = 'sallyport_owner' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'table sallyport.event is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sallyport.event
    FOR EACH STATEMENT EXECUTE FUNCTION sallyport.event_keep();
ALTER TABLE sallyport.event ENABLE ALWAYS TRIGGER append_only;

-- What: a body and its subject go, once, now, and nothing else changes, whatever columns there will be.
CREATE FUNCTION sallyport.event_only_expires() RETURNS trigger
    LANGUAGE plpgsql AS $$
DECLARE
    tombstone sallyport.event := OLD;
BEGIN
    tombstone.body := NULL;
    tombstone.subject := '';
    tombstone.expired_at := now();
    IF OLD.body IS NULL OR NEW IS DISTINCT FROM tombstone THEN
        RAISE EXCEPTION 'table sallyport.event is append-only: an event can only expire'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER only_expires BEFORE UPDATE ON sallyport.event
    FOR EACH ROW WHEN (current_user = 'sallyport_owner') EXECUTE FUNCTION sallyport.event_only_expires();
ALTER TABLE sallyport.event ENABLE ALWAYS TRIGGER only_expires;

CREATE TABLE sallyport.event_retention (
    tenant_id  text PRIMARY KEY REFERENCES sallyport.tenant ON DELETE CASCADE,
    expired_to bigint NOT NULL DEFAULT 0 CHECK (expired_to >= 0)
);
COMMENT ON COLUMN sallyport.event_retention.expired_to IS 'of the tenant''s entries, all below this one have expired';
CALL sallyport.isolate('sallyport.event_retention');
GRANT SELECT ON sallyport.event_retention TO sallyport_api, sallyport_read;

-- Whose events expire: all that the ledger process may know of tenants.
CREATE POLICY ledger ON sallyport.tenant FOR SELECT TO sallyport_ledger USING (true);
GRANT SELECT (tenant_id, event_retention_days) ON sallyport.tenant TO sallyport_ledger;

-- The one way in which bodies expire: up to `most` of the tenant's next entries, in the ledger's order.
--
-- An event's age is that of its batch by this database's clock, for its own time is its writer's word; nothing overtakes
-- one that is to stay. Only what a checkpoint covers goes, and nothing while the ledger has stopped: that is evidence.
-- What does not fit its entry is evidence too, and an error. The tenant's row is held to the end, so that when a change of
-- the policy has been committed nothing more goes by the one before.
--
-- Events that say what has expired expire with others, but not alone: saying so would make another one, for ever.
--
-- Planned for the indexes, whatever the statistics say: a plan made while the log was short is used when it is long.
CREATE FUNCTION sallyport.event_expire(of_tenant text, most integer)
    RETURNS TABLE (gone bigint, first_idx bigint, last_idx bigint, older_than timestamptz, days integer, more boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
#variable_conflict use_column
DECLARE
    next   record;
    start  bigint;
    signed bigint;
    ids    uuid[] := '{}';
    hashes bytea[] := '{}';
    idxs   bigint[] := '{}';
    wrong  bigint;
BEGIN
    IF most NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'a batch of %', most USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM set_config(name, 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin,jit}'::text[]) name;
    SELECT t.event_retention_days INTO days FROM tenant t WHERE t.tenant_id = of_tenant FOR SHARE;
    IF days IS NULL OR EXISTS (SELECT FROM ledger_lease l WHERE l.problem IS NOT NULL) THEN
        RETURN;
    END IF;
    INSERT INTO event_retention (tenant_id) VALUES (of_tenant) ON CONFLICT DO NOTHING;
    SELECT r.expired_to INTO start FROM event_retention r WHERE r.tenant_id = of_tenant FOR UPDATE;
    SELECT coalesce(max(c.size), 0) INTO signed FROM ledger_checkpoint c;
    older_than := now() - make_interval(hours => 24 * days);

    FOR next IN
        SELECT e.idx, e.event_id, e.hash,
               (SELECT b.created_at FROM ledger_batch b WHERE b.size > e.idx ORDER BY b.size LIMIT 1) AS logged_at
          FROM ledger_entry e
         WHERE e.tenant_id = of_tenant AND e.idx >= start AND e.idx < signed
         ORDER BY e.idx LIMIT most
    LOOP
        EXIT WHEN next.logged_at IS NULL OR next.logged_at >= older_than;
        ids := ids || next.event_id;
        hashes := hashes || next.hash;
        idxs := idxs || next.idx;
    END LOOP;
    more := cardinality(ids) = most;
    IF NOT more AND NOT EXISTS (SELECT FROM event e WHERE e.event_id = ANY (ids) AND e.body IS NOT NULL
                                AND e.type <> 'io.sallyport.events.expired.v1') THEN
        RETURN;
    END IF;

    WITH expired AS (
        UPDATE event e SET body = NULL, subject = '', expired_at = now()
          FROM unnest(ids, hashes, idxs) AS due (event_id, hash, idx)
         WHERE e.event_id = due.event_id AND e.tenant_id = of_tenant AND e.hash = due.hash AND sha256(e.body) = due.hash
        RETURNING due.idx)
    SELECT count(*), min(x.idx), max(x.idx) INTO gone, first_idx, last_idx FROM expired x;
    SELECT min(due.idx) INTO wrong FROM unnest(ids, hashes, idxs) AS due (event_id, hash, idx)
     WHERE NOT EXISTS (SELECT FROM event e WHERE e.event_id = due.event_id AND e.tenant_id = of_tenant
                          AND e.hash = due.hash AND e.body IS NULL);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the event of entry % is not what the ledger recorded: nothing of this tenant expires', wrong
            USING ERRCODE = 'data_corrupted';
    END IF;
    UPDATE event_retention r SET expired_to = idxs[cardinality(idxs)] + 1 WHERE r.tenant_id = of_tenant;
    RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION sallyport.event_expire(text, integer) TO sallyport_ledger;
