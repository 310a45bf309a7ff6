-- How many bids of each state match. {where} as in list.sql.
SELECT state, count(*) FROM bids WHERE {where} GROUP BY state;
