-- SPDX-License-Identifier: Apache-2.0
-- Proofs at any size of the log: a tile's root beside its hashes, so that an unfinished tile is one short read of the
-- roots below it and not a new computation of them all. A build of the version before still runs on this.
SET LOCAL ROLE sallyport_owner;

-- Nothing is rewritten, for the table is as long as the log. The hashes lie in storage of their own: the rows that are
-- left are short, 256 of them a few pages. Who checks the log compares the two; a proof from a false root proves nothing.
ALTER TABLE sallyport.ledger_tile
    ADD COLUMN root bytea CHECK (octet_length(root) = 32);
COMMENT ON COLUMN sallyport.ledger_tile.root IS
    'the root over the tile''s hashes: its hash in the tile above; NULL where a build before version 8 wrote the tile';
