//! Which failures of the catalogue (`docs/failures.md`) each kind of fault stands for: the fault rig names its own by the
//! same numbers.

/// Every kind of fault, in alphabetical order, with its numbers.
pub const KINDS: [(&str, &[u8]); 35] = [
    ("abort", &[30]),
    ("crash", &[3, 4]),
    ("drain", &[30]),
    ("ledger_away", &[18]),
    ("ledger_cut_for_one", &[18]),
    ("ledger_late", &[8, 19]),
    ("ledger_not_applied", &[18]),
    ("ledger_reply_lost", &[19]),
    ("lock_late", &[8]),
    ("lock_not_applied", &[16]),
    ("lock_reply_lost", &[7, 17]),
    ("locks_away", &[16]),
    ("locks_cut_for_one", &[16]),
    ("locks_forget", &[9, 11, 15]),
    ("locks_grant_all", &[9]),
    ("look_up_failed", &[28]),
    ("look_up_stale", &[28]),
    ("market_account_refused", &[27]),
    ("market_answer_lost", &[27]),
    ("market_not_reached", &[27]),
    ("market_refused", &[27]),
    ("market_request_late", &[8, 27]),
    ("market_request_lost", &[27]),
    ("market_server_error", &[27]),
    ("market_try_later", &[27]),
    ("operator_allows_new_bid", &[29]),
    ("operator_declines", &[29]),
    ("operator_says_not_submitted", &[29]),
    ("operator_says_submitted", &[29]),
    ("operator_withdraws", &[29]),
    ("pause", &[1, 2, 6]),
    ("wall_clock_jump", &[14]),
    ("withdrawal_answer_lost", &[27]),
    ("withdrawal_refused", &[27]),
    ("withdrawal_try_later", &[27]),
];

/// The numbers of a kind; empty for one that is not in the list.
pub fn numbers(kind: &str) -> &'static [u8] {
    KINDS.iter().find(|(name, _)| *name == kind).map_or(&[], |(_, numbers)| numbers)
}
