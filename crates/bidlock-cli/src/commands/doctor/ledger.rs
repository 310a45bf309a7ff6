//! The ledger: its schema, a durable write, its history, and what waits for somebody.

use std::time::Duration;

use bidlock::{Clock, SystemClock};
use bidlock_config::{LedgerPlace, show_duration};
use bidlock_ledger::{
    Bid, BidFilter, BidState, Health, LedgerStore, Page, UnknownCause, WallTime, chain, store::MAX_PAGE,
};

use super::Check;
use crate::{
    app::{Access, App},
    commands::{
        bid::view,
        migrate,
        new_ledger::{self, Others},
    },
    failure::CliError,
};

/// The chain of so many of the latest bids is checked; `bid history` checks any one.
const CHECKED_CHAINS: usize = 200;
/// How far back they are looked for.
const RECENT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// An outcome that is unknown for longer needs somebody.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// So many are looked through: an import may bring in thousands, and those of bidlock's own stand behind them.
const MOST_UNKNOWN: usize = 20_000;

/// The rows' names, also where a check fails.
const NAME: &str = "ledger";
const HISTORY: &str = "history";
const UNKNOWN: &str = "unknown outcomes";
const EXPIRED: &str = "expired claims";
const APPROVALS: &str = "approvals";

/// All rows about the ledger.
pub(super) async fn ledger(app: &App) -> Vec<Check> {
    let place = match app.config().and_then(|c| Ok(c.ledger_place()?)) {
        Ok(place) => place,
        // The configuration's own row says so.
        Err(_) => return Vec::new(),
    };
    let others = match Others::look(app).await {
        Ok(others) => others,
        Err(error) => return vec![Check::failed(NAME, error)],
    };
    if let Some(check) = schema(app, &place, &others).await {
        return vec![check];
    }
    let ledger = match app.ledger(Access::Existing).await {
        Ok(ledger) => ledger,
        Err(error) => return vec![Check::failed(NAME, error)],
    };
    let mut checks = Vec::new();
    let ledger = ledger.as_ref();
    match writable(ledger).await {
        Ok(found) => checks.extend(found),
        Err(error) => checks.push(Check::failed(NAME, error)),
    }
    if let Err(error) = new_ledger::refuse_if_not_meant(app, ledger, &others).await {
        checks.push(not_to_be_sent_from(error));
    }
    for (name, check) in [
        (HISTORY, history(ledger).await),
        (UNKNOWN, unknown(ledger).await),
        (EXPIRED, expired(ledger).await),
        (APPROVALS, waiting(ledger).await),
    ] {
        checks.push(check.unwrap_or_else(|error| Check::failed(name, error)));
    }
    checks
}

/// A ledger that is not there yet, or whose schema does not fit; `None` where it does.
async fn schema(app: &App, place: &LedgerPlace, others: &Others) -> Option<Check> {
    let schema = match migrate::schema(app, place).await {
        Ok(schema) => schema,
        Err(error) => return Some(Check::failed(NAME, error)),
    };
    let latest = schema.latest;
    match schema.found {
        None => Some(match new_ledger::refuse_to_begin(app, others).await {
            Ok(()) => Check::skipped(NAME, format!("none yet at {place}; it is made at first use")),
            Err(error) => not_to_be_sent_from(error),
        }),
        Some(found) if found > latest => Some(Check::unhealthy(
            NAME,
            format!("schema {found} is newer than this bidlock ({latest})"),
            "upgrade bidlock",
        )),
        Some(found) if found < latest => Some(Check::unhealthy(
            NAME,
            format!("schema {found} is behind this bidlock ({latest})"),
            "run `bidlock migrate up`",
        )),
        Some(_) => None,
    }
}

/// A dry run may work on it, and a person may say that it is meant.
fn not_to_be_sent_from(error: CliError) -> Check {
    let way_out = error.hint.unwrap_or_default();
    Check::unhealthy(NAME, format!("a scan that sends is refused here: {}", error.message), way_out)
}

