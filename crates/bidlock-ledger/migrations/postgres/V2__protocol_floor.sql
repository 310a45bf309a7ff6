-- The oldest protocol that may work with this ledger: a binary whose own is below refuses to open it.
ALTER TABLE bidlock.ledger ADD COLUMN protocol_floor BIGINT NOT NULL DEFAULT 1;
