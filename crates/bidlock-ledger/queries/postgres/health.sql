-- A write that a health check waits for, committed as bids are.
WITH t AS MATERIALIZED ({durable})
UPDATE bidlock.health SET checks = checks + 1, checked_at_ms = t.now_ms FROM t WHERE one = 1
RETURNING t.now_ms;