/// A write that is durable before the check returns, and what the engine says of itself.
async fn writable(ledger: &dyn LedgerStore) -> Result<Vec<Check>, CliError> {
    let start = SystemClock.now();
    let health = ledger.check().await?;
    let took = SystemClock.now().since(start);
    // The clocks have a row of their own.
    let clocks = ["boot id", "boot clock", "wall clock"];
    let facts = health.facts.iter().filter(|(name, _)| !clocks.contains(&name.as_str()));
    let facts: Vec<String> = facts.map(|(name, value)| format!("{name} {value}")).collect();
    let found = format!(
        "{} at {}, ledger {}, schema {}, a look and a write in {took:.1?}: {}",
        health.engine,
        health.location,
        health.ledger_id,
        health.schema_version,
        facts.join(", ")
    );
    let mut checks = vec![if health.writable {
        Check::ok(NAME, found)
    } else {
        Check::unhealthy(NAME, format!("a test write did not become durable: {found}"), no_write(&health))
    }];
    checks.extend(risks(&health));
    Ok(checks)
}

fn no_write(health: &Health) -> String {
    let way_out = "nothing is sent until it works";
    match fact(health, "write error") {
        Some(error) => format!("{error}; {way_out}"),
        None => format!("check the disk, its free space and the file's permissions; {way_out}"),
    }
}

fn fact<'a>(health: &'a Health, name: &str) -> Option<&'a str> {
    health.facts.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// Settings of a server that could cost bids, and connections that run out.
fn risks(health: &Health) -> Vec<Check> {
    /// What one more scanner may want: `docs/backends/postgres.md`.
    const CONNECTIONS_OF_A_SCANNER: u64 = 6;
    let mut checks = Vec::new();
    for name in ["fsync", "full page writes", "test clock"] {
        // The engine writes the way out behind the colon.
        if let Some((what, way_out)) = fact(health, name).and_then(|value| value.split_once(": ")) {
            checks.push(Check::warning("durability", format!("{name} {what}"), way_out));
        }
    }
    let number = |name: &str| fact(health, name).and_then(|value| value.parse::<u64>().ok());
    if let (Some(used), Some(most)) = (number("connections"), number("max connections")) {
        let found = format!("{used} of {most} are in use");
        checks.push(if most.saturating_sub(used) < CONNECTIONS_OF_A_SCANNER {
            let way_out = "raise max_connections, or put a pooler such as pgbouncer in front: a scanner takes up to six";
            Check::warning("connections", found, way_out)
        } else {
            Check::ok("connections", found)
        });
    }
    checks
}

/// The hash chains of the latest bids.
async fn history(ledger: &dyn LedgerStore) -> Result<Check, CliError> {
    let since = WallTime(App::now().as_millisecond() - i64::try_from(RECENT.as_millis()).unwrap_or(i64::MAX));
    let filter = BidFilter { since: Some(since), ..BidFilter::default() };
    let bids = last_of(ledger, &filter, CHECKED_CHAINS).await?;
    for bid in &bids {
        let events = ledger.history(bid.id).await?;
        // A bid that moved meanwhile has more events than its row had; only fewer, or a broken link, is a fault.
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX).max(bid.events);
        if let Err(broken) = chain::verify(&events, count) {
            return Ok(Check::unhealthy(
                HISTORY,
                format!("the history of bid {} was changed outside of bidlock: {broken}", bid.id),
                format!("`bidlock bid history {}`; compare with a backup", bid.id),
            ));
        }
    }
    Ok(Check::ok(HISTORY, format!("the hash chains of the last {} bids are intact", bids.len())))
}

/// The newest bids that match: listings go from the oldest on.
async fn last_of(ledger: &dyn LedgerStore, filter: &BidFilter, count: usize) -> Result<Vec<Bid>, CliError> {
    /// More pages than these are not read for a check.
    const MAX_PAGES: usize = 100;
    let mut last: Vec<Bid> = Vec::new();
    let mut page = Page { after: None, limit: MAX_PAGE };
    for _ in 0..MAX_PAGES {
        let bids = ledger.list(filter, &page).await?;
        let is_last = bids.len() < MAX_PAGE as usize;
        page.after = bids.last().map(|b| bidlock_ledger::Cursor(b.id));
        last.extend(bids);
        let surplus = last.len().saturating_sub(count);
        last.drain(..surplus);
        if is_last {
            break;
        }
    }
    Ok(last)
}

