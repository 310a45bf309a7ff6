-- How many bids of a marketplace passed the door for the first time since then.
-- ?1 marketplace, ?2 wall time -> count
SELECT count(*) FROM bids WHERE marketplace = ?1 AND first_sent_at_ms >= ?2;
