-- The payload that a new row must repeat: the last bid was sent, its answer was lost, and a person decided that
-- it never arrived. One that was answered with a no needs another.
-- ?1 marketplace, ?2 posting, ?3 its epoch -> the payload's columns
SELECT amount_minor, currency, posting_url, via, evaluation, proposal
FROM bids WHERE marketplace = ?1 AND posting = ?2 AND rebid_allowed AND epoch = ?3
    AND state = 'not_submitted' AND attempts > 0 AND unknown_cause IS NOT NULL;
