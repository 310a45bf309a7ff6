//! The transition table against the store: what it allows happens, and nothing else does.

use super::{Rig, fixtures::*};
use crate::{
    Applied, BidState, Move, NotMoved, UnknownCause,
    state::{Guard, Rule, rules_for},
};

fn every_move() -> Vec<Move> {
    vec![
        Move::AwaitApproval,
        approve(),
        Move::Decline,
        door(),
        Move::TakeSending { claimant: claimant("sender"), ttl: TTL, cap: None },
        accept(),
        Move::Refuse,
        Move::LoseAnswer { cause: UnknownCause::Redirect },
        Move::HandBack,
        Move::Find { external_ref: "remote-2".to_owned() },
        Move::ResolveSubmitted { external_ref: None },
        Move::ResolveNotSubmitted { allow_new_bid: true },
        Move::Withdraw,
        Move::ConfirmWithdrawn { rebid_allowed: true },
        Move::RefuseWithdrawal,
        Move::Win,
        Move::Lose,
        Move::Import,
    ]
}

/// Every state with every move: moved where a rule says so, to where it says; otherwise nothing changes.
/// Final states have no rules (but a person's for a refusal), so this is S7 too.
pub async fn s7_the_table_is_the_law(rig: &impl Rig) {
    let ledger = rig.open().await;
    for state in BidState::ALL {
        for action in every_move() {
            let name = format!("{state} {}", action.action().as_str());
            let bid = bid_in(&*ledger, &posting(&name), state).await;
            // Nothing has expired in this case, and no row here that can be handed back was ever approved.
            let allowed = |rule: &&Rule| {
                rule.from == state
                    && !matches!(rule.guard, Guard::Expired | Guard::ApprovalExpired | Guard::WasApproved)
            };
            let rule = rules_for(action.action()).find(allowed);
            match (attempt(&*ledger, bid.claim_ref(), action).await, rule) {
                (Applied::Moved { bid: now, .. }, Some(rule)) => {
                    assert_eq!((now.state, now.events), (rule.to, bid.events + 1), "{name}");
                    assert_eq!(now.payload, bid.payload, "{name}");
                    assert_eq!(now.idempotency_key, bid.idempotency_key, "{name}");
                }
                (Applied::Not(NotMoved::WrongState(row)), None) => {
                    assert_eq!(*row, bid, "{name}");
                    assert_eq!(read(&*ledger, &bid).await, bid, "{name}");
                }
                (answer, rule) => panic!("{name}: the table says {rule:?}, the store {answer:?}"),
            }
        }
    }
}
