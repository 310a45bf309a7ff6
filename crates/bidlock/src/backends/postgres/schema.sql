-- The locks of a fleet, one row a lock, in the schema `bidlock`; made by the first opener. Times are microseconds since
-- 1970 by the server's clock. A row outlives its lock for a while, so that the next token of its key is larger whatever
-- the clock does. There is room in each page for the next version of its rows, and no index on what changes: a renewal
-- then touches one page and no index. Arguments: none.
CREATE TABLE bidlock.lease (
    key         TEXT   COLLATE "C" PRIMARY KEY,  -- LockKey, as it prints
    holder      TEXT   NOT NULL,                 -- for people
    nonce       UUID   NOT NULL,                 -- the proof of ownership; all zeros once released
    token       BIGINT NOT NULL,                 -- the fencing token
    granted_us  BIGINT NOT NULL,
    deadline_us BIGINT NOT NULL                  -- expired from this microsecond on
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
