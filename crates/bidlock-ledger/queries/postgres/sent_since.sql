-- How many bids of a marketplace were last sent since then and may have arrived: what a cap counts.
-- $1 marketplace, $2 wall time -> count
SELECT count(*) FROM bidlock.bids AS b WHERE b.marketplace = $1 AND b.last_sent_at_ms >= $2 AND b.state IN ({sent});
