//! Whose a bid is that the marketplace shows, for every way in which two rows of a posting can claim it.

use bidlock_ledger::{BidId, ClaimId, Claimant, Epoch, Payload, PostingId, WallTime};
use uuid::Uuid;

use super::*;

const KEY: Uuid = Uuid::from_u128(1);
/// When the rows were sent, in milliseconds.
const SENT: i64 = 1_800_000_000_000;

/// The posting's `n`-th row in this state, which was sent.
pub(crate) fn row(n: i64, state: BidState) -> Bid {
    Bid {
        id: BidId(Uuid::from_u128(n as u128)),
        posting: PostingId::new("m", "1").unwrap(),
        state,
        rebid_allowed: false,
        claim_id: ClaimId(Uuid::nil()),
        epoch: Epoch(n),
        claimant: Claimant { holder: "a".to_owned(), instance: None },
        claim_remaining: None,
        attempts: 1,
        payload: Payload {
            amount: None,
            proposal: String::new(),
            posting_url: None,
            via: "scripted".to_owned(),
            evaluation: None,
        },
        idempotency_key: KEY,
        external_ref: None,
        approved_until: None,
        unknown_cause: None,
        reason: None,
        first_sent_at: Some(WallTime(SENT)),
        last_sent_at: Some(WallTime(SENT)),
        created_at: WallTime(SENT),
        updated_at: WallTime(SENT),
        events: 1,
    }
}

fn named(n: i64, state: BidState, name: &str) -> Bid {
    Bid { external_ref: Some(name.to_owned()), ..row(n, state) }
}

/// What the marketplace shows under the rows' key.
fn there(names: &[&str]) -> Vec<RemoteBid> {
    let shown = |name: &&str| RemoteBid {
        external_ref: (*name).to_owned(),
        posting_id: "1".to_owned(),
        idempotency_key: Some(KEY.to_string()),
        status: "active".to_owned(),
        created_at: None,
    };
    names.iter().map(shown).collect()
}

/// The name that is found for a row, or why none is.
fn found(bid: &Bid, others: &[Bid], remote: &[RemoteBid]) -> Result<String, String> {
    match choose(bid, others, remote) {
        Found::Ours(ours) => Ok(ours.external_ref.clone()),
        Found::Not(why) => Err(why),
    }
}

#[test]
fn alone_a_row_has_what_shows_its_key_and_else_nothing_is_proven() {
    let bid = row(1, BidState::Unknown);
    assert_eq!(found(&bid, &[], &there(&["x1"])).unwrap(), "x1");
    assert!(found(&bid, &[], &[]).unwrap_err().contains("not among the 0 bids"));
    let mut strangers = there(&["x1", "x2"]);
    for stranger in &mut strangers {
        stranger.idempotency_key = Some(Uuid::from_u128(2).to_string());
    }
    assert!(found(&bid, &[], &strangers).unwrap_err().contains("not among the 2 bids"));
}

#[test]
fn what_another_row_is_known_by_is_not_taken_from_it() {
    use BidState::*;
    for state in [Submitted, Won, Lost, Withdrawing, Withdrawn] {
        let other = named(2, state, "x1");
        assert!(found(&row(1, Unknown), std::slice::from_ref(&other), &there(&["x1"])).is_err(), "{state:?}");
        // And it claims no other: what else is there is the first row's.
        assert_eq!(found(&row(1, NotSubmitted), &[other], &there(&["x1", "x2"])).unwrap(), "x2", "{state:?}");
    }
}

#[test]
fn a_later_row_that_may_have_made_it_comes_first_before_a_row_called_not_submitted() {
    use BidState::*;
    let bid = row(1, NotSubmitted);
    for state in [Unknown, NotSubmitted, Submitted, Won] {
        let later = row(2, state);
        let why = found(&bid, std::slice::from_ref(&later), &there(&["x1"])).unwrap_err();
        assert!(why.contains("may be the later bid"), "{state:?}: {why}");
        assert!(
            found(&bid, std::slice::from_ref(&later), &[]).unwrap_err().contains("no proof"),
            "{state:?}"
        );
        // One each, where there are two.
        assert_eq!(found(&bid, &[later], &there(&["x1", "x2"])).unwrap(), "x1", "{state:?}");
    }
    let why = found(&bid, &[row(2, Submitting)], &there(&["x1", "x2"])).unwrap_err();
    assert!(why.contains("being sent at this moment"), "{why}");
}

#[test]
fn a_row_that_made_nothing_and_one_of_another_key_claim_nothing() {
    use BidState::*;
    let bid = row(1, NotSubmitted);
    let never_sent = Bid { attempts: 0, ..row(2, Submitting) };
    let of_another_key = Bid { idempotency_key: Uuid::from_u128(2), ..row(2, Unknown) };
    for (what, other) in [
        ("never sent", never_sent),
        ("another key", of_another_key),
        ("came back with proof", row(2, Rejected)),
        ("came back unsent", row(2, Abandoned)),
        ("an earlier one", row(0, Unknown)),
        ("itself, as it were", row(1, Unknown)),
    ] {
        assert_eq!(found(&bid, &[other], &there(&["x1"])).as_deref(), Ok("x1"), "{what}");
    }
    // A row that nobody called not submitted waits for no other.
    assert_eq!(found(&row(1, Unknown), &[row(2, Unknown)], &there(&["x1"])).unwrap(), "x1");
}

#[test]
fn a_bid_dated_clearly_before_the_later_row_was_sent_is_the_earlier_ones() {
    let (bid, later) = (row(1, BidState::NotSubmitted), row(2, BidState::Unknown));
    let limit = Timestamp::from_millisecond(SENT).unwrap().checked_sub(CLOCK_ALLOWANCE).unwrap();
    let dated = |at: Timestamp| vec![RemoteBid { created_at: Some(at), ..there(&["x1"]).remove(0) }];
    let moment = std::time::Duration::from_millis(1);
    assert_eq!(found(&bid, std::slice::from_ref(&later), &dated(limit - moment)).unwrap(), "x1");
    assert!(found(&bid, &[later], &dated(limit)).is_err(), "clocks may differ by so much");
}
