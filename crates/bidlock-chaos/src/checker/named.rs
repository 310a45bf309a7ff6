//! S8: the name under which the ledger calls a bid submitted is that of this very bid, which the marketplace had by then, and
//! had not lost again.

use bidlock_ledger::{Action, Bid, BidEvent, BidState};

use super::{
    Findings, Invariant,
    around::{Around, SLACK_MS},
    bids::is_there,
    postings::PostingNo,
    record::Sent,
    verdict::At,
};

pub(super) fn check(bid: &Bid, events: &[BidEvent], posting: (&Around<'_>, PostingNo), found: &mut Findings) {
    let (around, number) = posting;
    // A person's word needs no proof.
    let by_person = events.iter().any(|event| event.action == Some(Action::ResolveSubmitted));
    let mut named: Vec<&str> = Vec::new();
    let mut violated = |what: String| found.violated(Invariant::S8, At::posting(&bid.posting), what);
    let mut looked = 0;
    for event in events.iter().filter(|event| event.to == BidState::Submitted) {
        let Some(name) = event.detail.get("external_ref").and_then(serde_json::Value::as_str) else {
            continue;
        };
        looked += 1;
        named.push(name);
        if event.action == Some(Action::ResolveSubmitted) {
            continue;
        }
        let at_ms = around.is_known(event).then(|| around.at_ms(event));
        let lie = match around.record.accepted_as(name) {
            Some((sent, at)) if at == number && is_its(sent, bid) => untimely(sent, at_ms),
            Some(_) => Some("is another bid's name"),
            None => Some("the marketplace had not"),
        };
        if let Some(lie) = lie {
            violated(format!("bid {} was called submitted as {name}, which {lie}", bid.id));
        }
    }
    let name = bid.external_ref.as_deref();
    if is_there(bid.state) && name.is_none_or(|name| !named.contains(&name)) && !by_person {
        violated(format!("bid {} is {} as {name:?}, and no event says so", bid.id, bid.state));
    }
    if let Some((sent, _)) = name.and_then(|name| around.record.accepted_as(name))
        && let Some(lie) = at_the_end(sent, bid.state)
    {
        violated(format!("bid {} is {} as {name:?}, which {lie}", bid.id, bid.state));
    }
    found.looked(Invariant::S8, "bids called submitted", looked);
}

/// Whether it was this bid that was sent so: under its own id, or, as a later bid does where a person has freed the posting,
/// under the key that both have.
fn is_its(sent: &Sent, bid: &Bid) -> bool {
    sent.bid == Some(bid.id) || sent.key == Some(bid.idempotency_key)
}

/// What was wrong with calling it submitted at this time, where that is known.
fn untimely(sent: &Sent, at_ms: Option<i64>) -> Option<&'static str> {
    let at_ms = at_ms?;
    let withdrawn = sent.withdrawn_ms.is_some_and(|withdrawn_ms| withdrawn_ms + SLACK_MS < at_ms);
    let early = sent.answered_ms.unwrap_or(sent.at_ms) > at_ms + SLACK_MS;
    early.then_some("the marketplace had not yet").or(withdrawn.then_some("had been withdrawn by then"))
}

/// What the marketplace holds against the state in which a bid is left.
fn at_the_end(sent: &Sent, state: BidState) -> Option<&'static str> {
    match (state, sent.withdrawn_ms) {
        (BidState::Withdrawn, None) => Some("the marketplace has still"),
        (BidState::Submitted | BidState::Won | BidState::Lost, Some(_)) => Some("was withdrawn"),
        _ => None,
    }
}
