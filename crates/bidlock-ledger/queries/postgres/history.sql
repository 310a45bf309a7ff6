-- A bid's events, oldest first.
-- $1 bid
SELECT seq, at_ms, action, from_state, to_state, claim_id, epoch, actor, reason, detail, event_key, hash
FROM bidlock.events WHERE bid = $1 ORDER BY seq;
