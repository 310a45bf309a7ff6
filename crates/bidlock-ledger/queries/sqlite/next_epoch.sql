-- {next_epoch} in the other files: one more than any claim of this row's posting ever had.
1 + max(epoch, coalesce((SELECT max(e.epoch) FROM bids AS e
    WHERE e.marketplace = bids.marketplace AND e.posting = bids.posting AND e.rebid_allowed), 0))
