//! Two ledgers of one user that have bids, which know nothing of each other's.

use std::{io, path::Path};

use bidlock_ledger::{LedgerStore, SqliteLedger};

use super::{
    has_bids, is_meant, open_to_look,
    others::{Other, Others},
    refuse_if_not_meant,
    sent_from::{At, SentFrom},
};
use crate::{app::App, failure::CliError};

/// Looks between two rounds of a scan: whoever has begun to send from another ledger meanwhile found none with bids, maybe.
///
/// # Errors
/// As [`refuse_if_not_meant`]. That the ledger can't be asked now is no reason.
pub(in crate::commands) async fn refuse_if_another_has_come(
    app: &App,
    ledger: &dyn LedgerStore,
) -> Result<(), CliError> {
    let (place, own) = (app.config()?.ledger_place()?, ledger.ledger_id().to_string());
    let mut others = Others::look_at_notes(app).await?;
    // Told when the scan began.
    others.unread.clear();
    // Mostly there is nothing to ask the ledger for. A server has many names.
    let is_elsewhere = |sent: &SentFrom| matches!(sent.at, At::File(_)) && !sent.at.is(&place);
    let is_another = |(_, sent): &(_, SentFrom)| sent.ledger != own || is_elsewhere(sent);
    if !others.sent_from.iter().any(is_another) || has_bids(ledger).await.is_err() {
        return Ok(());
    }
    refuse_if_not_meant(app, ledger, &others).await
}

pub(super) fn tell_of_unread_notes(app: &App, others: &Others) {
    for Other { path, unseen, .. } in &others.unread {
        let why = unseen.as_ref().map(ToString::to_string).unwrap_or_default();
        app.out.warn(format!(
            "cannot read {}: {why}; it may name another ledger that you have sent from, which knows nothing of this one; \
             delete it once you know that there is none",
            path.display()
        ));
    }
}

/// Two that were begun before either had bids, or a ledger and its copy: what one has bid on the other does not know.
///
/// # Errors
/// This user has sent from another one as well, and of neither somebody has said that it is meant beside others; or from a
/// copy, of which nobody can say so.
pub(super) async fn refuse_a_second(
    app: &App,
    others: &Others,
    ledger: &dyn LedgerStore,
    is_meant: bool,
) -> Result<(), CliError> {
    let (place, own) = (app.config()?.ledger_place()?, ledger.ledger_id().to_string());
    for (note, sent) in &others.sent_from {
        let is_copy = sent.ledger == own;
        if !is_copy && (is_meant || sent.meant) {
            continue;
        }
        let (other, move_away) = match &sent.at {
            // A server has many names, and its place may have been given to another ledger.
            At::Server(_) if is_copy => continue,
            At::Server(url) => (format!("ledger {} at {url}", sent.ledger), ""),
            at if at.is(&place) => continue,
            At::File(path) => match in_use(path, &sent.ledger, is_copy).await {
                Some(state) => (format!("{}{state}", path.display()), "move that one away, or "),
                None => continue,
            },
        };
        let named = app.config()?.named("ledger.url");
        let (found, or_meant) = if is_copy {
            let found = format!(
                "{named}: {place} is one ledger with {other}, which you have sent from: one of them is a copy, and does not \
                 know what has been bid on since"
            );
            (found, "")
        } else {
            let found = format!(
                "{named}: {place} has bids, and so has {other}, which you have sent from: neither knows the bids of the \
                 other, and a posting that both see could get a bid from each"
            );
            (found, "; or, where no posting is seen by both, say so with --new-ledger, once")
        };
        return Err(CliError::usage(found).hint(format!(
            "name that one, if it is the one in use. To go on with this one: what was bid on there alone, and feeds still \
             show, gets a second bid, unless the marketplace refuses it (`bidlock bid list` on each tells); then \
             {move_away}delete the note of it, {}{or_meant}",
            note.display()
        )));
    }
    Ok(())
}

/// Whether this file still is this ledger, and has bids that matter to another: `Some` with what is to be said of it. One
/// that can't be asked was sent from, which is enough.
async fn in_use(path: &Path, ledger: &str, is_copy: bool) -> Option<String> {
    // What is no ledger at all is not opened.
    let is_one = path.metadata().and_then(|about| Ok(about.is_file() && SqliteLedger::is_one(path)?));
    match is_one {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(format!(" (which can't be looked at: {error})")),
    }
    let asked = async {
        let there = open_to_look(path, "a ledger that you have sent from").await?;
        let is_it = there.ledger_id().to_string() == ledger;
        // Its note may be older than what was said of it; what was said of a ledger says nothing of its copy.
        let is_meant = !is_copy && is_meant(&*there).await?;
        Ok::<_, CliError>(is_it && !is_meant && has_bids(&*there).await?)
    };
    match asked.await {
        Ok(has_some) => has_some.then(String::new),
        Err(error) => Some(format!(" (which can't be asked: {})", error.message)),
    }
}
