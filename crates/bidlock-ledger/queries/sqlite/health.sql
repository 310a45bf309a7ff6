-- A write that a health check waits for.
-- ?1 wall time
UPDATE health SET checks = checks + 1, checked_at_ms = ?1 WHERE one = 1;
