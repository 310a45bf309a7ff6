-- Takes a key's advisory lock until the transaction ends, and waits for it. $1 key -> nothing
SELECT pg_advisory_xact_lock(hashtextextended($1, 1651074156))::TEXT;
