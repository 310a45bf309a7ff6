-- Which of these bids are on one posting: none, as a rule. A bid's posting never changes, so no row is locked for it.
-- $1 bids -> those of each posting that has several of them
SELECT array_agg(b.id) FROM bidlock.bids AS b
WHERE b.id = ANY ($1)
GROUP BY b.marketplace, b.posting
HAVING count(*) > 1;
