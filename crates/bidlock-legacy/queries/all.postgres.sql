-- The whole table as it is at one moment. -> the row, mirrored
SELECT {columns}, {mirrored} FROM bids AS b
