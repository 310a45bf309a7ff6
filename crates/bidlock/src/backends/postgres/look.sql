-- Whether the schema and the table are there, and whether the server is a standby. Arguments: none. One row.
SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'bidlock'), to_regclass('bidlock.lease') IS NOT NULL,
    pg_is_in_recovery();
