-- All bids of some postings, live and earlier, locked: for a claim that has to follow or to take over.
-- $1 marketplaces, $2 postings -> the time, the rows
SELECT bidlock.now_ms(), {columns} FROM bidlock.bids AS b
WHERE b.id IN (
    SELECT l.id FROM unnest($1, $2) AS w(marketplace, posting) JOIN bidlock.bids AS l
        ON l.marketplace = w.marketplace AND l.posting = w.posting AND NOT l.rebid_allowed
    UNION SELECT e.id FROM unnest($1, $2) AS w(marketplace, posting) JOIN bidlock.bids AS e
        ON e.marketplace = w.marketplace AND e.posting = w.posting AND e.rebid_allowed)
ORDER BY b.id FOR UPDATE OF b;
