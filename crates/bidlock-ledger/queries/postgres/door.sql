-- The one-way door: counts the attempt, renews the expiry, and for an approved bid takes the claim. Shut
-- while the marketplace has, or may have, another bid on the posting. The cap counts the bids of this marketplace that
-- were last sent since a time and may have arrived; only a further attempt of a running submission passes without being
-- counted. A capped change is alone in its statement, behind lock_cap.sql, so that the count holds.
-- $1..$8 as in move.sql; $9 new claims or null, $10 their holders, $11 their instances, $12 TTLs in ms, $13 caps or
-- null, $14 counted since -> see moved.sql
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.bids AS b SET
    state = c.to_state, claim_id = coalesce(c.new_claim, b.claim_id),
    epoch = CASE WHEN c.new_claim IS NULL THEN b.epoch ELSE {next_epoch} END,
    holder = CASE WHEN c.new_claim IS NULL THEN b.holder ELSE c.holder END,
    instance = CASE WHEN c.new_claim IS NULL THEN b.instance ELSE c.instance END,
    claim_until_ms = t.now_ms + c.ttl_ms, attempts = b.attempts + 1,
    first_sent_at_ms = coalesce(b.first_sent_at_ms, t.now_ms), last_sent_at_ms = t.now_ms, reason = c.reason,
    updated_at_ms = t.now_ms, events = b.events + 1
FROM t, unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    AS c(ord, bid, from_state, claim, guard, event_key, to_state, reason,
        new_claim, holder, instance, ttl_ms, cap, since_ms)
WHERE {guard} AND NOT {another}
    AND (c.cap IS NULL OR c.from_state = 'submitting'
        OR (SELECT count(*) FROM bidlock.bids AS s
            WHERE s.marketplace = b.marketplace AND s.last_sent_at_ms >= c.since_ms
                AND s.state IN ({sent})) < c.cap)
RETURNING {moved};
