-- The oldest protocol that may work with this ledger: a binary whose own is below refuses to open it.
ALTER TABLE ledger ADD COLUMN protocol_floor INTEGER NOT NULL DEFAULT 1;
