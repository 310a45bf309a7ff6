//! A line of a bid's history, before it is written: the same on every engine, as the hash chain covers it.

use serde_json::{Map, Value, json};

use crate::{
    Action, Bid, BidEvent, BidState, Change, Move, NewImport, Payload, UnknownCause, WallTime, chain,
    state::Rule,
};

/// Whom the events of a sweep name.
const SWEEPER: &str = "sweeper";

/// What a sweep knows of a row whose claim or approval has expired.
pub(crate) struct Silence<'a> {
    pub(crate) holder: &'a str,
    /// A time as people read it; so is the next one.
    pub(crate) last_moved: &'a str,
    pub(crate) approved_until: Option<&'a str>,
    /// For how long the claim has been expired; unknown once the host that counted it has been restarted.
    pub(crate) overdue_ms: Option<i64>,
}

impl Silence<'_> {
    /// Why the sweep moves the row.
    pub(crate) fn reason(&self, action: Action) -> String {
        let what = match action {
            Action::ExpireApproval => {
                let until = self.approved_until.unwrap_or("a time that is not recorded");
                return format!("the approval held until {until} and was not used");
            }
            Action::SweepSubmitting => "after the one-way door",
            _ => "before the one-way door",
        };
        let since = match self.overdue_ms {
            Some(overdue_ms) => format!("its claim expired {} s ago", overdue_ms / 1_000),
            None => "the host has been restarted since".to_owned(),
        };
        format!("{} has been silent {what} since {}; {since}", self.holder, self.last_moved)
    }
}

/// What an event says beside what stands on the row after it.
pub(crate) struct Line {
    action: Option<Action>,
    from: Option<BidState>,
    actor: String,
    reason: Option<String>,
    detail: Value,
    event_key: Option<String>,
}

impl Line {
    /// A change that a rule made; `bid` is the row after it.
    pub(crate) fn change(change: &Change, rule: &Rule, bid: &Bid) -> Line {
        Line {
            action: Some(rule.action),
            from: Some(rule.from),
            actor: change.actor.0.clone(),
            reason: change.reason.clone(),
            detail: detail(change, bid),
            event_key: change.event_key.clone(),
        }
    }

    /// A claim that made the row.
    pub(crate) fn created(bid: &Bid) -> Line {
        let Payload { amount, via, .. } = &bid.payload;
        Line {
            action: None,
            from: None,
            actor: bid.claimant.holder.clone(),
            reason: None,
            detail: json!({ "amount": amount, "idempotency_key": bid.idempotency_key, "via": via }),
            event_key: None,
        }
    }

    /// A claim that took the row over from the one who had it `before`.
    pub(crate) fn taken_over(rule: &Rule, before: &str, bid: &Bid) -> Line {
        let Payload { amount, via, .. } = &bid.payload;
        Line {
            action: Some(rule.action),
            from: Some(rule.from),
            actor: bid.claimant.holder.clone(),
            reason: Some(match rule.from {
                BidState::Abandoned => format!("abandoned by {before}"),
                _ => format!("the claim of {before} expired"),
            }),
            detail: json!({ "amount": amount, "via": via }),
            event_key: None,
        }
    }

    /// An import that began the row.
    pub(crate) fn imported(wanted: &NewImport) -> Line {
        Line {
            action: Some(Action::Import),
            from: None,
            actor: wanted.actor.0.clone(),
            reason: Some(wanted.reason.clone()),
            detail: wanted.detail.clone(),
            event_key: None,
        }
    }

    /// A sweep that moved the row of `holder`.
    pub(crate) fn swept(rule: &Rule, holder: &str, reason: String) -> Line {
        Line {
            action: Some(rule.action),
            from: Some(rule.from),
            actor: SWEEPER.to_owned(),
            reason: Some(reason),
            detail: match swept_cause(rule) {
                Some(cause) => json!({ "cause": cause, "holder": holder }),
                None => json!({ "holder": holder }),
            },
            event_key: None,
        }
    }

    /// The event that brought the bid to where `bid` says, linked to the hash before it (empty for the first). Its number is
    /// the row's count of events.
    pub(crate) fn event(self, bid: &Bid, at: WallTime, previous: &str) -> BidEvent {
        let mut event = BidEvent {
            bid: bid.id,
            seq: bid.events,
            at,
            action: self.action,
            from: self.from,
            to: bid.state,
            claim_id: bid.claim_id,
            epoch: bid.epoch,
            actor: self.actor,
            reason: self.reason,
            detail: self.detail,
            event_key: self.event_key,
            hash: String::new(),
        };
        event.hash = chain::link(previous, &event);
        event
    }
}

/// Why a row that a sweep moves is unknown, if it is.
pub(crate) fn swept_cause(rule: &Rule) -> Option<UnknownCause> {
    (rule.action == Action::SweepSubmitting).then_some(UnknownCause::ClaimantSilent)
}

/// The action of this name.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn action_named(text: &str) -> Option<Action> {
    crate::state::TRANSITIONS.iter().map(|rule| rule.action).find(|action| action.as_str() == text)
}

/// The caller's evidence, and what the move itself carries.
fn detail(change: &Change, bid: &Bid) -> Value {
    let mut detail = match &change.detail {
        Value::Object(map) => map.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("evidence".to_owned(), other.clone())]),
    };
    let mut add = |name: &str, value: Value| {
        detail.entry(name).or_insert(value);
    };
    match &change.action {
        Move::EnterSubmitting { .. } | Move::TakeSending { .. } => add("attempt", json!(bid.attempts)),
        Move::Accept { external_ref } | Move::Find { external_ref } => {
            add("external_ref", json!(external_ref));
        }
        Move::ResolveSubmitted { external_ref } => add("external_ref", json!(external_ref)),
        Move::LoseAnswer { cause } => add("cause", json!(cause)),
        Move::Import => add("cause", json!(UnknownCause::Legacy)),
        Move::Approve { .. } => add("approved_until_ms", json!(bid.approved_until)),
        Move::ConfirmWithdrawn { rebid_allowed: asked }
        | Move::ResolveNotSubmitted { allow_new_bid: asked } => {
            // Asked for, and done: another bid on the posting may stand in the way.
            add("allow_new_bid", json!(asked));
            add("rebid_allowed", json!(bid.rebid_allowed));
        }
        _ => {}
    }
    Value::Object(detail)
}
