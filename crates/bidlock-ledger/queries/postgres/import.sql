-- Begins rows with what the replaced system knew, each with its first event, unless the posting has a live one, and
-- says which one that is. As claim.sql in everything else: the unique index decides, the epoch follows the earlier rows.
-- $1 the caller's time in ms; arrays: $2 ids, $3 marketplaces, $4 postings, $5 states, $6 claims, $7 epochs,
-- $8 holders, $9 idempotency keys, $10 causes, $11 reasons, $12 sent at in ms, $13 amounts, $14 currencies, $15 urls,
-- $16 via, $17 evaluations, $18 proposals, $19 actors, $20 details of the events, $21 their hashes
-- -> for each, in order: whether it was made, the server's time, and the live row that was there before, if any
WITH t AS MATERIALIZED ({durable}),
wanted AS MATERIALIZED (
    SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
    WITH ORDINALITY AS w(id, marketplace, posting, state, claim_id, epoch, holder, idempotency_key, unknown_cause,
        reason, sent_at_ms, amount_minor, currency, posting_url, via, evaluation, proposal, actor, detail, hash, ord)),
made AS (
    INSERT INTO bidlock.bids (id, marketplace, posting, state, claim_id, epoch, holder, claim_until_ms,
        idempotency_key, unknown_cause, reason, first_sent_at_ms, last_sent_at_ms, created_at_ms, updated_at_ms,
        amount_minor, currency, posting_url, via, evaluation, proposal)
    SELECT w.id, w.marketplace, w.posting, w.state, w.claim_id, w.epoch, w.holder, t.now_ms,
        w.idempotency_key, w.unknown_cause, w.reason, w.sent_at_ms, w.sent_at_ms, $1, $1,
        w.amount_minor, w.currency, w.posting_url, w.via, w.evaluation, w.proposal
    FROM wanted AS w, t
    WHERE NOT EXISTS (SELECT 1 FROM bidlock.bids AS o WHERE o.marketplace = w.marketplace
            AND o.posting = w.posting AND o.rebid_allowed AND o.state IN ({in_use}))
        AND w.epoch = 1 + coalesce((SELECT max(e.epoch) FROM bidlock.bids AS e
            WHERE e.marketplace = w.marketplace AND e.posting = w.posting AND e.rebid_allowed), 0)
    ORDER BY w.marketplace COLLATE "C", w.posting COLLATE "C", w.ord
    ON CONFLICT (marketplace, posting) WHERE NOT rebid_allowed DO NOTHING
    RETURNING id),
told AS (
    INSERT INTO bidlock.events (bid, seq, at_ms, action, to_state, claim_id, epoch, actor, reason, detail, hash)
    SELECT w.id, 1, $1, 'import', w.state, w.claim_id, w.epoch, w.actor, w.reason, w.detail, w.hash
    FROM made AS m JOIN wanted AS w ON w.id = m.id)
SELECT m.id IS NOT NULL, t.now_ms, {columns}
FROM wanted AS w CROSS JOIN t
LEFT JOIN made AS m ON m.id = w.id
LEFT JOIN bidlock.bids AS b
    ON b.marketplace = w.marketplace AND b.posting = w.posting AND NOT b.rebid_allowed
ORDER BY w.ord;
