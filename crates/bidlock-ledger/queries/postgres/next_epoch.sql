-- {next_epoch} in the other files: one more than any claim of this row's posting ever had.
1 + greatest(b.epoch, coalesce((SELECT max(e.epoch) FROM bidlock.bids AS e
    WHERE e.marketplace = b.marketplace AND e.posting = b.posting AND e.rebid_allowed), 0))
