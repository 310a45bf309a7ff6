-- Claims postings: makes each bid with its first event, unless the posting has a live one, and says which one that is.
-- All in one statement, so in one round trip. The unique index decides, and naming it here makes the statement fail
-- where the index is missing. A row follows the earlier ones of its posting only if the caller knew them (its epoch
-- tells), and none that the marketplace has or may have. The caller has hashed the event with a time of its own, which is good if it is near the server's.
-- $1 the caller's time, $2 how far it may be off, both in ms; arrays: $3 ids, $4 marketplaces, $5 postings,
-- $6 claims, $7 epochs, $8 holders, $9 instances, $10 TTLs in ms, $11 idempotency keys, $12 amounts, $13 currencies,
-- $14 urls, $15 via, $16 evaluations, $17 proposals, $18 details of the events, $19 their hashes
-- -> for each, in order: whether it was made, the server's time, and the live row that was there before, if any
WITH t AS MATERIALIZED ({durable}),
wanted AS MATERIALIZED (
    SELECT * FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    WITH ORDINALITY AS w(id, marketplace, posting, claim_id, epoch, holder, instance, ttl_ms, idempotency_key,
        amount_minor, currency, posting_url, via, evaluation, proposal, detail, hash, ord)),
made AS (
    INSERT INTO bidlock.bids (id, marketplace, posting, state, claim_id, epoch, holder, instance, claim_until_ms,
        idempotency_key, created_at_ms, updated_at_ms, amount_minor, currency, posting_url, via, evaluation, proposal)
    SELECT w.id, w.marketplace, w.posting, 'claimed', w.claim_id, w.epoch, w.holder, w.instance, t.now_ms + w.ttl_ms,
        w.idempotency_key, $1, $1, w.amount_minor, w.currency, w.posting_url, w.via, w.evaluation, w.proposal
    FROM wanted AS w, t
    WHERE abs(t.now_ms - $1) <= $2
        AND NOT EXISTS (SELECT 1 FROM bidlock.bids AS o WHERE o.marketplace = w.marketplace
            AND o.posting = w.posting AND o.rebid_allowed AND o.state IN ({in_use}))
        AND w.epoch = 1 + coalesce((SELECT max(e.epoch) FROM bidlock.bids AS e
            WHERE e.marketplace = w.marketplace AND e.posting = w.posting AND e.rebid_allowed), 0)
    ORDER BY w.marketplace COLLATE "C", w.posting COLLATE "C", w.ord
    ON CONFLICT (marketplace, posting) WHERE NOT rebid_allowed DO NOTHING
    RETURNING id),
told AS (
    INSERT INTO bidlock.events (bid, seq, at_ms, to_state, claim_id, epoch, actor, detail, hash)
    SELECT w.id, 1, $1, 'claimed', w.claim_id, w.epoch, w.holder, w.detail, w.hash
    FROM made AS m JOIN wanted AS w ON w.id = m.id)
SELECT m.id IS NOT NULL, t.now_ms, {columns}
FROM wanted AS w CROSS JOIN t
LEFT JOIN made AS m ON m.id = w.id
LEFT JOIN bidlock.bids AS b
    ON b.marketplace = w.marketplace AND b.posting = w.posting AND NOT b.rebid_allowed
ORDER BY w.ord;
