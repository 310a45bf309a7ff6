-- {another} in the other files: another bid on this row's posting, which the marketplace has or may have. Where this
-- row is not flagged every other one is, so that only the earlier ones are looked at: nearly always none.
EXISTS (SELECT 1 FROM bidlock.bids AS o WHERE o.marketplace = b.marketplace AND o.posting = b.posting
    AND o.rebid_allowed AND o.id <> b.id AND o.state IN ({in_use}))
