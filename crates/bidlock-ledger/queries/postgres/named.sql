-- {named} in the other files: another bid on this row's posting bears the marketplace's name c.external_ref. In two
-- parts, as each has an index.
(EXISTS (SELECT 1 FROM bidlock.bids AS o WHERE o.marketplace = b.marketplace AND o.posting = b.posting
    AND NOT o.rebid_allowed AND o.id <> b.id AND o.external_ref = c.external_ref)
OR EXISTS (SELECT 1 FROM bidlock.bids AS o WHERE o.marketplace = b.marketplace AND o.posting = b.posting
    AND o.rebid_allowed AND o.id <> b.id AND o.external_ref = c.external_ref))
