//! What look-ups show may not be unknown any more at the end.

use super::made_up::{LAST_SCAN_MS, NOTHING, Row, Run, posting, violated};
use crate::{checker::look_ups::CLOCK_ALLOWANCE_MS, history::Role};

/// The last scan is over by then.
const RECONCILES_MS: u64 = LAST_SCAN_MS + 500;

/// A bid whose answer was lost, and which nobody finds; on a marketplace that behaves so. It came to have it at this time,
/// if at all, of what was sent at that one by the sender's clock.
fn never_found(market: &'static str, accepted_ms: Option<i64>, sent_ms: i64) -> Vec<&'static str> {
    let mut run = Run::new();
    run.market = market;
    run.plain(2, 1_000);
    run.appears(1);
    let at_ms = accepted_ms.unwrap_or(1_020);
    let mut row = Row::claimed(1, 1, at_ms - 20, "scanner-1.1").door(at_ms - 10, "scanner-1.1");
    row.bid.last_sent_at = Some(bidlock_ledger::WallTime(row.bid.created_at.0 + sent_ms - (at_ms - 20)));
    run.request(at_ms, &posting(1), row.bid.id, accepted_ms.map(|_| "b1"), Some("reset-after"));
    run.starts(RECONCILES_MS, "operator.1", Role::Operator);
    run.row(row.lose(at_ms + 20, "scanner-1.1", "connection_lost"));
    violated(&run.check())
}

#[test]
fn l1_what_a_look_up_shows_is_not_unknown_at_the_end() {
    let echoes = "duplicates=accepted";
    assert_eq!(never_found(echoes, Some(1_020), 1_010), ["L1"]);
    assert_eq!(never_found(echoes, None, 1_010), NOTHING, "the marketplace has none");
    let behind_the_scan = i64::try_from(RECONCILES_MS).unwrap();
    assert_eq!(never_found(echoes, Some(behind_the_scan - 100), 1_010), ["L1"], "sent by the last scan");
    assert_eq!(
        never_found(echoes, Some(behind_the_scan + 10), 1_010),
        NOTHING,
        "accepted behind the look-up"
    );
}

#[test]
fn where_keys_are_hidden_a_look_up_goes_by_time() {
    let hides = "duplicates=accepted,echo-keys=no";
    assert_eq!(never_found(hides, Some(1_020), 1_010), ["L1"]);
    assert_eq!(never_found(hides, Some(1_020), 120_000), ["L1"], "within what clocks may differ by");
    assert_eq!(never_found(hides, Some(1_020), 130_000), NOTHING, "its sender's clock was far ahead");
}

#[test]
fn clocks_may_differ_by_as_much_as_for_a_look_up() {
    assert_eq!(i128::from(CLOCK_ALLOWANCE_MS), bidlock_market::CLOCK_ALLOWANCE.as_millis());
}
