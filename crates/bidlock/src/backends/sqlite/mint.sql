-- The next fencing token. ?1 the time in microseconds since 1970. Returns it: that time, or the last one plus one.
UPDATE bidlock_token SET last = max(last + 1, ?1) WHERE one = 1
RETURNING last;
