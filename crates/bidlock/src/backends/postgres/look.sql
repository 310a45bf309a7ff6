-- Whether the server is a standby, and what of the locks is there: schema, table, function. Arguments: none. One row.
SELECT pg_is_in_recovery(), EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'bidlock'),
    to_regclass('bidlock.lease') IS NOT NULL,
    to_regprocedure('bidlock.exchange_1(text[], uuid[], text[], text[], uuid[], bigint[])') IS NOT NULL;
