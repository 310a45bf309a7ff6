-- Those who count first sendings of one marketplace, and add to them, take turns until they commit.
-- $1 marketplace by bid: the bids that want to pass the door under a cap
SELECT pg_advisory_xact_lock(1651074156, m.key) FROM (
    SELECT DISTINCT hashtext(b.marketplace) AS key FROM bidlock.bids AS b WHERE b.id = ANY ($1) ORDER BY 1) AS m;
