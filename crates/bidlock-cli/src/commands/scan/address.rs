//! Whether a marketplace is at the address that bids are to go to: a look before the first bid, which changes nothing.

use std::time::Duration;

use bidlock::{Clock, SystemClock};
use bidlock_ledger::PostingId;
use bidlock_market::{LookUpError, Marketplace, RemoteBid, place_of};
use bidlock_pipeline::Outage;

use crate::{
    app::App,
    failure::{CliError, chain_of},
};

/// The pause before a marketplace that is ill is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Looks up a posting that nobody has. An answer that would make every bid unknown (a redirect, a page that is no list)
/// is no marketplace's. One that only fails now is waited for, for `scan.patience`: where a look-up gets no answer, a bid would
/// get none either. Where there is no look-up the first bid tells: see [`bidlock_market::Answer::NotHere`].
///
/// # Errors
/// Something else than a marketplace is there; or it stays ill.
pub(super) async fn check(app: &App, marketplace: &dyn Marketplace) -> Result<(), CliError> {
    let Ok(probe) = PostingId::new("bidlock", "address-check") else { return Ok(()) };
    let place = place_of(marketplace.via());
    let refuse = |what: String| {
        let setting = app.config()?.named("submit.target");
        Err(CliError::usage(format!("{setting}: no marketplace answers at {place}: {what}")).hint(
            "name the base of its API, to which bidlock adds /bids (docs/marketplace-http.md); `bidlock doctor` tries \
             it; nothing was sent",
        ))
    };
    match once_well(app, marketplace, &probe).await? {
        Err(LookUpError::Status { status: status @ 300..=399, .. }) => refuse(format!(
            "it redirects (status {status}), which is never followed: every bid would end as unknown"
        )),
        Err(LookUpError::Unreadable { detail, .. }) => {
            refuse(format!("what it says is no list of bids: {detail}"))
        }
        Err(LookUpError::Status { status: status @ (404 | 405 | 410), .. }) => {
            app.out.warn(format!(
                "{place} has no look-up (status {status}): `reconcile` can't settle what gets lost there; if the \
                 address is wrong, sending stops at the first bid"
            ));
            Ok(())
        }
        // Out of reach, busy or refusing the account: sending itself tells it, and loses nothing by it.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What a look-up says once it says something.
///
/// # Errors
/// It said nothing for as long as the patience lasts.
async fn once_well(
    app: &App,
    marketplace: &dyn Marketplace,
    probe: &PostingId,
) -> Result<Result<Vec<RemoteBid>, LookUpError>, CliError> {
    let (since, patience) = (SystemClock.now(), app.config()?.scan.patience);
    let mut outage = Outage::default();
    loop {
        let error = match marketplace.look_up(probe).await {
            Err(error @ (LookUpError::Unanswered { .. } | LookUpError::Status { status: 500..=599, .. })) => {
                error
            }
            other => return Ok(other),
        };
        let now = SystemClock.now();
        if now.since(since) >= patience {
            let setting = app.config()?.named("submit.target");
            return Err(CliError::unavailable(format!(
                "{setting}: the marketplace is ill: {}",
                chain_of(&error)
            ))
            .hint(
                "a bid sent now would rather end as unknown; nothing was sent: scan again once it is well",
            ));
        }
        if outage.goes_on(now).1 {
            tracing::warn!(%error, patience_s = patience.as_secs(), "the marketplace is ill; nothing is sent until it is well");
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}
