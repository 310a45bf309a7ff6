-- Another scanner takes the row with a new claim. A row that was ever sent or approved keeps its payload; where
-- it goes is the new claimant's to say, as nothing was accepted there, unless a person approved it. Nobody takes it to
-- send it beside another bid that the marketplace has or may have.
-- $1..$8 as in move.sql; $9 claims, $10 holders, $11 instances, $12 TTLs in ms, $13 amounts, $14 currencies, $15 urls,
-- $16 via, $17 evaluations, $18 proposals -> see moved.sql
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.bids AS b SET
    state = c.to_state, claim_id = c.new_claim, epoch = {next_epoch}, holder = c.holder, instance = c.instance,
    claim_until_ms = t.now_ms + c.ttl_ms, reason = c.reason, updated_at_ms = t.now_ms, events = b.events + 1,
    amount_minor = CASE WHEN {frozen} THEN b.amount_minor ELSE c.amount_minor END,
    currency     = CASE WHEN {frozen} THEN b.currency     ELSE c.currency END,
    posting_url  = CASE WHEN {frozen} THEN b.posting_url  ELSE c.posting_url END,
    via          = CASE WHEN b.approved_until_ms IS NOT NULL THEN b.via ELSE c.via END,
    evaluation   = CASE WHEN {frozen} THEN b.evaluation   ELSE c.evaluation END,
    proposal     = CASE WHEN {frozen} THEN b.proposal     ELSE c.proposal END
FROM t, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    AS c(ord, bid, from_state, claim, guard, event_key, to_state, reason,
        new_claim, holder, instance, ttl_ms, amount_minor, currency, posting_url, via, evaluation, proposal)
WHERE {guard} AND NOT {another}
RETURNING {moved};
