-- Which table this is, whatever host and user the URL names: the cluster, the database, the schema. -> the three
SELECT (SELECT system_identifier::text FROM pg_control_system()), current_database()::text, n.nspname::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('bids');
