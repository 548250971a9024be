-- SPDX-License-Identifier: Apache-2.0
-- The hashes that a proof needs, in one read. A build of the version before still runs on this.
SET LOCAL ROLE sallyport_owner;

-- The path of one leaf, up to the root of the perfect subtree of the tree of that size which holds it: the batch that
-- ended there has all that is above in its frontier. A level of tiles a row, `first` being the place of its first hash in
-- the level. Where the subtree covers the leaf's tile, it is that tile. On the last level it may be a part of one, which
-- is not taken from the tile (it need not be full): at level 0 from entries, which are returned as they are, above that
-- from the roots of the tiles below. What is missing is left out, or short: the reader knows how much there should be.
--
-- Planned once, for the indexes, whatever the statistics say: a plan made while the log was short is used when it is long.
CREATE FUNCTION sallyport.ledger_path(of_index bigint, of_size bigint)
    RETURNS TABLE (level integer, first bigint, hashes bytea)
    LANGUAGE plpgsql STABLE STRICT ROWS 3 SET search_path = sallyport, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_variable
DECLARE
    -- the highest bit in which the two differ
    height integer := length(ltrim((of_index # of_size)::bit(64)::text, '0')) - 1;
    part   integer;
BEGIN
    IF of_index < 0 OR of_index >= of_size THEN
        RETURN;
    END IF;
    level := 0;
    WHILE 8 * level < height LOOP
        part := least(height - 8 * level, 8);
        first := of_index >> (8 * level + part) << part;
        IF part = 8 THEN
            SELECT t.hashes INTO hashes FROM ledger_tile t WHERE t.level = level AND t.n = first >> 8;
        ELSIF level = 0 THEN
            SELECT string_agg(o.hash, '') INTO hashes
              FROM (SELECT e.hash FROM ledger_entry e
                     WHERE e.idx >= first AND e.idx < first + (1 << part) ORDER BY e.idx) o;
        ELSE
            SELECT string_agg(o.root, '') INTO hashes
              FROM (SELECT t.root FROM ledger_tile t
                     WHERE t.level = level - 1 AND t.n >= first AND t.n < first + (1 << part) ORDER BY t.n) o;
        END IF;
        RETURN NEXT;
        level := level + 1;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION sallyport.ledger_path(bigint, bigint) TO sallyport_api, sallyport_read;
