-- Frees keys that their nonces hold, live, and no others; then makes each wanted key its new holder's, if it is free or
-- its lease has expired, and grants it again to the nonce that holds it. Losers are told by a read and write nothing. No
-- key may be in either list twice. A lost commit of the last moments before a crash loses a lease, not a bid, so
-- nobody waits for the disk.
--
-- A function, because a session of the server keeps the plans of its functions: as cheap as prepared statements, and
-- safe behind a transaction pooler, as the client need not know the session. One for both, as what a statement costs
-- beside its rows is as much as twenty rows. A kept plan must suit a table that has grown since, so it may do nothing but
-- probe the index: hence the settings. Another body needs another number: binaries of several versions work side by side.
-- $1, $2 keys to be freed and their nonces; $3 to $6 wanted keys, holders, nonces, TTLs in microseconds
-- -> for a key to be freed: its ordinal, and whether it was freed (true) or is somebody else's (false); no row where it
-- had expired. For a wanted key that is held: its ordinal, who holds it and for how long; for one that was granted: the
-- key and its token; no row where another one was faster than the statement could see: ask again
CREATE FUNCTION bidlock.exchange_1(
    freed_keys TEXT[], freed_nonces UUID[], keys TEXT[], holders TEXT[], nonces UUID[], ttls_us BIGINT[])
RETURNS TABLE (freed BOOLEAN, ord BIGINT, granted TEXT, token BIGINT, held_by TEXT, held_for_us BIGINT)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off AS $$
#variable_conflict use_column
DECLARE
    now_us BIGINT := (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT;
    count BIGINT;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF cardinality(freed_keys) > 0 THEN
        RETURN QUERY
        UPDATE bidlock.lease AS l SET deadline_us = now_us, nonce = '00000000-0000-0000-0000-000000000000'
        FROM unnest(freed_keys, freed_nonces) WITH ORDINALITY AS g(key, nonce, ord)
        WHERE l.key = g.key AND l.nonce = g.nonce AND l.deadline_us > now_us
        RETURNING TRUE, g.ord, NULL::TEXT, NULL::BIGINT, NULL::TEXT, NULL::BIGINT;
        GET DIAGNOSTICS count = ROW_COUNT;
        IF count < cardinality(freed_keys) THEN
            RETURN QUERY
            SELECT FALSE, g.ord, NULL::TEXT, NULL::BIGINT, NULL::TEXT, NULL::BIGINT
            FROM unnest(freed_keys, freed_nonces) WITH ORDINALITY AS g(key, nonce, ord)
            JOIN bidlock.lease AS h ON h.key = g.key AND h.nonce <> g.nonce AND h.deadline_us > now_us;
        END IF;
    END IF;
    IF cardinality(keys) > 0 THEN
        RETURN QUERY
        WITH wanted AS MATERIALIZED (
            SELECT w.*, h.holder AS held_by, h.deadline_us - now_us AS held_for_us
            FROM unnest(keys, holders, nonces, ttls_us) WITH ORDINALITY AS w(key, holder, nonce, ttl_us, ord)
            LEFT JOIN bidlock.lease AS h ON h.key = w.key AND h.nonce <> w.nonce AND h.deadline_us > now_us),
        made AS (
            INSERT INTO bidlock.lease AS l (key, holder, nonce, token, granted_us, deadline_us)
            SELECT w.key, w.holder, w.nonce, now_us, now_us, now_us + w.ttl_us
            FROM wanted AS w WHERE w.held_by IS NULL
            ORDER BY w.key COLLATE "C"
            ON CONFLICT (key) DO UPDATE SET
                holder = excluded.holder, nonce = excluded.nonce,
                token = CASE WHEN l.nonce = excluded.nonce THEN l.token ELSE greatest(l.token + 1, excluded.token) END,
                granted_us = CASE WHEN l.nonce = excluded.nonce THEN l.granted_us ELSE excluded.granted_us END,
                deadline_us = excluded.deadline_us
            WHERE l.nonce = excluded.nonce OR l.deadline_us <= excluded.granted_us
            RETURNING l.key, l.token)
        SELECT NULL::BOOLEAN, NULL::BIGINT, m.key, m.token, NULL::TEXT, NULL::BIGINT FROM made AS m
        UNION ALL
        SELECT NULL, w.ord, NULL, NULL, w.held_by, w.held_for_us FROM wanted AS w WHERE w.held_by IS NOT NULL;
    END IF;
END
$$;
