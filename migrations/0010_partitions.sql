-- SPDX-License-Identifier: Apache-2.0
-- A partition is made beside the log and then attached: readers and writers of the log go on meanwhile. (CREATE TABLE
-- ... PARTITION OF locks them all out, and while it waits for a long reader everybody waits behind it.) A build of the
-- version before still runs on this.
SET LOCAL ROLE sallyport_owner;

CREATE OR REPLACE FUNCTION sallyport.ledger_partition(at_idx bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
DECLARE
    n        bigint := at_idx >> 24;
    relation text := format('sallyport.ledger_entry_%s', n);
BEGIN
    IF to_regclass(relation) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Its indexes become those of the whole when it is attached; being empty it is not searched for foreign rows.
    EXECUTE format('CREATE TABLE %s (LIKE sallyport.ledger_entry INCLUDING ALL)', relation);
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    CALL sallyport.append_only(relation::regclass);
    EXECUTE format('ALTER TABLE sallyport.ledger_entry ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)',
                   relation, n << 24, (n + 1) << 24);
END
$$;
