-- The schema's version, or null.
SELECT max(version)::BIGINT FROM bidlock.refinery_schema_history;
