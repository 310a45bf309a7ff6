//! What the cases are made of.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    Actor, Applied, Bid, BidState, Change, Claim, ClaimOutcome, ClaimRef, Claimant, Currency, LedgerStore,
    Money, Move, NewClaim, Payload, PostingId, UnknownCause,
};

/// How long claims live in the cases.
pub const TTL: Duration = Duration::from_secs(60);

/// A made-up posting.
pub fn posting(name: &str) -> PostingId {
    PostingId::new("examplework", name).unwrap()
}

/// A payload that names itself.
pub fn payload(text: &str) -> Payload {
    Payload {
        amount: Some(Money { minor: 12_500, currency: Currency::USD }),
        proposal: text.to_owned(),
        posting_url: Some("https://jobs.example/1".to_owned()),
        via: "dry-run".to_owned(),
        evaluation: None,
    }
}

/// A claimant by name.
pub fn claimant(holder: &str) -> Claimant {
    Claimant { holder: holder.to_owned(), instance: Some(Uuid::from_u128(holder.len() as u128)) }
}

/// A request for a claim of a minute.
pub fn request(posting: &PostingId, holder: &str) -> NewClaim {
    NewClaim {
        posting: posting.clone(),
        claimant: claimant(holder),
        ttl: TTL,
        payload: payload(&format!("proposal of {holder}")),
    }
}

/// Claims, whatever the answer.
pub async fn claim(ledger: &dyn LedgerStore, posting: &PostingId, holder: &str) -> ClaimOutcome {
    ledger.claim(&[request(posting, holder)]).await.unwrap().remove(0)
}

/// Claims, and must be granted.
pub async fn granted(ledger: &dyn LedgerStore, posting: &PostingId, holder: &str) -> Claim {
    match claim(ledger, posting, holder).await {
        ClaimOutcome::Granted(claim) => *claim,
        ClaimOutcome::Existing(bid) => panic!("{posting} should be free for {holder}, but there is {bid:?}"),
    }
}

/// Claims, and must be told of an existing bid.
pub async fn existing(ledger: &dyn LedgerStore, posting: &PostingId, holder: &str) -> Bid {
    match claim(ledger, posting, holder).await {
        ClaimOutcome::Existing(bid) => *bid,
        ClaimOutcome::Granted(claim) => panic!("{posting} should be taken, but {holder} got {claim:?}"),
    }
}

/// Applies one change.
pub async fn apply(ledger: &dyn LedgerStore, change: Change) -> Applied {
    ledger.apply(&[change]).await.unwrap().remove(0)
}

/// Makes a move under a claim, whatever the answer.
pub async fn attempt(ledger: &dyn LedgerStore, at: ClaimRef, action: Move) -> Applied {
    apply(ledger, Change::new(at, Actor::scanner("here"), action)).await
}

/// Makes a move that must succeed, without an alarm.
pub async fn moved(ledger: &dyn LedgerStore, at: ClaimRef, action: Move) -> Bid {
    match attempt(ledger, at, action.clone()).await {
        Applied::Moved { bid, alarm: None } => *bid,
        other => panic!("{action:?} should have moved the bid: {other:?}"),
    }
}

/// The door, with the usual TTL and no cap.
pub fn door() -> Move {
    Move::EnterSubmitting { ttl: TTL, cap: None }
}

/// The marketplace's yes.
pub fn accept() -> Move {
    Move::Accept { external_ref: "remote-1".to_owned() }
}

/// A look-up found the bid under this name.
pub fn find(external_ref: &str) -> Move {
    Move::Find { external_ref: external_ref.to_owned() }
}

/// Approval for an hour.
pub fn approve() -> Move {
    Move::Approve { valid_for: Duration::from_secs(3_600) }
}

/// The answer was lost by a time-out.
pub fn lose_answer() -> Move {
    Move::LoseAnswer { cause: UnknownCause::Timeout }
}

/// The moves that lead a fresh claim to a state.
pub fn way_to(state: BidState) -> Vec<Move> {
    let mut way = match state {
        BidState::Claimed => return Vec::new(),
        BidState::AwaitingApproval | BidState::Approved => vec![Move::AwaitApproval],
        BidState::Abandoned => vec![Move::HandBack],
        BidState::Declined => vec![Move::Decline],
        _ => vec![door()],
    };
    way.extend(match state {
        BidState::Approved => vec![approve()],
        BidState::Submitted => vec![accept()],
        BidState::Rejected => vec![Move::Refuse],
        BidState::Won => vec![accept(), Move::Win],
        BidState::Lost => vec![accept(), Move::Lose],
        BidState::Withdrawing => vec![accept(), Move::Withdraw],
        BidState::Withdrawn => {
            vec![accept(), Move::Withdraw, Move::ConfirmWithdrawn { rebid_allowed: false }]
        }
        BidState::Unknown => vec![lose_answer()],
        BidState::NotSubmitted => vec![lose_answer(), Move::ResolveNotSubmitted { allow_new_bid: false }],
        _ => Vec::new(),
    });
    way
}

/// Makes several moves in a row.
pub async fn walk(ledger: &dyn LedgerStore, mut bid: Bid, way: Vec<Move>) -> Bid {
    for action in way {
        bid = moved(ledger, bid.claim_ref(), action).await;
    }
    bid
}

/// Claims a posting and leads its bid to a state.
pub async fn bid_in(ledger: &dyn LedgerStore, posting: &PostingId, state: BidState) -> Bid {
    let bid = granted(ledger, posting, "here").await.bid;
    let bid = walk(ledger, bid, way_to(state)).await;
    assert_eq!(bid.state, state);
    bid
}

/// Reads a bid that must be there.
pub async fn read(ledger: &dyn LedgerStore, bid: &Bid) -> Bid {
    ledger.bid(bid.id).await.unwrap().expect("the bid was made")
}
