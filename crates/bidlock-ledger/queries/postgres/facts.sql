-- What an operator wants to know of the server.
SELECT version(), current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), pg_is_in_recovery()::TEXT,
    (SELECT greatest(reltuples, 0)::BIGINT::TEXT FROM pg_class WHERE oid = 'bidlock.bids'::regclass),
    pg_size_pretty(pg_database_size(current_database())), bidlock.now_ms()::TEXT,
    coalesce(current_setting('bidlock.clock_ms', true), ''), (SELECT protocol_floor::TEXT FROM bidlock.ledger),
    (SELECT count(*)::TEXT FROM pg_stat_activity WHERE backend_type = 'client backend'), current_setting('max_connections'),
    coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), '');
