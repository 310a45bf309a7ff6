-- Where the next part of a running sweep ends. ?1 the key it starts after, ?2 how many rows it may look at.
-- Returns the last key of the part, or NULL when there is nothing left.
SELECT max(key) FROM (SELECT key FROM bidlock_lease WHERE key > ?1 ORDER BY key LIMIT ?2);
