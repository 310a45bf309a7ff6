-- One bid.
-- $1 id -> the time, the row
SELECT bidlock.now_ms(), {columns} FROM bidlock.bids AS b WHERE b.id = $1;
