-- What a scanner needs to know of postings: short columns of the live rows.
-- $1 marketplaces, $2 postings -> ordinal, the time, columns
SELECT w.ord, t.now_ms, b.id, b.state, b.claim_id, b.holder, b.claim_until_ms, b.approved_until_ms, b.created_at_ms
FROM (SELECT bidlock.now_ms() AS now_ms) AS t
CROSS JOIN unnest($1, $2) WITH ORDINALITY AS w(marketplace, posting, ord)
JOIN bidlock.bids AS b ON b.marketplace = w.marketplace AND b.posting = w.posting AND NOT b.rebid_allowed;
