-- How the replaced system writes its marketplaces; rows of ours say nothing about that. -> the name
SELECT DISTINCT CAST(b.marketplace AS TEXT) FROM bids AS b WHERE NOT {mirrored} LIMIT 1000;
