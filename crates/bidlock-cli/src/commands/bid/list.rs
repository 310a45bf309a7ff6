//! `bidlock bid list`.

use bidlock_ledger::{Bid, BidFilter, Cursor, Page, WallTime};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::json;

use super::{
    imported::{self, OldRow},
    view,
};
use crate::{
    app::{Access, App},
    args::ListArgs,
    exit::Exit,
    failure::CliError,
};

/// Runs it.
pub(super) async fn run(app: &App, args: ListArgs) -> Result<Exit, CliError> {
    let now = App::now();
    // A posting's URL or another form of its id means the posting, where the marketplace is known.
    let canonical = match (&args.marketplace, &args.posting) {
        (Some(marketplace), Some(posting)) => bidlock_market::canonical(marketplace, posting).ok(),
        _ => None,
    };
    let filter = BidFilter {
        marketplace: args.marketplace.as_deref().map(bidlock_market::identity::marketplace_name),
        posting: canonical.map(|id| id.posting().to_owned()).or(args.posting),
        states: args.state.clone(),
        since: args.since.as_deref().map(|t| point_in_time("--since", t, now)).transpose()?,
        until: args.until.as_deref().map(|t| point_in_time("--until", t, now)).transpose()?,
    };
    let ledger = app.ledger(Access::ReadOnly).await?;
    let after = match &args.after {
        Some(text) => Some(Cursor(super::find::find(ledger.as_ref(), text).await?.id)),
        None => None,
    };
    let page = Page { after, limit: args.limit };
    let mut bids = ledger.list(&filter, &page).await?;
    // As every other command names one. An id may hold a slash itself, and comes first.
    if bids.is_empty()
        && filter.marketplace.is_none()
        && let Some((marketplace, posting)) =
            filter.posting.as_deref().and_then(|posting| posting.split_once('/'))
        && let Ok(named) = bidlock_market::canonical(marketplace, posting)
    {
        let (marketplace, posting) = (named.marketplace().to_owned(), named.posting().to_owned());
        let named = BidFilter { marketplace: Some(marketplace), posting: Some(posting), ..filter };
        bids = ledger.list(&named, &page).await?;
    }
    let is_full = bids.len() == args.limit as usize;
    let next = bids.last().filter(|_| is_full).map(|b| b.id);
    let old = imported::old_rows(ledger.as_ref(), &bids).await?;
    if app.out.json {
        let with_old = |(bid, old): (&Bid, &Option<OldRow>)| {
            let mut all = view::bid_json(bid);
            all["legacy"] = old.as_ref().map_or(serde_json::Value::Null, OldRow::json);
            all
        };
        let bids: Vec<_> = bids.iter().zip(&old).map(with_old).collect();
        app.out.json_document(&json!({ "bids": bids, "next": next }))?;
        return Ok(Exit::Ok);
    }
    let ids: Vec<String> = bids.iter().map(|bid| bid.id.to_string()).collect();
    let shown = if app.out.stdout_terminal { shortest(&ids) } else { usize::MAX };
    let rows: Vec<Vec<String>> = bids
        .iter()
        .zip(&ids)
        .zip(&old)
        .map(|((bid, id), old)| {
            vec![
                id.chars().take(shown).collect(),
                bid.state.to_string(),
                bid.posting.to_string(),
                imported::amount(bid, old.as_ref()),
                imported::made(bid, old.as_ref()),
                if app.out.stdout_terminal { shortened(&view::why(bid)) } else { view::why(bid) },
            ]
        })
        .collect();
    if rows.is_empty() {
        app.out.say("no bids match");
        return Ok(Exit::Ok);
    }
    app.out.table(&["bid", "state", "posting", "amount", "made", "why"], &rows)?;
    if let Some(next) = next {
        app.out.say(format!("there may be more: add --after {next}"));
    }
    Ok(Exit::Ok)
}

/// How many characters of these ids tell them apart, and at least so many as hold the time of their making: every
/// command takes the beginning of an id. They come in their order, so that neighbours are the most alike.
fn shortest(ids: &[String]) -> usize {
    const LEAST: usize = 13;
    let alike = |(a, b): (&String, &String)| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    ids.iter().zip(ids.iter().skip(1)).map(alike).max().map_or(LEAST, |alike| LEAST.max(alike + 1))
}

/// On a terminal a longer reason would fill the screen; `bid show` has the whole.
const MAX_WHY: usize = 60;

fn shortened(why: &str) -> String {
    // The first line, and of it so many characters that the ellipsis still fits.
    let line = why.lines().next().unwrap_or_default();
    if line.len() == why.len() && line.chars().count() <= MAX_WHY {
        return why.to_owned();
    }
    let cut: String = line.chars().take(MAX_WHY - 1).collect();
    format!("{}\u{2026}", cut.trim_end())
}

/// A duration is so long ago; a date is its midnight here; a date and time with zone is itself.
fn point_in_time(flag: &str, text: &str, now: Timestamp) -> Result<WallTime, CliError> {
    let wrong = || {
        CliError::usage(format!("{flag}: `{text}` is no time"))
            .hint("write a duration such as 24h (ago), a date such as 2026-03-01, or 2026-03-01T12:00:00Z")
    };
    let at = if let Ok(ago) = bidlock_config::duration(text) {
        let ago = jiff::SignedDuration::try_from(ago).map_err(|_| wrong())?;
        now.checked_sub(ago).map_err(|_| wrong())?
    } else if let Ok(at) = text.parse::<Timestamp>() {
        at
    } else {
        let date: civil::DateTime = text.parse().map_err(|_| wrong())?;
        date.to_zoned(TimeZone::system()).map_err(|_| wrong())?.timestamp()
    };
    Ok(WallTime(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cut_where_they_still_differ() {
        let ids = |all: &[&str]| all.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (a, b) = ("0199c3f2-1234-7000-8000-00000000000a", "0199c3f2-1234-7010-8000-00000000000a");
        assert_eq!((shortest(&[]), shortest(&ids(&[a]))), (13, 13));
        assert_eq!(shortest(&ids(&[a, b])), "0199c3f2-1234-701".len());
    }

    #[test]
    fn a_long_reason_is_cut_for_the_screen() {
        assert_eq!(shortened("timeout: no answer"), "timeout: no answer");
        assert_eq!(shortened("first line\nsecond"), "first line\u{2026}");
        let cut = shortened(&"\u{e9}".repeat(200));
        assert_eq!((cut.chars().count(), cut.ends_with('\u{2026}')), (MAX_WHY, true));
        assert_eq!(shortened(&"x".repeat(MAX_WHY)), "x".repeat(MAX_WHY));
    }

    #[test]
    fn times_are_durations_dates_or_moments() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let at = |text: &str| point_in_time("--since", text, now).unwrap().0;
        assert_eq!(at("24h"), now.as_millisecond() - 86_400_000);
        assert_eq!(at("2026-03-02T12:00:00Z"), now.as_millisecond());
        assert!((at("2026-03-01") - now.as_millisecond()).abs() < 3 * 86_400_000);
        assert!(point_in_time("--since", "yesterday-ish", now).unwrap_err().message.contains("--since"));
    }
}
