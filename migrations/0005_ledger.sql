-- SPDX-License-Identifier: Apache-2.0
-- Events and their places: bodies once, in event; order in pending until the ledger process gives
-- contiguous indexes (RFC 6962 tree in C2SP tiles). Privileges and triggers resist; checkpoints prove.
SET LOCAL ROLE sallyport_owner;

CREATE TABLE sallyport.event (
    event_id     uuid PRIMARY KEY,
    tenant_id    text NOT NULL,
    type         text NOT NULL CHECK (type LIKE 'io.sallyport.%'),
    subject      text NOT NULL CHECK (octet_length(subject) <= 256),
    execution_id uuid,
    hash         bytea NOT NULL,
    body         bytea NOT NULL,
    CHECK (hash = sha256(body))
);
COMMENT ON COLUMN sallyport.event.body IS 'the CloudEvent''s exact bytes: the evidence';
COMMENT ON COLUMN sallyport.event.hash IS 'SHA-256 of body, computed by the writer and by the database';
ALTER TABLE sallyport.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE sallyport.event FORCE ROW LEVEL SECURITY;
CREATE POLICY read ON sallyport.event FOR SELECT TO sallyport_api, sallyport_read
    USING (tenant_id = ANY (sallyport.tenants()));
-- Who may say what.
CREATE POLICY api_writes ON sallyport.event FOR INSERT TO sallyport_api
    WITH CHECK (tenant_id = ANY (sallyport.tenants()) AND
                type NOT IN ('io.sallyport.execution.started.v1', 'io.sallyport.execution.finished.v1'));
CREATE POLICY worker_writes ON sallyport.event FOR INSERT TO sallyport_worker
    WITH CHECK (type IN ('io.sallyport.execution.started.v1', 'io.sallyport.execution.finished.v1'));
CREATE POLICY owner ON sallyport.event TO sallyport_owner USING (true) WITH CHECK (true);
CALL sallyport.append_only('sallyport.event');
GRANT SELECT ON sallyport.event TO sallyport_api, sallyport_read;
GRANT INSERT ON sallyport.event TO sallyport_api, sallyport_worker;

