-- The words that the column `status` may hold, where its type lists them, and otherwise some that it holds.
-- -> the word
SELECT e.enumlabel::text FROM pg_enum AS e JOIN pg_attribute AS a ON a.atttypid = e.enumtypid
WHERE a.attrelid = to_regclass('bids') AND a.attname = 'status'
UNION ALL
SELECT * FROM (SELECT DISTINCT status::text FROM bids LIMIT 100) AS held;
