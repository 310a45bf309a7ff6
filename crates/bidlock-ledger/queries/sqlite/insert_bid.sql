-- Creates the bid unless the posting has a live one: the unique index decides, and naming it here makes
-- the statement fail where the index is missing. Nor is one made beside an earlier bid that the marketplace has
-- or may have: such a row should be the live one, and this is what holds should it not be.
-- ?1.. in the order of the columns -> rows changed, 0 or 1
INSERT INTO bids ({columns})
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23, ?24, ?25, ?26, ?27, ?28
WHERE NOT EXISTS (SELECT 1 FROM bids AS o WHERE o.marketplace = ?2 AND o.posting = ?3
    AND o.rebid_allowed AND o.state IN ({in_use}))
ON CONFLICT (marketplace, posting) WHERE NOT rebid_allowed DO NOTHING;
