-- What decides whether a binary may work with this ledger.
-- -> the schema's version or null, the oldest protocol that may
SELECT (SELECT max(version) FROM refinery_schema_history), protocol_floor FROM ledger WHERE one = 1;
