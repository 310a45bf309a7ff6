//! What came of the races: counted from the marketplace's own record, and held against the ledger.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{BufRead, BufReader},
    path::Path,
};

use anstyle::AnsiColor;
use bidlock_ledger::{Bid, BidFilter, BidState, LedgerStore, Page, PostingId, SqliteLedger};
use bidlock_sandbox::Report;
use serde::Serialize;
use serde_json::{Value, json};

use super::{race::Raced, screen::Screen};
use crate::failure::{CliError, chain_of};

/// The most unknown bids that the screen names.
const MAX_NAMED: usize = 3;
/// As many rows of the ledger at a time.
const PAGE: u32 = 1_000;

/// What one contender's run came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Side {
    /// Submissions that reached the marketplace.
    requests: u64,
    accepted: u64,
    duplicates: u64,
    /// Of those, how many one worker sent twice; the rest came from two workers.
    duplicates_resent: u64,
    /// Postings of the feed on which the marketplace has no bid.
    without_bid: u64,
    kills: u32,
    pauses: u32,
    /// Answers that the marketplace lost, or gave so that nothing can be told from them.
    lost_answers: u64,
    too_many_requests: u64,
    seconds: f64,
}

/// What the ledger says beside that.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Books {
    /// Postings whose bid is final.
    pub(super) settled: u64,
    /// Bids whose outcome was unknown for a while, by cause.
    was_unknown: BTreeMap<String, u64>,
    /// Of those, how many the look-up settled.
    found_by_look_up: u64,
    /// Bids whose outcome is unknown at the end.
    unknown_left: Vec<Unknown>,
    /// What must never be. Empty.
    pub(super) violations: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Unknown {
    marketplace: String,
    posting: String,
    cause: String,
    /// Whether the marketplace has a bid on it.
    marketplace_has_it: bool,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} ({})", self.marketplace, self.posting, self.cause)
    }
}

impl Side {
    /// Counts from the record.
    ///
    /// # Errors
    /// The record can't be read.
    pub(super) fn count(record: &Path, feed: &HashSet<PostingId>, raced: Raced) -> Result<Side, CliError> {
        let report = read(record)?;
        let lost = |(answer, count): (&String, &u64)| {
            let is_proper = answer.parse::<u16>().is_ok_and(|status| status < 500) && answer != "200";
            if is_proper { 0 } else { *count }
        };
        Ok(Side {
            requests: report.submissions,
            accepted: report.accepted,
            duplicates: report.duplicates,
            duplicates_resent: resent(record)?,
            without_bid: feed.iter().filter(|posting| !has_bid(&report, posting)).count() as u64,
            kills: raced.kills,
            pauses: raced.pauses,
            lost_answers: report.answers.iter().map(lost).sum(),
            too_many_requests: report.answers.get("429").copied().unwrap_or_default(),
            seconds: super::rounded(raced.seconds),
        })
    }
}

impl Books {
    /// Holds the ledger against the record.
    ///
    /// # Errors
    /// One of them can't be read.
    pub(super) async fn check(
        ledger: &Path,
        record: &Path,
        feed: &HashSet<PostingId>,
        found_by_look_up: u64,
    ) -> Result<Books, CliError> {
        let report = read(record)?;
        let mut books = Books { found_by_look_up, ..Books::default() };
        let mut without_row = feed.clone();
        for bid in bids(ledger).await? {
            without_row.remove(&bid.posting);
            books.enter(&bid, has_bid(&report, &bid.posting));
        }
        if report.duplicates > 0 {
            books.violations.push(format!("the marketplace accepted {} duplicates", report.duplicates));
        }
        if !without_row.is_empty() {
            books.violations.push(format!("{} postings have no row in the ledger", without_row.len()));
        }
        Ok(books)
    }

    fn enter(&mut self, bid: &Bid, marketplace_has_it: bool) {
        let cause = bid.unknown_cause.map(|cause| cause.to_string());
        if let Some(cause) = &cause {
            *self.was_unknown.entry(cause.clone()).or_default() += 1;
        }
        let said = |what: &str| format!("{}: the ledger says {}, and {what}", bid.posting, bid.state);
        match (bid.state, marketplace_has_it) {
            (BidState::Submitted, true) | (BidState::Rejected, false) => self.settled += 1,
            (BidState::Unknown, marketplace_has_it) => self.unknown_left.push(Unknown {
                marketplace: bid.posting.marketplace().to_owned(),
                posting: bid.posting.posting().to_owned(),
                cause: cause.unwrap_or_default(),
                marketplace_has_it,
            }),
            (_, true) => self.violations.push(said("the marketplace has the bid")),
            (BidState::Submitted, false) => self.violations.push(said("the marketplace has no bid")),
            (_, false) => self.violations.push(said("all scanners have ended")),
        }
    }

    fn unknown_for_a_while(&self) -> u64 {
        self.was_unknown.values().sum()
    }
}

/// The whole proof, for programs.
pub(super) fn to_json(screen: &Screen<'_>, bidlock: &Side, naive: &Side, books: &Books) -> Value {
    let mut ours = serde_json::to_value(bidlock).unwrap_or_default();
    if let (Value::Object(ours), Ok(Value::Object(books))) = (&mut ours, serde_json::to_value(books)) {
        ours.extend(books);
    }
    let mut proof = screen.setting_json("proof");
    if let Value::Object(proof) = &mut proof {
        proof.insert("bidlock".to_owned(), ours);
        proof.insert("naive".to_owned(), json!(naive));
    }
    proof
}

