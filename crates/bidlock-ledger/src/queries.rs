//! What the named queries of both engines share: how a file becomes a statement.

use crate::BidState;

/// The statement without its comments and its last semicolon: short, as it travels or is compared with each call.
pub(crate) fn bare(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join(" ").trim().trim_end_matches(';').to_owned()
}

/// The states of which something holds, as SQL: names of our own enum, so they need no escaping.
pub(crate) fn states(holds: fn(BidState) -> bool) -> String {
    let names = BidState::ALL.into_iter().filter(|state| holds(*state)).map(|state| format!("'{state}'"));
    names.collect::<Vec<_>>().join(", ")
}
