-- How the table writes its marketplaces, one look into the index on `marketplace` a name instead of reading the table.
-- -> the name
WITH RECURSIVE held(name) AS (
    SELECT min(marketplace) FROM bids
    UNION ALL
    SELECT (SELECT min(b.marketplace) FROM bids AS b WHERE b.marketplace > held.name)
    FROM held WHERE held.name IS NOT NULL
)
SELECT CAST(name AS TEXT) FROM held WHERE name IS NOT NULL
