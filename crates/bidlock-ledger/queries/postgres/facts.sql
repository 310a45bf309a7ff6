-- What an operator wants to know of the server. So many bids as can be counted in a moment are counted; more are what the
-- server's statistics say, which know nothing of a table that is new.
SELECT version(), current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), pg_is_in_recovery()::TEXT,
    (SELECT CASE WHEN n <= 10000 THEN n::TEXT
        ELSE 'about ' || (SELECT greatest(reltuples::BIGINT, n)::TEXT FROM pg_class WHERE oid = 'bidlock.bids'::regclass) END
     FROM (SELECT count(*) AS n FROM (SELECT 1 FROM bidlock.bids LIMIT 10001) AS first_ones) AS counted),
    pg_size_pretty(pg_database_size(current_database())), bidlock.now_ms()::TEXT,
    coalesce(current_setting('bidlock.clock_ms', true), ''), (SELECT protocol_floor::TEXT FROM bidlock.ledger),
    (SELECT count(*)::TEXT FROM pg_stat_activity WHERE backend_type = 'client backend'), current_setting('max_connections'),
    coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), '');
