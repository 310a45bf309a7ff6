-- Frees a key whoever holds it. $1 key. One row if somebody did.
UPDATE bidlock.lease SET nonce = '00000000-0000-0000-0000-000000000000',
    deadline_us = (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT
WHERE key = $1 AND deadline_us > (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT
RETURNING 1;
