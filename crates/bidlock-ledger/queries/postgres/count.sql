-- How many bids of each state match. {where} as in list.sql.
SELECT b.state, count(*) FROM bidlock.bids AS b WHERE {where} GROUP BY b.state;
