-- Whether the database holds a ledger. -> whether the migrations' own table is there, whether bids are
SELECT to_regclass('bidlock.refinery_schema_history') IS NOT NULL, to_regclass('bidlock.bids') IS NOT NULL,
    EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'bidlock'), pg_is_in_recovery();
