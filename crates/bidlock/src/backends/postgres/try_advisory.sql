-- Takes a key's advisory lock until the transaction ends, if it is free. $1 key -> whether it was
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 1651074156));
