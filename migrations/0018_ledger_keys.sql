-- SPDX-License-Identifier: Apache-2.0
-- Which keys sign the log, and under which name it went on after a restore: each change once, beside its event. A build of
-- the version before still runs on this.
SET LOCAL ROLE sallyport_owner;

CREATE TABLE sallyport.ledger_key_change (
    change_no  integer PRIMARY KEY CHECK (change_no > 0),
    origin     text NOT NULL CHECK (octet_length(origin) BETWEEN 1 AND 255),
    vkey       text NOT NULL CHECK (octet_length(vkey) <= 400 AND left(vkey, length(origin) + 1) = origin || '+'),
    change     text NOT NULL CHECK (change IN ('added', 'retired')),
    size       bigint NOT NULL CHECK (size >= 0),
    event_id   uuid NOT NULL UNIQUE,
    changed_at timestamptz NOT NULL DEFAULT now(),
    retires    text CHECK (retires IS NOT DISTINCT FROM CASE change WHEN 'retired' THEN 'added' END),
    UNIQUE (vkey, change),
    FOREIGN KEY (vkey, retires) REFERENCES sallyport.ledger_key_change (vkey, change)
);
COMMENT ON TABLE sallyport.ledger_key_change IS
    'a key is added once and retired once, after it was added: so what is retired never comes back';
COMMENT ON COLUMN sallyport.ledger_key_change.retires IS 'a retirement refers to the row that added the key';
COMMENT ON COLUMN sallyport.ledger_key_change.size IS 'of the log when the change was made';
CALL sallyport.append_only('sallyport.ledger_key_change');
GRANT SELECT ON sallyport.ledger_key_change TO sallyport_read;
GRANT SELECT, INSERT ON sallyport.ledger_key_change TO sallyport_ledger;

CREATE TABLE sallyport.ledger_reopening (
    origin          text PRIMARY KEY CHECK (octet_length(origin) BETWEEN 1 AND 255),
    previous_origin text NOT NULL UNIQUE CHECK (octet_length(previous_origin) BETWEEN 1 AND 255),
    size            bigint NOT NULL CHECK (size >= 0),
    root            bytea NOT NULL CHECK (octet_length(root) = 32),
    event_id        uuid NOT NULL UNIQUE,
    reopened_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (origin <> previous_origin)
);
COMMENT ON TABLE sallyport.ledger_reopening IS
    'after a restore the log goes on under another name; each name begins once and is left once';
COMMENT ON COLUMN sallyport.ledger_reopening.size IS 'of what was kept';
CALL sallyport.append_only('sallyport.ledger_reopening');
GRANT SELECT ON sallyport.ledger_reopening TO sallyport_read;
GRANT SELECT, INSERT ON sallyport.ledger_reopening TO sallyport_ledger;
