//! S8: a bid is called by the name of what was sent for it, while the marketplace has that. And what S1 and S2 make of names
//! and requests that are not a bid's own.

use bidlock_ledger::{Action, BidState};
use serde_json::json;
use uuid::Uuid;

use super::made_up::{Row, Run, posting, violated};

const NOTHING: [&str; 0] = [];

#[test]
fn s8_a_bid_has_not_the_name_of_another() {
    let named = |n: u32, key: u128| {
        let mut run = Run::new();
        run.plain(1, 1_000);
        run.appears(2);
        let mut row = Row::claimed(n, 7, 2_000, "scanner-2.1").door(2_010, "scanner-2.1");
        row.bid.idempotency_key = Uuid::from_u128(key);
        row.bid.rebid_allowed = n == 1;
        if n == 1 {
            run.plain(2, 500);
        }
        run.request(2_020, &posting(n), row.bid.id, None, Some("422"));
        run.row(row.accept(2_040, "scanner-2.1", "b1"));
        violated(&run.check())
    };
    assert_eq!(named(2, 0), ["S8"], "that of another posting");
    assert_eq!(named(1, 5), ["S8"], "that of an earlier bid");
    assert_eq!(named(1, 0), NOTHING, "that of an earlier bid, whose key it has");
}

#[test]
fn s8_what_is_withdrawn_is_called_so_and_nothing_else_is() {
    let withdrawn = |there_ms: Option<i64>, to: BidState| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, Some("b1"), None);
        if let Some(at_ms) = there_ms {
            run.withdraws(at_ms, "b1");
        }
        let row = row.accept(2_000, "scanner-1.1", "b1");
        run.row(match to {
            BidState::Withdrawn => row
                .then(2_100, Action::Withdraw, BidState::Withdrawing, "operator:eve")
                .then(2_200, Action::ConfirmWithdrawn, to, "operator:eve"),
            _ => row,
        });
        violated(&run.check())
    };
    assert_eq!(withdrawn(Some(2_150), BidState::Withdrawn), NOTHING);
    assert_eq!(withdrawn(None, BidState::Withdrawn), ["S8"], "the marketplace has it still");
    assert_eq!(withdrawn(None, BidState::Submitted), NOTHING);
    assert_eq!(withdrawn(Some(2_150), BidState::Submitted), ["S8"], "it has it no more");
    assert_eq!(withdrawn(Some(1_500), BidState::Withdrawn), ["S8"], "called submitted when it was gone");
}

#[test]
fn s1_a_posting_that_is_found_to_have_its_bid_is_not_free_any_more() {
    let found = |reopened: bool| {
        let mut run = Run::new();
        run.appears(1);
        let first = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), first.bid.id, Some("b1"), Some("reset-after"));
        let frees = json!({ "rebid_allowed": true });
        let none = Some(Action::ResolveNotSubmitted);
        let first = first.lose(1_040, "scanner-1.1", "connection_lost");
        let first =
            first.event(2_000, none, BidState::NotSubmitted, "operator:eve", frees, Some("none is there"));
        let mut first = first.find(2_500, "b1");
        first.bid.rebid_allowed = !reopened;
        run.row(first);
        let mut second = Row::claimed(1, 2, 3_000, "scanner-2.1").door(3_010, "scanner-2.1");
        run.request(3_020, &posting(1), second.bid.id, Some("b2"), None);
        // Freed too by now, so that no two rows are live.
        second.bid.rebid_allowed = reopened;
        run.row(second.accept(3_040, "scanner-2.1", "b2"));
        violated(&run.check())
    };
    assert_eq!(found(true), ["S1"]);
    assert_eq!(found(false), NOTHING, "another had been made when it was found: it stays free");
}

#[test]
fn s2_a_passage_that_was_not_used_is_no_leave_for_two_requests_later() {
    let requests = |times: &[i64]| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        let row = row.then(1_100, Action::HandBack, BidState::Abandoned, "scanner-1.1");
        let row = row.take_over(4_000, "scanner-2.1").door(4_010, "scanner-2.1");
        for (n, at_ms) in times.iter().enumerate() {
            let is_last = n + 1 == times.len();
            let (name, fault) = if is_last { (Some("b1"), None) } else { (None, Some("429")) };
            run.request(*at_ms, &posting(1), row.bid.id, name, fault);
        }
        run.row(row.accept(8_000, "scanner-2.1", "b1"));
        violated(&run.check())
    };
    assert_eq!(requests(&[1_020, 4_020]), NOTHING);
    assert_eq!(requests(&[4_020]), NOTHING, "the first one was not sent");
    assert_eq!(requests(&[7_000, 7_020]), ["S2"]);
}

#[test]
fn s2_a_request_without_a_bid_has_passed_no_door() {
    let mut run = Run::new();
    run.plain(1, 1_000);
    let nobodys = Row::claimed(1, 9, 2_000, "scanner-2.1").bid.id;
    run.request(2_020, &posting(1), nobodys, None, Some("422"));
    assert_eq!(violated(&run.check()), ["S2"]);
}
