-- A mirrored bid; not one more under the same status, which is unique in the replaced system. -> rows made, 0 or 1
INSERT INTO bids ({names}) VALUES ({values}) ON CONFLICT DO NOTHING
