-- The locks of one host, one row a held lock; made by the first opener. Names begin with `bidlock_`, so that the
-- tables can live in a file with others. Arguments: none.
CREATE TABLE IF NOT EXISTS bidlock_lease (
    key         TEXT    NOT NULL PRIMARY KEY,  -- LockKey, as it prints
    holder      TEXT    NOT NULL,              -- for people
    nonce       BLOB    NOT NULL,              -- 16 bytes: the proof of ownership
    token       INTEGER NOT NULL,              -- the fencing token
    boot_id     BLOB    NOT NULL,              -- 16 bytes: the boot that the two times below count from
    granted_ms  INTEGER NOT NULL,              -- since that boot
    deadline_ms INTEGER NOT NULL               -- since that boot; expired from this millisecond on
) STRICT, WITHOUT ROWID;

-- The last fencing token given for any key, so that tokens grow although rows come and go. One row.
CREATE TABLE IF NOT EXISTS bidlock_token (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO bidlock_token (one, last) VALUES (1, 0);