/// What stays unknown, or unconfirmed, for too long. What was imported as unknown was so before bidlock came, and may stay
/// so for as long as the move takes: a person should know, and nothing is unhealthy.
async fn unknown(ledger: &dyn LedgerStore) -> Result<Check, CliError> {
    let filter = BidFilter { states: vec![BidState::Unknown, BidState::Withdrawing], ..BidFilter::default() };
    let bids = last_of(ledger, &filter, MOST_UNKNOWN).await?;
    let is_imported =
        |bid: &Bid| bid.state == BidState::Unknown && bid.unknown_cause == Some(UnknownCause::Legacy);
    let (imported, bids): (Vec<Bid>, Vec<Bid>) = bids.into_iter().partition(is_imported);
    match (stays_unknown(&bids), stays_unknown(&imported)) {
        (Some((found, way_out)), _) => Ok(Check::unhealthy(UNKNOWN, found, way_out)),
        (None, Some((found, way_out))) => {
            Ok(Check::warning(UNKNOWN, format!("of those imported {found}"), way_out))
        }
        (None, None) => {
            let patience = show_duration(UNKNOWN_PATIENCE);
            Ok(Check::ok(
                UNKNOWN,
                format!("{}, none for longer than {patience}", bids.len() + imported.len()),
            ))
        }
    }
}

/// What was found and the way out, where some of these bids have waited for too long.
fn stays_unknown(bids: &[Bid]) -> Option<(String, &'static str)> {
    let now = App::now().as_millisecond();
    let age = |bid: &Bid| Duration::from_millis(u64::try_from(now - open_since(bid).1.0).unwrap_or(0));
    let old = bids.iter().filter(|bid| age(bid) >= UNKNOWN_PATIENCE).count();
    let patience = show_duration(UNKNOWN_PATIENCE);
    let oldest = bids.iter().max_by_key(|bid| age(bid)).filter(|_| old > 0)?;
    let (since, at) = open_since(oldest);
    Some((
        format!(
            "{old} for longer than {patience}; the oldest is bid {} on {}, {since} {} ago ({})",
            oldest.id,
            oldest.posting,
            show_duration(age(oldest)),
            view::time(at),
        ),
        "`bidlock reconcile` looks them up; what it cannot settle a person decides: `bidlock bid resolve`",
    ))
}

/// Since when the outcome of a bid is open, and by what that is known.
fn open_since(bid: &Bid) -> (&'static str, WallTime) {
    let imported = bid.unknown_cause == Some(UnknownCause::Legacy);
    match (bid.state, bid.last_sent_at) {
        (BidState::Withdrawing, _) => ("asked to be withdrawn", bid.updated_at),
        (_, Some(at)) if imported => ("sent, as the imported row says,", at),
        (_, Some(at)) => ("sent", at),
        (_, None) if imported => ("imported", bid.created_at),
        (_, None) => ("made", bid.created_at),
    }
}

/// Claims that ran out with nobody there to take them up.
async fn expired(ledger: &dyn LedgerStore) -> Result<Check, CliError> {
    let bids = of_states(ledger, vec![BidState::Claimed, BidState::Submitting]).await?;
    let expired = bids.iter().filter(|b| b.claim_remaining.is_none_or(|left| left.is_zero())).count();
    if expired == 0 {
        return Ok(Check::ok(EXPIRED, format!("none; {} at work", bids.len())));
    }
    Ok(Check::warning(
        EXPIRED,
        format!("{expired} of {} claims have expired and were not swept", bids.len()),
        "no scanner runs, it seems: `bidlock scan` takes them over, `bidlock reconcile` sweeps them",
    ))
}

/// What waits for a person: no fault.
async fn waiting(ledger: &dyn LedgerStore) -> Result<Check, CliError> {
    let bids = of_states(ledger, vec![BidState::AwaitingApproval]).await?;
    Ok(Check::ok(
        APPROVALS,
        format!("{} wait for a person (`bidlock bid list --state awaiting_approval`)", bids.len()),
    ))
}

/// At most a page: a check needs no more.
async fn of_states(ledger: &dyn LedgerStore, states: Vec<BidState>) -> Result<Vec<Bid>, CliError> {
    let filter = BidFilter { states, ..BidFilter::default() };
    Ok(ledger.list(&filter, &Page { after: None, limit: MAX_PAGE }).await?)
}
