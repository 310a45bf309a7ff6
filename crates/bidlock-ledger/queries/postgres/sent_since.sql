-- How many bids of a marketplace passed the door for the first time since then.
-- $1 marketplace, $2 wall time -> count
SELECT count(*) FROM bidlock.bids AS b WHERE b.marketplace = $1 AND b.first_sent_at_ms >= $2;
