-- The latest earlier bid on a bid's posting which the marketplace has or may have: no other is sent beside it.
-- $1 bid -> the time, the row
SELECT bidlock.now_ms(), {columns} FROM bidlock.bids AS a JOIN bidlock.bids AS b
    ON b.marketplace = a.marketplace AND b.posting = a.posting AND b.rebid_allowed
WHERE a.id = $1 AND b.id <> a.id AND b.state IN ({in_use})
ORDER BY b.epoch DESC LIMIT 1;
