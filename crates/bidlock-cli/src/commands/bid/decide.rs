//! What a person decides about one bid: approve, decline, resolve.

use std::path::Path;

use bidlock_config::{read_bounded, show_duration};
use bidlock_ledger::{
    Actor, Applied, Bid, BidFilter, BidState, Change, Cursor, LedgerStore, Liveness, Move, NotMoved, Page,
    store::MAX_PAGE,
};
use serde_json::{Value, json};

use super::{due, find, view};
use crate::{
    app::{Access, App},
    args::{ApproveArgs, DeclineArgs, ResolveArgs, ResolveAs},
    exit::Exit,
    failure::CliError,
};

/// Longer evidence belongs beside the ledger, not into it.
const MAX_EVIDENCE_BYTES: u64 = 64 << 10;

/// `bid approve`.
pub(super) async fn approve(app: &App, args: ApproveArgs) -> Result<Exit, CliError> {
    let valid_for = app.config()?.submit.approval_valid_for;
    let ledger = app.ledger(Access::Existing).await?;
    // An approval that has run out is given again.
    let bid = due::swept(ledger.as_ref(), find::find(ledger.as_ref(), &args.bid).await?).await?;
    if bid.state == BidState::Approved {
        return done(app, &bid, "is approved already");
    }
    let mut change = Change::new(bid.claim_ref(), operator(app), Move::Approve { valid_for });
    change.reason = args.reason;
    let bid = moved(app, ledger.as_ref(), change, "approved", "awaiting_approval").await?;
    let until = format!(
        "is approved for {}; the next `bidlock scan --submit` to the same marketplace sends it",
        show_duration(valid_for)
    );
    done(app, &bid, &until)
}

/// `bid decline`.
pub(super) async fn decline(app: &App, args: DeclineArgs) -> Result<Exit, CliError> {
    let reason = needed("--reason", &args.reason)?;
    let ledger = app.ledger(Access::Existing).await?;
    let bid = find::find(ledger.as_ref(), &args.bid).await?;
    if bid.state == BidState::Declined {
        return done(app, &bid, "is declined already");
    }
    let change = Change::new(bid.claim_ref(), operator(app), Move::Decline).because(reason);
    let bid =
        moved(app, ledger.as_ref(), change, "declined", "claimed, awaiting_approval or approved").await?;
    done(app, &bid, "is declined; nobody will bid on the posting")
}

/// `bid resolve`.
pub(super) async fn resolve(app: &App, args: ResolveArgs) -> Result<Exit, CliError> {
    let reason = needed("--reason", &args.reason)?;
    check_resolution(&args)?;
    let evidence = args.evidence.as_deref().map(read_evidence).transpose()?;
    let ledger = app.ledger(Access::Existing).await?;
    let bid = due::swept(ledger.as_ref(), find::find(ledger.as_ref(), &args.bid).await?).await?;
    let mut detail = json!({ "evidence": evidence });
    let (action, word, from) = match args.outcome {
        ResolveAs::Submitted => {
            let external_ref = args.external_ref.clone();
            if let Some(name) = &external_ref {
                refuse_the_name_of_another(ledger.as_ref(), &bid, name).await?;
            }
            (Move::ResolveSubmitted { external_ref }, "resolved as submitted", "unknown or not_submitted")
        }
        ResolveAs::NotSubmitted => {
            if bid.state == BidState::Unknown && args.allow_new_bid {
                let liveness = ledger.liveness(&bid.claimant).await?;
                accept_risk(app, &bid, liveness, args.i_accept_the_risk)?;
                detail["liveness"] = json!(liveness);
                detail["risk_accepted"] = json!(args.i_accept_the_risk);
            }
            let allow_new_bid = args.allow_new_bid;
            (Move::ResolveNotSubmitted { allow_new_bid }, "resolved as not submitted", "unknown or rejected")
        }
    };
    let change = Change::new(bid.claim_ref(), operator(app), action).because(reason).with_detail(detail);
    let bid = moved(app, ledger.as_ref(), change, word, from).await?;
    let words = match bid.state {
        BidState::Submitted => "is submitted".to_owned(),
        state => {
            let name = if state == BidState::NotSubmitted { "not submitted" } else { state.as_str() };
            format!("is {name}; {}", freed(ledger.as_ref(), &bid, args.allow_new_bid).await?)
        }
    };
    done(app, &bid, &words)
}

