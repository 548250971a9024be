-- SPDX-License-Identifier: Apache-2.0
-- The scrub: the ledger process has the database hash again what it stores, and never sees a body. Both functions are
-- bounded whatever they are asked, and stable: what they compare is of one moment. A build of the version before still
-- runs on this.
SET LOCAL ROLE sallyport_owner;

-- Entries from from_idx on, below to_idx: at most 256 of them, and none after the one whose body brings the bytes hashed
-- to 4 MiB. `recorded` is NULL where the event's row is gone, `computed` where only its body is (it has expired).
CREATE FUNCTION sallyport.ledger_scrub(from_idx bigint, to_idx bigint)
    RETURNS TABLE (idx bigint, entry bytea, recorded bytea, computed bytea, same_tenant boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
#variable_conflict use_column
DECLARE
    place ledger_entry;
    left_over bigint := 4194304;
    len bigint;
BEGIN
    FOR place IN SELECT * FROM ledger_entry e WHERE e.idx >= from_idx AND e.idx < to_idx ORDER BY e.idx LIMIT 256 LOOP
        idx := place.idx;
        entry := place.hash;
        SELECT v.hash, sha256(v.body), octet_length(v.body), v.tenant_id = place.tenant_id
          INTO recorded, computed, len, same_tenant
          FROM event v WHERE v.event_id = place.event_id;
        RETURN NEXT;
        left_over := left_over - coalesce(len, 0);
        EXIT WHEN left_over <= 0;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION sallyport.ledger_scrub(bigint, bigint) TO sallyport_ledger;

-- The greatest id there is, NULL of no event: where a walk by ids ends, however many come meanwhile.
CREATE FUNCTION sallyport.event_last() RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp
    RETURN (SELECT v.event_id FROM event v ORDER BY v.event_id DESC LIMIT 1);
GRANT EXECUTE ON FUNCTION sallyport.event_last() TO sallyport_ledger;

-- Of the next 256 events by id, after one (NULL: from the first) and up to another: how many there were, the last of
-- them, and one that has not exactly one place, nor waits for it, with the number of places that it has (NULL: all have).
CREATE FUNCTION sallyport.event_places(after_id uuid, upto_id uuid,
                                       OUT seen integer, OUT last_id uuid, OUT odd_id uuid, OUT odd_places bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT v.event_id FROM event v
                         WHERE v.event_id > coalesce(after_id, '00000000-0000-0000-0000-000000000000') AND v.event_id <= upto_id
                         ORDER BY v.event_id LIMIT 256);
    unplaced uuid[] := '{}';
    looked_at uuid;
    lost uuid;
    places bigint;
BEGIN
    seen := cardinality(ids);
    last_id := ids[seen];
    FOREACH looked_at IN ARRAY ids LOOP
        SELECT count(*) INTO places FROM ledger_entry e WHERE e.event_id = looked_at;
        IF places = 0 THEN
            unplaced := unplaced || looked_at;
        ELSIF places > 1 THEN
            odd_id := looked_at;
            odd_places := places;
        END IF;
    END LOOP;
    -- Those that wait are looked for all at once: event_pending has no index by event, and may be long.
    IF cardinality(unplaced) > 0 THEN
        SELECT u.event_id INTO lost FROM unnest(unplaced) u(event_id)
         WHERE u.event_id <> ALL (ARRAY(SELECT p.event_id FROM event_pending p WHERE p.event_id = ANY (unplaced)))
         LIMIT 1;
        IF FOUND THEN
            odd_id := lost;
            odd_places := 0;
        END IF;
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION sallyport.event_places(uuid, uuid) TO sallyport_ledger;
