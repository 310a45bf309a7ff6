//! S8: a bid is called by the name of what was sent for it, while the marketplace has that.

use bidlock_ledger::{Action, BidState};
use uuid::Uuid;

use super::made_up::{NOTHING, Row, Run, posting, violated};

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
    assert_eq!(named(1, 0), ["S8"], "that of an earlier bid, whose key it has: one bid there, two rows");
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