CREATE TABLE sallyport.event_pending (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id  uuid NOT NULL,
    tenant_id text NOT NULL,
    hash      bytea NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE sallyport.event_pending IS 'events without a place yet; only the trigger on event adds, only the ledger process removes';
GRANT SELECT, DELETE ON sallyport.event_pending TO sallyport_ledger;
GRANT SELECT (seq, queued_at) ON sallyport.event_pending TO sallyport_api;

-- Every event inserted is pending, whoever inserted it and whatever it meant to do.
CREATE FUNCTION sallyport.event_queue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
BEGIN
    INSERT INTO sallyport.event_pending (event_id, tenant_id, hash)
    SELECT event_id, tenant_id, hash FROM added;
    RETURN NULL;
END
$$;
CREATE TRIGGER event_queue AFTER INSERT ON sallyport.event
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION sallyport.event_queue();
ALTER TABLE sallyport.event ENABLE ALWAYS TRIGGER event_queue;

CREATE TABLE sallyport.ledger_entry (
    idx       bigint NOT NULL CHECK (idx >= 0),
    event_id  uuid NOT NULL,
    tenant_id text NOT NULL,
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (idx)
) PARTITION BY RANGE (idx);
COMMENT ON COLUMN sallyport.ledger_entry.hash IS 'the entry: SHA-256 of the event''s bytes; its leaf hash is SHA-256(0x00 || entry)';
CREATE INDEX ledger_entry_event ON sallyport.ledger_entry (event_id);
CREATE INDEX ledger_entry_tenant ON sallyport.ledger_entry (tenant_id, idx);
ALTER TABLE sallyport.ledger_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE sallyport.ledger_entry FORCE ROW LEVEL SECURITY;
-- An entry says only that something happened and when: every tenant may see every entry.
CREATE POLICY everyone ON sallyport.ledger_entry FOR SELECT TO sallyport_api, sallyport_read, sallyport_ledger USING (true);
CREATE POLICY ledger_writes ON sallyport.ledger_entry FOR INSERT TO sallyport_ledger WITH CHECK (true);
CREATE POLICY owner ON sallyport.ledger_entry TO sallyport_owner USING (true) WITH CHECK (true);
CALL sallyport.append_only('sallyport.ledger_entry');
GRANT SELECT ON sallyport.ledger_entry TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.ledger_entry TO sallyport_ledger;

-- One partition is 2^24 entries, a level-2 tile exactly. Made ahead of need by the ledger process.
CREATE FUNCTION sallyport.ledger_partition(at_idx bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = sallyport, pg_temp AS $$
DECLARE
    n        bigint := at_idx >> 24;
    relation text := format('sallyport.ledger_entry_%s', n);
BEGIN
    IF to_regclass(relation) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %s PARTITION OF sallyport.ledger_entry FOR VALUES FROM (%s) TO (%s)',
                   relation, n << 24, (n + 1) << 24);
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    CALL sallyport.append_only(relation::regclass);
END
$$;
GRANT EXECUTE ON FUNCTION sallyport.ledger_partition(bigint) TO sallyport_ledger;
SELECT sallyport.ledger_partition(0);

CREATE TABLE sallyport.ledger_tile (
    level  integer NOT NULL CHECK (level BETWEEN 0 AND 7),
    n      bigint NOT NULL CHECK (n >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (level, n)
);
COMMENT ON TABLE sallyport.ledger_tile IS 'full tiles only: 256 hashes each';
CALL sallyport.append_only('sallyport.ledger_tile');
GRANT SELECT ON sallyport.ledger_tile TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.ledger_tile TO sallyport_ledger;

CREATE TABLE sallyport.ledger_batch (
    size       bigint PRIMARY KEY,
    prev_size  bigint NOT NULL UNIQUE,
    root       bytea NOT NULL CHECK (octet_length(root) = 32),
    frontier   bytea NOT NULL CHECK (octet_length(frontier) % 32 = 0 AND octet_length(frontier) <= 2016),
    epoch      bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (prev_size >= 0 AND size > prev_size)
);
COMMENT ON TABLE sallyport.ledger_batch IS 'one row a batch; prev_size is unique, so two sequencers cannot both extend one head';
CALL sallyport.append_only('sallyport.ledger_batch');
GRANT SELECT ON sallyport.ledger_batch TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.ledger_batch TO sallyport_ledger;

CREATE TABLE sallyport.ledger_checkpoint (
    size      bigint PRIMARY KEY CHECK (size >= 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    note      text NOT NULL CHECK (octet_length(note) <= 65536),
    signed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN sallyport.ledger_checkpoint.note IS 'C2SP tlog-checkpoint, a signed note';
CALL sallyport.append_only('sallyport.ledger_checkpoint');
GRANT SELECT ON sallyport.ledger_checkpoint TO sallyport_api, sallyport_read;
GRANT SELECT, INSERT ON sallyport.ledger_checkpoint TO sallyport_ledger;

CREATE TABLE sallyport.ledger_lease (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch      bigint NOT NULL DEFAULT 0,
    holder     text,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    updated_at timestamptz NOT NULL DEFAULT now(),
    problem    text
);
COMMENT ON TABLE sallyport.ledger_lease IS 'who orders events now, by the database''s clock; every batch compares the epoch';
COMMENT ON COLUMN sallyport.ledger_lease.problem IS 'why the signer has stopped, NULL while it signs';
INSERT INTO sallyport.ledger_lease DEFAULT VALUES;
GRANT SELECT ON sallyport.ledger_lease TO sallyport_api, sallyport_read;
GRANT SELECT, UPDATE (epoch, holder, expires_at, updated_at, problem) ON sallyport.ledger_lease TO sallyport_ledger;
