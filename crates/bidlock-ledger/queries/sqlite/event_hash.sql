-- The hash of one line.
-- ?1 bid, ?2 seq -> hash
SELECT hash FROM events WHERE bid = ?1 AND seq = ?2;
