-- The live bid of a posting.
-- $1 marketplace, $2 posting -> the time, the row
SELECT bidlock.now_ms(), {columns} FROM bidlock.bids AS b
WHERE b.marketplace = $1 AND b.posting = $2 AND NOT b.rebid_allowed;
