//! `bidlock bid show` and `bidlock bid history`.

use bidlock_ledger::{Action, Bid, BidEvent, chain};
use bidlock_market::place_of;
use serde_json::json;

use super::{due, find, imported::OldRow, view};
use crate::{
    app::{Access, App},
    args::{HistoryArgs, ShowArgs},
    exit::Exit,
    failure::CliError,
    output,
};

/// Everything about one bid.
pub(super) async fn show(app: &App, args: ShowArgs) -> Result<Exit, CliError> {
    let ledger = app.ledger(Access::ReadOnly).await?;
    let bid = find::find(ledger.as_ref(), &args.bid).await?;
    // As it stands now, not as it stood before its approval or its claim ran out.
    let bid = due::swept(ledger.as_ref(), bid).await?;
    let history = ledger.history(bid.id).await?;
    // A bid may have been resolved, reopened and resolved again: the last word counts.
    let resolution = history.iter().rev().find(|event| is_resolution(event));
    let old = OldRow::of(&bid, &history);
    if app.out.json {
        let mut all = view::bid_json(&bid);
        all["legacy"] = old.as_ref().map_or(serde_json::Value::Null, OldRow::json);
        all["resolution"] = resolution.map_or(serde_json::Value::Null, view::event_json);
        app.out.json_document(&all)?;
        return Ok(Exit::Ok);
    }
    let mut fields = fields(&bid);
    fields.extend(old.iter().flat_map(OldRow::fields));
    fields.extend(resolution.into_iter().flat_map(told));
    app.out.fields(&fields)?;
    if let Some(next) = next_step(&bid) {
        app.out.say(format!("next: {next}"));
    }
    Ok(Exit::Ok)
}

fn fields(bid: &Bid) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("bid", bid.id.to_string()),
        ("posting", bid.posting.to_string()),
        ("state", bid.state.to_string()),
        ("why", view::why(bid)),
        ("claim", view::remaining(bid.claim_remaining)),
        ("holder", bid.claimant.holder.clone()),
        ("amount", output::money(bid.payload.amount)),
        ("url", bid.payload.posting_url.clone().unwrap_or_default()),
        ("via", place_of(&bid.payload.via).to_owned()),
        ("marketplace's id", bid.external_ref.clone().unwrap_or_default()),
        ("idempotency key", bid.idempotency_key.to_string()),
        ("attempts", bid.attempts.to_string()),
        ("epoch", bid.epoch.0.to_string()),
        ("first attempt", bid.first_sent_at.map(view::time).unwrap_or_default()),
        ("approved until", bid.approved_until.map(view::time).unwrap_or_default()),
        ("made", view::time(bid.created_at)),
        ("last moved", view::time(bid.updated_at)),
        ("evaluation", bid.payload.evaluation.clone().unwrap_or_default()),
        ("proposal", bid.payload.proposal.clone()),
    ];
    if bid.rebid_allowed {
        all.push(("new bid", "allowed on this posting".to_owned()));
    }
    all.retain(|(_, value)| !value.is_empty());
    all
}

/// A person's word on what became of the bid.
fn is_resolution(event: &BidEvent) -> bool {
    matches!(event.action, Some(Action::ResolveSubmitted | Action::ResolveNotSubmitted))
}

fn told(resolution: &BidEvent) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("resolved as", resolution.to.to_string()),
        ("resolved by", format!("{} at {}", resolution.actor, view::time(resolution.at))),
        ("resolved because", resolution.reason.clone().unwrap_or_default()),
        ("evidence", view::evidence(resolution).unwrap_or_default()),
    ];
    all.retain(|(_, value)| !value.is_empty());
    all
}

/// The command that moves the bid on, where a person does.
fn next_step(bid: &Bid) -> Option<String> {
    use bidlock_ledger::BidState::*;
    let id = bid.id;
    match bid.state {
        AwaitingApproval => {
            Some(format!("`bidlock bid approve {id}` or `bidlock bid decline {id} --reason …`"))
        }
        Unknown => Some(format!(
            "`bidlock reconcile`; if that does not settle it, `bidlock bid resolve {id} --as …`"
        )),
        Withdrawing if bid.external_ref.is_none() => Some(format!(
            "withdraw it on the marketplace's site, then `bidlock bid withdraw {id} --by-hand --reason …`"
        )),
        Withdrawing => Some("`bidlock reconcile` asks the marketplace again".to_owned()),
        Approved => Some("the next `bidlock scan --submit` to the same marketplace sends it".to_owned()),
        _ => None,
    }
}

/// A bid's events, with the check of their hash chain.
pub(super) async fn history(app: &App, args: HistoryArgs) -> Result<Exit, CliError> {
    let ledger = app.ledger(Access::ReadOnly).await?;
    let mut bid = find::find(ledger.as_ref(), &args.bid).await?;
    let mut events = ledger.history(bid.id).await?;
    if events.len() != bid.events as usize {
        // An event may have come between the two reads: the second pair tells it from a cut tail.
        bid = find::find(ledger.as_ref(), &bid.id.to_string()).await?;
        events = ledger.history(bid.id).await?;
    }
    let broken = chain::verify(&events, bid.events).err().map(|b| b.to_string());
    if app.out.json {
        let lines: Vec<_> = events.iter().map(view::event_json).collect();
        app.out.json_document(&json!({
            "bid": bid.id,
            "posting": bid.posting,
            "state": bid.state,
            "chain": { "intact": broken.is_none(), "events": events.len(), "broken": broken },
            "events": lines,
        }))?;
    } else {
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|e| {
                vec![
                    e.seq.to_string(),
                    view::time(e.at),
                    e.action.map_or("created", |a| a.as_str()).to_owned(),
                    e.to.to_string(),
                    e.actor.clone(),
                    view::why_event(e),
                ]
            })
            .collect();
        app.out.table(&["seq", "at", "action", "state", "by", "why"], &rows)?;
        if broken.is_none() {
            let count = events.len();
            app.out.line(format!("chain: intact ({count} event{})", if count == 1 { "" } else { "s" }))?;
        }
    }
    match broken {
        None => Ok(Exit::Ok),
        Some(why) => Err(CliError::new(
            Exit::InvariantViolated,
            format!("chain: broken: the history of bid {} was changed outside of bidlock: {why}", bid.id),
        )
        .hint("compare with a backup of the ledger, and find out who else writes to the file")),
    }
}
