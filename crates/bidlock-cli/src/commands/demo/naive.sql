-- The naive contender's tables: locks as Redis keeps them (a value, an expiry) and the replaced system's bids.
CREATE TABLE IF NOT EXISTS locks (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS bids (
    posting TEXT NOT NULL,
    status TEXT NOT NULL,
    UNIQUE (posting, status)
) STRICT;
