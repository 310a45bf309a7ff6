-- Some of the words that the column `status` holds. -> the word
SELECT DISTINCT CAST(status AS TEXT) FROM bids LIMIT 100;
