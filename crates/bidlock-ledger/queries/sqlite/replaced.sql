-- Whether the file has a table `bids` of a replaced system. -> yes or no
SELECT count(*) = 3 FROM pragma_table_info('bids') WHERE name IN ('marketplace', 'job_id', 'status');
