-- Locks rows in one order for all, so that transactions queue instead of meeting crosswise; and the statements after
-- this one see what those before them in the queue have committed. Siblings are the other bids of the same
-- posting, which all but the plain moves look at.
-- $1 bids, $2 bids whose siblings are locked too
SELECT b.id FROM bidlock.bids AS b
WHERE b.id IN (
    SELECT unnest($1)
    UNION SELECT l.id FROM bidlock.bids AS s JOIN bidlock.bids AS l
        ON l.marketplace = s.marketplace AND l.posting = s.posting AND NOT l.rebid_allowed WHERE s.id = ANY ($2)
    UNION SELECT e.id FROM bidlock.bids AS s JOIN bidlock.bids AS e
        ON e.marketplace = s.marketplace AND e.posting = s.posting AND e.rebid_allowed WHERE s.id = ANY ($2))
ORDER BY b.id FOR UPDATE OF b;
