//! `bid withdraw`: the marketplace is asked, or a person has done it on its site.

use bidlock_ledger::{Bid, BidState, Change, LedgerStore, Move};
use bidlock_pipeline::Withdrawal;
use serde_json::json;

use super::{
    decide::{done, freed, moved, needed, operator, wrong_state},
    find,
};
use crate::{
    app::{Access, App},
    args::WithdrawArgs,
    exit::Exit,
    failure::CliError,
};

/// `bid withdraw`.
pub(super) async fn withdraw(app: &App, args: WithdrawArgs) -> Result<Exit, CliError> {
    let reason = needed("--reason", &args.reason)?;
    let allow_rebid = app.config()?.withdrawal.allow_rebid;
    let ledger = app.ledger(Access::Existing).await?;
    let bid = find::find(ledger.as_ref(), &args.bid).await?;
    if bid.state == BidState::Withdrawn {
        return done(app, &bid, "is withdrawn already");
    }
    if args.by_hand {
        return by_hand(app, ledger.as_ref(), bid, &args, reason, allow_rebid).await;
    }
    let is_with_the_marketplace = matches!(bid.state, BidState::Submitted | BidState::Withdrawing);
    if is_with_the_marketplace && bid.external_ref.is_none() {
        // Before anything is recorded: nobody could ever answer for it.
        return Err(CliError::usage(format!(
            "the marketplace can't be asked to withdraw bid {}: its id there is not known",
            bid.id
        ))
        .hint(by_hand_hint(&bid)));
    }
    let marketplace = app.marketplace_of(&bid.payload.via)?;
    let event_id = args.event_id.as_deref();
    let actor = operator(app);
    let asked = bidlock_pipeline::withdraw(
        ledger.as_ref(),
        marketplace.as_ref(),
        &bid,
        &actor,
        reason,
        event_id,
        allow_rebid,
    );
    match asked.await? {
        Withdrawal::Withdrawn(bid) => {
            let freed = freed(ledger.as_ref(), &bid, allow_rebid).await?;
            done(app, &bid, &format!("is withdrawn; {freed}"))
        }
        Withdrawal::Refused { bid, detail } => {
            let hint = match bid.state {
                BidState::Won | BidState::Lost => {
                    "the client has decided: there is nothing left to withdraw".to_owned()
                }
                _ => format!("the marketplace decides; ask it, or {}", by_hand_hint(&bid)),
            };
            Err(CliError::usage(format!("bid {} is {}: {detail}", bid.id, bid.state)).hint(hint))
        }
        Withdrawal::Pending { bid, detail } => Err(CliError::new(
            Exit::UnknownOutcome,
            format!("the withdrawal of bid {} is recorded but not confirmed: {detail}", bid.id),
        )
        .hint("`bidlock reconcile` asks again; asking again is harmless")),
        Withdrawal::NotPossible(bid) => Err(wrong_state(&bid, "withdrawn", "submitted")),
    }
}

/// A person has withdrawn the bid on the marketplace's site: recorded with the reason, and nobody is asked.
async fn by_hand(
    app: &App,
    ledger: &dyn LedgerStore,
    mut bid: Bid,
    args: &WithdrawArgs,
    reason: &str,
    allow_rebid: bool,
) -> Result<Exit, CliError> {
    let from = "submitted or withdrawing";
    let confirm = Move::ConfirmWithdrawn { rebid_allowed: allow_rebid };
    // A withdrawal that was asked for before and never answered is only confirmed.
    let begin = (bid.state != BidState::Withdrawing).then_some(Move::Withdraw);
    for (step, action) in begin.into_iter().map(|a| ("withdraw", a)).chain([("by-hand", confirm)]) {
        let mut change = Change::new(bid.claim_ref(), operator(app), action)
            .because(reason)
            .with_detail(json!({ "by_hand": true }));
        if let Some(id) = &args.event_id {
            change = change.keyed(format!("{step}:{id}"));
        }
        bid = moved(app, ledger, change, "withdrawn", from).await?;
    }
    let freed = freed(ledger, &bid, allow_rebid).await?;
    done(app, &bid, &format!("is withdrawn, by hand; {freed}"))
}

fn by_hand_hint(bid: &Bid) -> String {
    format!(
        "withdraw it on the marketplace's site, then record that: `bidlock bid withdraw {} --by-hand --reason …`",
        bid.id
    )
}