/// The whole proof, on one screen.
///
/// # Errors
/// stdout can't be written.
pub(super) fn print(
    screen: &Screen<'_>,
    bidlock: &Side,
    naive: &Side,
    books: &Books,
) -> Result<(), CliError> {
    let plain = |text: String| screen.line(&text, None);
    let row = |name: &str, a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| {
        format!("  {name:<42}{:>12}{:>14}", a.to_string(), b.to_string())
    };
    plain(screen.title())?;
    plain("Counted from the record that the marketplace writes before it answers:".to_owned())?;
    plain(row("", &"bidlock", &"lock only"))?;
    plain(row("requests received", &bidlock.requests, &naive.requests))?;
    plain(row("bids accepted", &bidlock.accepted, &naive.accepted))?;
    let color = if bidlock.duplicates == 0 { AnsiColor::Green } else { AnsiColor::Red };
    screen.line(&row("DUPLICATE BIDS", &bidlock.duplicates, &naive.duplicates), Some(color))?;
    plain(row("postings without a bid", &bidlock.without_bid, &naive.without_bid))?;
    plain(row("outcomes unknown at the end", &books.unknown_left.len(), &"not kept"))?;
    plain(row("scanners killed (SIGKILL)", &bidlock.kills, &naive.kills))?;
    plain(row("scanners paused (SIGSTOP) beyond the TTL", &bidlock.pauses, &naive.pauses))?;
    plain(row("answers lost on the way back", &bidlock.lost_answers, &naive.lost_answers))?;
    plain(row("told to come later (429)", &bidlock.too_many_requests, &naive.too_many_requests))?;
    plain(row("seconds", &format!("{:.1}", bidlock.seconds), &format!("{:.1}", naive.seconds)))?;
    plain(String::new())?;
    story(screen, naive, books)?;
    for violation in &books.violations {
        screen.line(&format!("VIOLATED: {violation}"), Some(AnsiColor::Red))?;
    }
    Ok(())
}

fn story(screen: &Screen<'_>, naive: &Side, books: &Books) -> Result<(), CliError> {
    let was = books.unknown_for_a_while();
    if was > 0 {
        let causes: Vec<String> = books.was_unknown.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        let left = books.unknown_left.len() as u64;
        let late = was.saturating_sub(books.found_by_look_up + left);
        paragraph(
            screen,
            "bidlock",
            &format!(
                "{was} outcomes were unknown for a while ({}): {late} settled by a late answer, {} by \
                 `bidlock reconcile`, {left} left. None was sent again.",
                causes.join(", "),
                books.found_by_look_up
            ),
        )?;
    }
    if !books.unknown_left.is_empty() {
        let (there, absent): (Vec<_>, Vec<_>) = books.unknown_left.iter().partition(|u| u.marketplace_has_it);
        let mut named: Vec<String> =
            absent.iter().chain(&there).take(MAX_NAMED).map(|u| u.to_string()).collect();
        if books.unknown_left.len() > MAX_NAMED {
            named.push("...".to_owned());
        }
        let found = match there.len() {
            0 => "not found there".to_owned(),
            n => format!("{n} of them found there"),
        };
        let text = format!(
            "Left: {}, {found}; that is no proof, so a person decides (`bidlock bid resolve`).",
            named.join(", ")
        );
        paragraph(screen, "", &text)?;
    }
    let (all, resent) = (naive.duplicates, naive.duplicates_resent);
    let text = if all == 0 {
        "no duplicate this time; another --seed or --chaos heavy may show some.".to_owned()
    } else {
        format!(
            "{resent} of its duplicates were sent again by the same worker for want of an answer, {} by \
             another worker after a kill or a pause.",
            all - resent
        )
    };
    paragraph(screen, "lock only", &text)
}

/// A name at the left, and its text beside it, broken at blanks.
fn paragraph(screen: &Screen<'_>, name: &str, text: &str) -> Result<(), CliError> {
    /// Fits a terminal of 80 columns.
    const TEXT_WIDTH: usize = 67;
    let mut line = String::new();
    let mut name = name;
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > TEXT_WIDTH {
            screen.line(&format!("{name:<11}{line}"), None)?;
            line.clear();
            name = "";
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    screen.line(&format!("{name:<11}{line}"), None)
}

fn read(record: &Path) -> Result<Report, CliError> {
    Report::read(record).map_err(|e| CliError::unavailable(chain_of(&e)))
}

fn has_bid(report: &Report, posting: &PostingId) -> bool {
    let key = (posting.marketplace().to_owned(), posting.posting().to_owned());
    report.postings.get(&key).is_some_and(|seen| !seen.accepted.is_empty())
}

/// How many accepted bids were sent under a bid id that the marketplace had accepted before: by the same worker,
/// for the same attempt.
fn resent(record: &Path) -> Result<u64, CliError> {
    let failed = |e: std::io::Error| CliError::unavailable(format!("can't read {}: {e}", record.display()));
    let mut bid_of: HashMap<u64, String> = HashMap::new();
    let (mut seen, mut again) = (HashSet::new(), 0);
    for line in BufReader::new(std::fs::File::open(record).map_err(failed)?).lines() {
        let Ok(line) = serde_json::from_str::<Value>(&line.map_err(failed)?) else { continue };
        let Some(seq) = line["seq"].as_u64() else { continue };
        if let Some(bid) = line["submission"]["bid_id"].as_str() {
            bid_of.insert(seq, bid.to_owned());
        } else if line["accepted"].is_object()
            && let Some(bid) = bid_of.get(&seq)
        {
            again += u64::from(!seen.insert(bid.clone()));
        }
    }
    Ok(again)
}

async fn bids(ledger: &Path) -> Result<Vec<Bid>, CliError> {
    let ledger = SqliteLedger::open(ledger)?;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.list(&BidFilter::default(), &Page { after, limit: PAGE }).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(bidlock_ledger::store::Cursor(last.id));
        all.extend(page);
    }
}
