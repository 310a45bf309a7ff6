-- When old locks end; at most so many. -> the time as it is written
SELECT CAST(expires_at AS TEXT) FROM distributed_locks LIMIT ?1