/// Whether the posting may be bid on again, and which other bid stands in the way where that was asked for.
pub(super) async fn freed(ledger: &dyn LedgerStore, bid: &Bid, asked: bool) -> Result<String, CliError> {
    if bid.rebid_allowed {
        return Ok("the posting may be bid on again".to_owned());
    }
    let filter = BidFilter {
        marketplace: Some(bid.posting.marketplace().to_owned()),
        posting: Some(bid.posting.posting().to_owned()),
        states: BidState::ALL.into_iter().filter(|state| state.is_in_use()).collect(),
        ..BidFilter::default()
    };
    let others = if asked { ledger.list(&filter, &Page::default()).await? } else { Vec::new() };
    Ok(match others.iter().rev().find(|other| other.id != bid.id) {
        Some(other) => format!("the posting stays used: bid {} on it is {}", other.id, other.state),
        None => "the posting stays used".to_owned(),
    })
}

/// The ledger looks at the rows of one posting; a person may have copied the name of a bid on another one, and a withdrawal
/// would then take that one back. All bids of the marketplace are looked through: rare, and as fast as a listing.
async fn refuse_the_name_of_another(ledger: &dyn LedgerStore, bid: &Bid, name: &str) -> Result<(), CliError> {
    let marketplace = Some(bid.posting.marketplace().to_owned());
    let filter = BidFilter { marketplace, ..BidFilter::default() };
    let mut page = Page { after: None, limit: MAX_PAGE };
    loop {
        let bids = ledger.list(&filter, &page).await?;
        let has_it = |other: &&Bid| other.external_ref.as_deref() == Some(name) && other.id != bid.id;
        if let Some(other) = bids.iter().find(has_it) {
            return Err(counted_already(other));
        }
        match bids.last() {
            Some(last) if bids.len() >= MAX_PAGE as usize => page.after = Some(Cursor(last.id)),
            _ => return Ok(()),
        }
    }
}

fn counted_already(other: &Bid) -> CliError {
    let name = other.external_ref.as_deref().unwrap_or_default();
    CliError::usage(format!(
        "what the marketplace has as {name} is bid {} on {} in the ledger already, {}",
        other.id, other.posting, other.state
    ))
    .hint(format!("look at it with `bidlock bid show {}`; one bid is not counted twice", other.id))
}

/// Options that make no sense together.
fn check_resolution(args: &ResolveArgs) -> Result<(), CliError> {
    match args.outcome {
        ResolveAs::Submitted if args.allow_new_bid => Err(CliError::usage(
            "--allow-new-bid makes no sense with --as submitted: the marketplace has the bid",
        )
        .hint("leave it out; `bidlock bid withdraw` takes a submitted bid back")),
        ResolveAs::NotSubmitted if args.external_ref.is_some() => Err(CliError::usage(
            "--external-ref makes no sense with --as not-submitted: there is no bid to name",
        )
        .hint("if the marketplace has a bid of that name, resolve it --as submitted")),
        _ => Ok(()),
    }
}

/// A new bid is allowed plainly only where the sender is proven gone.
fn accept_risk(app: &App, bid: &Bid, liveness: Liveness, accepted: bool) -> Result<(), CliError> {
    let holder = &bid.claimant.holder;
    let doubt = match liveness {
        Liveness::Gone => {
            app.out.say(format!(
                "{holder}, which sent this bid, is gone; its request may have arrived all the same, or still sit in a proxy: look at the marketplace (`bidlock reconcile` does, where it can be asked) before the next scan sends a new bid, which carries the same idempotency key"
            ));
            return Ok(());
        }
        Liveness::Alive => format!("{holder}, which sent this bid, still runs"),
        Liveness::Unprovable => format!("{holder}, which sent this bid, cannot be proven gone from here"),
    };
    if accepted {
        app.out.warn(format!(
            "{doubt}: its request may still arrive, and a new bid would then be the second one"
        ));
        return Ok(());
    }
    Err(CliError::usage(format!("{doubt}: its request may still arrive, and a new bid would then be the second one"))
        .hint("end that process and look the bid up at the marketplace first; or leave --allow-new-bid out, and the posting stays used; or add --i-accept-the-risk"))
}

