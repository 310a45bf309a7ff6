-- {named} in the other files: another bid on this row's posting bears the marketplace's name ?10. In two parts, as
-- each has an index.
(EXISTS (SELECT 1 FROM bids AS o WHERE o.marketplace = bids.marketplace AND o.posting = bids.posting
    AND NOT o.rebid_allowed AND o.id <> bids.id AND o.external_ref = ?10)
OR EXISTS (SELECT 1 FROM bids AS o WHERE o.marketplace = bids.marketplace AND o.posting = bids.posting
    AND o.rebid_allowed AND o.id <> bids.id AND o.external_ref = ?10))
