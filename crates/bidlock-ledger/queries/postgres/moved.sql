-- {moved} in the other files: what a guarded UPDATE answers: the change's ordinal, the time, the hash of the bid's
-- last event, the state that it has left, and the row as it is now. The row was locked by an earlier statement, so the hash is the last one.
c.ord, t.now_ms,
    (SELECT e.hash FROM bidlock.events AS e WHERE e.bid = b.id AND e.seq = b.events - 1), c.from_state, {columns}