/// `TEXT`, or what stands in `@FILE`.
fn read_evidence(text: &str) -> Result<Value, CliError> {
    let Some(path) = text.strip_prefix('@') else {
        // Whoever means the file must not find its name in the record when it is needed.
        if Path::new(text).is_file() {
            return Err(CliError::usage(format!("--evidence: `{text}` is a file")).hint(format!(
                "to record what stands in it: --evidence @{text}; a text must not be a file's name"
            )));
        }
        return Ok(json!({ "text": text }));
    };
    let content = read_bounded(Path::new(path), MAX_EVIDENCE_BYTES).map_err(|e| {
        CliError::usage(format!("--evidence: cannot read {path}: {e}"))
            .hint("give a text file of at most 64 KiB, or the text itself without @")
    })?;
    Ok(json!({ "file": path, "text": content }))
}

pub(super) fn needed<'a>(flag: &str, text: &'a str) -> Result<&'a str, CliError> {
    match text.trim() {
        "" => {
            Err(CliError::usage(format!("{flag} is empty")).hint("say why: it stands in the bid's history"))
        }
        text => Ok(text),
    }
}

pub(super) fn operator(app: &App) -> Actor {
    Actor::operator(&app.operator())
}

/// Makes the change, or says why not.
pub(super) async fn moved(
    app: &App,
    ledger: &dyn LedgerStore,
    change: Change,
    word: &str,
    from: &str,
) -> Result<Bid, CliError> {
    let applied = ledger.apply(std::slice::from_ref(&change)).await?.pop();
    match applied {
        Some(Applied::Moved { bid, alarm }) => {
            if let Some(alarm) = alarm {
                app.out.warn(alarm);
            }
            Ok(*bid)
        }
        Some(Applied::Already(bid)) => Ok(*bid),
        Some(Applied::Not(NotMoved::WrongState(other))) if other.id != change.at.bid => {
            Err(counted_already(&other))
        }
        Some(Applied::Not(NotMoved::WrongState(bid))) => Err(wrong_state(&bid, word, from)),
        Some(Applied::Not(
            NotMoved::StaleClaim(bid) | NotMoved::Expired(bid) | NotMoved::CapReached(bid),
        )) => Err(CliError::unavailable(format!(
            "bid {} was moved by another at the same time: it is {} now",
            bid.id, bid.state
        ))
        .hint(format!("look at it with `bidlock bid show {}`, then decide again", bid.id))),
        Some(Applied::Not(NotMoved::NoSuchBid(id))) => Err(CliError::usage(format!("there is no bid {id}"))
            .hint("`bidlock bid list` shows the bids there are")),
        None => Err(CliError::unavailable("the ledger gave no answer")
            .hint("this is a fault of bidlock; please report it")),
    }
}

pub(super) fn wrong_state(bid: &Bid, word: &str, from: &str) -> CliError {
    let why = view::why(bid);
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    let hint = match bid.state {
        BidState::Submitting => {
            "its scanner is at work; when its claim has expired, `bidlock reconcile` settles it".to_owned()
        }
        BidState::Claimed => "its scanner is at work; wait for it, or until its claim has expired".to_owned(),
        BidState::Unknown => {
            format!("settle it first: `bidlock reconcile`, or `bidlock bid resolve {} --as …`", bid.id)
        }
        BidState::Submitted if word.starts_with("resolved") => format!(
            "`bidlock bid show {}` says by whose word; if a person was wrong: docs/operations.md, \"A wrong resolution\"",
            bid.id
        ),
        _ => format!("`bidlock bid history {}` shows how it came there", bid.id),
    };
    // Too late to decide whether to bid: the door was passed.
    let too_late = matches!(word, "approved" | "declined") && bid.first_sent_at.is_some();
    let code = if too_late { Exit::AlreadyBid } else { Exit::Usage };
    CliError::new(code, format!("bid {} is {}{why}; only what is {from} can be {word}", bid.id, bid.state))
        .hint(hint)
}

pub(super) fn done(app: &App, bid: &Bid, words: &str) -> Result<Exit, CliError> {
    if app.out.json {
        app.out.json_document(&view::bid_json(bid))?;
    } else {
        app.out.line(format!("bid {} on {} {words}", bid.id, bid.posting))?;
    }
    Ok(Exit::Ok)
}
