//! Whether a marketplace is at the address that bids are to go to: a look before the first bid, which changes nothing.

use bidlock_ledger::PostingId;
use bidlock_market::{LookUpError, Marketplace, place_of};

use crate::{app::App, failure::CliError};

/// Looks up a posting that nobody has. An answer that would make every bid unknown (a redirect, a page that is no list)
/// is no marketplace's. Where there is no look-up the first bid tells: see [`bidlock_market::Answer::NotHere`].
///
/// # Errors
/// Something else than a marketplace is there.
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
    match marketplace.look_up(&probe).await {
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
        // Away, busy or refusing the account: sending itself tells it, and loses nothing by it.
        Ok(_) | Err(_) => Ok(()),
    }
}
