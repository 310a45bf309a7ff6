//! Bids and their events in words and in JSON, for people and their programs.

use std::time::Duration;

use bidlock_config::show_duration;
use bidlock_ledger::{Bid, BidEvent, WallTime};
use jiff::Timestamp;
use serde_json::{Value, json};

/// RFC 3339 in UTC, to the second.
pub(in crate::commands) fn time(at: WallTime) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(at) => at.round(jiff::Unit::Second).unwrap_or(at).to_string(),
        Err(_) => format!("{} ms", at.0),
    }
}

/// Why it is where it is, in one line.
pub(super) fn why(bid: &Bid) -> String {
    match (bid.unknown_cause, &bid.reason) {
        (Some(cause), Some(reason)) if bid.state == bidlock_ledger::BidState::Unknown => {
            format!("{cause}: {reason}")
        }
        (Some(cause), None) => cause.to_string(),
        (_, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    }
}

/// Why an event came about, and what a person gave as evidence.
pub(super) fn why_event(event: &BidEvent) -> String {
    let reason = event.reason.clone();
    let evidence = evidence(event).map(|evidence| format!("evidence: {evidence}"));
    [reason, evidence].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What `bid resolve --evidence` was given: the text, and the file that it came from.
pub(super) fn evidence(event: &BidEvent) -> Option<String> {
    let evidence = event.detail.get("evidence")?;
    let text = evidence.get("text")?.as_str()?.trim_end();
    Some(match evidence.get("file").and_then(Value::as_str) {
        Some(file) => format!("{file}: {text}"),
        None => text.to_owned(),
    })
}

/// What is left of a running claim.
pub(super) fn remaining(left: Option<Duration>) -> String {
    match left {
        None => String::new(),
        Some(left) if left.is_zero() => "expired".to_owned(),
        Some(left) => format!("another {}", show_duration(left)),
    }
}

/// A bid as JSON: times as text, durations in milliseconds.
pub(super) fn bid_json(bid: &Bid) -> Value {
    json!({
        "id": bid.id,
        "marketplace": bid.posting.marketplace(),
        "posting": bid.posting.posting(),
        "state": bid.state,
        "reason": bid.reason,
        "unknown_cause": bid.unknown_cause,
        "amount": bid.payload.amount,
        "proposal": bid.payload.proposal,
        "posting_url": bid.payload.posting_url,
        "via": bid.payload.via,
        "evaluation": bid.payload.evaluation,
        "external_ref": bid.external_ref,
        "idempotency_key": bid.idempotency_key,
        "attempts": bid.attempts,
        "holder": bid.claimant.holder,
        "claim_id": bid.claim_id,
        "epoch": bid.epoch,
        "claim_remaining_ms": bid.claim_remaining.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        "rebid_allowed": bid.rebid_allowed,
        "approved_until": bid.approved_until.map(time),
        "first_sent_at": bid.first_sent_at.map(time),
        "created_at": time(bid.created_at),
        "updated_at": time(bid.updated_at),
        "events": bid.events,
    })
}

/// An event as JSON.
pub(super) fn event_json(event: &BidEvent) -> Value {
    json!({
        "seq": event.seq,
        "at": time(event.at),
        "action": event.action,
        "from": event.from,
        "to": event.to,
        "actor": event.actor,
        "reason": event.reason,
        "detail": event.detail,
        "claim_id": event.claim_id,
        "epoch": event.epoch,
        "event_key": event.event_key,
        "hash": event.hash,
    })
}
