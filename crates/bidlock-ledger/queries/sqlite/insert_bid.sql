-- Creates the bid unless the posting has a live one: the unique index decides, and naming it here makes
-- the statement fail where the index is missing.
-- ?1.. in the order of the columns -> rows changed, 0 or 1
INSERT INTO bids ({columns})
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
        ?23, ?24, ?25, ?26, ?27)
ON CONFLICT (marketplace, posting) WHERE NOT rebid_allowed DO NOTHING;
