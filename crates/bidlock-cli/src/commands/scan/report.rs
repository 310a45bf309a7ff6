//! What a scan says while it runs and at the end: JSON lines, or lines and a table for people.

use std::collections::HashSet;

use bidlock::{Clock, Moment, SystemClock};
use bidlock_ledger::{BidBrief, PostingId};
use bidlock_market::Posting;
use bidlock_pipeline::{DeferReason, Outage, Outcome, ScanSummary, Stop};
use serde_json::{Map, Value, json};

use super::{feeds::Item, told::Told};
use crate::{
    app::App,
    exit::Exit,
    failure::CliError,
    fallback::{FallbackReport, FallbackUse},
    output::Output,
};

/// Writes as it goes. A reader of stdout that has gone stops the scan gently: nobody should bid unseen.
pub(super) struct Report<'a> {
    app: &'a App,
    out: &'a Output,
    fallback: FallbackReport,
    stop: Stop,
    dry_run: bool,
    told: Told,
    pass: Pass,
    /// The pipeline's count at the end of the last pass.
    stale_claims: u64,
    exit: Exit,
    failure: Option<CliError>,
    /// Requests do not even leave, pass after pass.
    out_of_reach: Outage,
}

/// The counts of one pass.
struct Pass {
    started: Moment,
    sightings: u64,
    counts: [u64; Outcome::NAMES.len()],
    distinct: HashSet<PostingId>,
    invalid: u64,
    unreadable: u64,
    approved_sent: u64,
    swept: u64,
    swept_unknown: u64,
    /// Postings whose request never left: the marketplace can't be reached.
    unreachable: u64,
    /// Postings whose claim ran out before a request could leave: nobody knows whether it would have.
    ran_out: u64,
    /// Why the marketplace can't be reached, as the last of them says.
    out_of_reach: Option<String>,
    /// Something was written that no pass before has said.
    news: bool,
}

impl Pass {
    /// How many sightings ended so, by a name of [`Outcome::NAMES`].
    fn count_of(&self, outcome: &str) -> u64 {
        Outcome::NAMES
            .iter()
            .zip(self.counts)
            .filter(|(name, _)| **name == outcome)
            .map(|(_, count)| count)
            .sum()
    }
}

fn unknown_outcomes(bids: u64, whose: &str) -> String {
    let (bid, have, them) = if bids == 1 { ("bid", "has", "it") } else { ("bids", "have", "them") };
    format!("{bids} {bid}{whose} {have} an unknown outcome; settle {them} with `bidlock reconcile`")
}

impl Pass {
    fn new() -> Pass {
        Pass {
            started: SystemClock.now(),
            sightings: 0,
            counts: Default::default(),
            distinct: HashSet::new(),
            invalid: 0,
            unreadable: 0,
            approved_sent: 0,
            swept: 0,
            swept_unknown: 0,
            unreachable: 0,
            ran_out: 0,
            out_of_reach: None,
            news: false,
        }
    }

    /// What an outcome says of whether the marketplace can be reached.
    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Deferred(DeferReason::NotSent { detail }) => {
                self.unreachable += 1;
                self.out_of_reach = Some(detail.clone());
            }
            Outcome::Deferred(DeferReason::ClaimRanOut { .. }) => self.ran_out += 1,
            _ => {}
        }
    }

    /// Nothing says that it can't be reached; a pass without anything to send says as much.
    fn is_reached(&self) -> bool {
        self.unreachable + self.ran_out == 0
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(app: &'a App, dry_run: bool, stop: Stop) -> Report<'a> {
        Report {
            app,
            out: &app.out,
            fallback: FallbackReport::default(),
            stop,
            dry_run,
            told: Told::default(),
            pass: Pass::new(),
            stale_claims: 0,
            exit: Exit::Ok,
            failure: None,
            out_of_reach: Outage::default(),
        }
    }

    /// A pass begins: its time counts from here, not from the end of the one before.
    pub(super) fn begin(&mut self) {
        self.told.next_pass();
        self.pass.started = SystemClock.now();
    }

    /// One sighting's outcome.
    pub(super) fn outcome(&mut self, posting: &Posting, outcome: &Outcome) {
        self.pass.sightings += 1;
        if let Some(slot) = Outcome::NAMES.iter().position(|n| *n == outcome.name()) {
            self.pass.counts[slot] += 1;
        }
        self.pass.distinct.insert(posting.id.clone());
        self.note(outcome);
        if self.out.json {
            let mut line = outcome_json("outcome", &posting.id, outcome);
            line.insert("source".to_owned(), json!(posting.source.name));
            line.insert("row".to_owned(), json!(posting.source.row));
            if self.dry_run {
                line.insert("dry_run".to_owned(), json!(true));
            }
            self.write(&Value::Object(line));
        } else if worth_a_line(outcome) {
            self.line(&posting.id, outcome, Some(&posting.title));
        }
    }

    /// An approved bid that was sent, whether or not a feed still shows its posting.
    pub(super) fn approved(&mut self, posting: &PostingId, outcome: &Outcome) {
        let sent =
            matches!(outcome, Outcome::Submitted(_) | Outcome::Unknown { .. } | Outcome::Refused { .. });
        self.pass.approved_sent += u64::from(sent);
        self.note(outcome);
        if self.out.json {
            self.write(&Value::Object(outcome_json("approved", posting, outcome)));
        } else {
            self.line(posting, outcome, None);
        }
    }

    /// Whatever a feed gives that is no sighting.
    pub(super) fn problem(&mut self, item: Item) {
        let (source, row, reason) = match item {
            Item::Posting(_) => return,
            Item::Note(note) => {
                // On stderr, and the same in each pass: what auto made of the columns, say.
                if self.told.is_new(&note, "") {
                    self.out.say(printable(&note));
                }
                return;
            }
            Item::Invalid(row) => (row.source, row.row, row.reason),
            Item::Unreadable(source, reason) => {
                self.pass.unreadable += 1;
                self.exit = worse(self.exit, Exit::Usage);
                (source, 0, reason)
            }
        };
        self.pass.invalid += 1;
        if self.out.json {
            self.write(&json!({ "event": "invalid", "source": source, "row": row, "reason": reason }));
        } else if self.told.is_new(&format!("{source} row {row}"), &reason) {
            self.pass.news = true;
            self.out.warn(format!("{} row {row}: {}", printable(&source), printable(&reason)));
        }
    }

    pub(super) fn swept(&mut self, done: &ScanSummary) {
        self.pass.swept += done.swept;
        self.pass.swept_unknown += done.swept_unknown;
    }

    /// The last line of a pass; the next pass counts anew. `stale_claims` is the pipeline's count so far. People read
    /// nothing of a pass that has nothing new to say, but for the first.
    pub(super) fn summary(&mut self, stale_claims: u64) -> Result<(), CliError> {
        let stale_here = stale_claims - std::mem::replace(&mut self.stale_claims, stale_claims);
        let pass = std::mem::replace(&mut self.pass, Pass::new());
        // The last pass decides that says anything of it: a marketplace that is back is no failure.
        self.exit = match self.exit {
            Exit::Unavailable if pass.is_reached() => Exit::Ok,
            Exit::Ok if pass.out_of_reach.is_some() => Exit::Unavailable,
            exit => exit,
        };
        self.tell_of_reach(&pass);
        let seconds = SystemClock.now().since(pass.started).as_secs_f64();
        let status = self.app.fallback_status();
        if self.out.json {
            let fallback = status.map(|status| self.fallback.since(status));
            return self.out.json_line(&self.as_json(&pass, stale_here, seconds, fallback));
        }
        if let Some(news) = status.and_then(|status| self.fallback.news(&status, SystemClock.now())) {
            self.out.say(news);
        }
        let nothing_new = !pass.news && pass.swept + stale_here + pass.approved_sent == 0;
        if nothing_new && self.told.is_after_the_first() {
            return Ok(());
        }
        self.out.fields(&self.as_rows(&pass, stale_here, seconds))?;
        for (unknown, whose) in
            [(pass.count_of("unknown"), ""), (pass.swept_unknown, " of vanished scanners")]
        {
            if unknown > 0 {
                self.out.warn(unknown_outcomes(unknown, whose));
            }
        }
        Ok(())
    }

    /// Its lines are said once; that it lasts is said once a minute, and so is its end.
    fn tell_of_reach(&mut self, pass: &Pass) {
        let now = SystemClock.now();
        if let Some(detail) = &pass.out_of_reach {
            let (since, say) = self.out_of_reach.goes_on(now);
            if say {
                let (away_s, postings) = (now.since(since).as_secs(), pass.unreachable);
                tracing::warn!(%detail, away_s, postings, "the marketplace can't be reached; what is to be sent waits");
            }
        } else if pass.is_reached()
            && let Some(since) = self.out_of_reach.ends()
        {
            let away_s = now.since(since).as_secs();
            tracing::warn!(away_s, "the marketplace can be reached again");
        }
    }

    fn as_json(&self, pass: &Pass, stale_claims: u64, seconds: f64, fallback: Option<FallbackUse>) -> Value {
        let mut line = Map::new();
        line.insert("event".to_owned(), json!("summary"));
        line.insert("sightings".to_owned(), json!(pass.sightings));
        line.insert("distinct".to_owned(), json!(pass.distinct.len()));
        for (name, count) in Outcome::NAMES.iter().zip(pass.counts) {
            line.insert((*name).to_owned(), json!(count));
        }
        line.insert("invalid".to_owned(), json!(pass.invalid));
        line.insert("unreadable_files".to_owned(), json!(pass.unreadable));
        line.insert("approved_sent".to_owned(), json!(pass.approved_sent));
        line.insert("swept".to_owned(), json!(pass.swept));
        line.insert("swept_unknown".to_owned(), json!(pass.swept_unknown));
        line.insert("stale_claims".to_owned(), json!(stale_claims));
        line.insert("dry_run".to_owned(), json!(self.dry_run));
        if let Some(used) = &fallback {
            line.insert("fallback_active".to_owned(), json!(used.active));
            line.insert("fallback_times".to_owned(), json!(used.times));
            line.insert("fallback_ms".to_owned(), json!(used.lasted.as_millis()));
        }
        line.insert("seconds".to_owned(), json!((seconds * 1_000.0).round() / 1_000.0));
        Value::Object(line)
    }

    fn as_rows(&self, pass: &Pass, stale_claims: u64, seconds: f64) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("sightings", pass.sightings.to_string()),
            ("distinct postings", pass.distinct.len().to_string()),
        ];
        for (name, count) in Outcome::NAMES.iter().zip(pass.counts) {
            let name = self.label(name);
            if count > 0 || name == self.label("submitted") {
                rows.push((name, count.to_string()));
            }
        }
        for (name, count) in [
            ("invalid rows", pass.invalid),
            ("approved bids sent", pass.approved_sent),
            ("left by vanished scanners", pass.swept),
            ("claims lost before the door", stale_claims),
        ] {
            if count > 0 {
                rows.push((name, count.to_string()));
            }
        }
        rows.push(("seconds", format!("{seconds:.2}")));
        rows
    }

    /// The first thing that could not be written, if any.
    pub(super) fn write_failure(&mut self) -> Result<(), CliError> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// How the scan ends, as far as its outcomes decide it.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// A dry run's words for people. In JSON the outcome keeps its name, and `dry_run` says what it is.
    fn label(&self, name: &'static str) -> &'static str {
        match name {
            "submitted" if self.dry_run => "would be submitted",
            "already_bid" if self.dry_run => "already bid or seen",
            name => name,
        }
    }

    /// What decides how the scan ends.
    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Unknown { .. } => self.exit = worse(self.exit, Exit::UnknownOutcome),
            outcome => self.pass.note(outcome),
        }
    }

    fn line(&mut self, posting: &PostingId, outcome: &Outcome, title: Option<&str>) {
        let reason = outcome.reason().map(|r| format!(": {r}")).unwrap_or_default();
        let title = title.map(|t| format!(" \u{201c}{t}\u{201d}")).unwrap_or_default();
        let text = printable(&format!("{:<18} {posting}{title}{reason}", self.label(outcome.name())));
        if !self.told.is_new(&posting.to_string(), &text) {
            return;
        }
        self.pass.news = true;
        let written = self.out.line(text);
        self.keep(written);
    }

    fn write(&mut self, line: &Value) {
        let written = self.out.json_line(line);
        self.keep(written);
    }

    fn keep(&mut self, written: Result<(), CliError>) {
        if let Err(error) = written
            && self.failure.is_none()
        {
            self.failure = Some(error);
            self.stop.drain();
        }
    }
}

fn outcome_json(event: &str, posting: &PostingId, outcome: &Outcome) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("event".to_owned(), json!(event));
    line.insert("marketplace".to_owned(), json!(posting.marketplace()));
    line.insert("posting".to_owned(), json!(posting.posting()));
    line.insert("outcome".to_owned(), json!(outcome.name()));
    line.insert("bid".to_owned(), json!(outcome.bid().map(|b: &BidBrief| b.id)));
    if let Some(bid) = outcome.bid() {
        line.insert("state".to_owned(), json!(bid.state));
    }
    if let Some(reason) = outcome.reason() {
        line.insert("reason".to_owned(), json!(reason));
    }
    line
}

/// Most sightings are of postings that have their bid, or that the rules decline: their counts say enough.
fn worth_a_line(outcome: &Outcome) -> bool {
    !matches!(outcome.name(), "already_bid" | "declined")
}

/// An outcome that a person must look at beats an unreadable file.
fn worse(now: Exit, then: Exit) -> Exit {
    if now == Exit::UnknownOutcome { now } else { then }
}

/// What comes from a feed is written without its control characters.
fn printable(text: &str) -> String {
    crate::output::printable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_that_slept_does_not_call_the_marketplace_out_of_reach_nor_back() {
        let detail = || "made up".to_owned();
        let after = |why| {
            let mut pass = Pass::new();
            pass.note(&Outcome::Deferred(why));
            (pass.out_of_reach.is_some(), pass.is_reached())
        };
        assert_eq!(after(DeferReason::NotSent { detail: detail() }), (true, false));
        assert_eq!(after(DeferReason::ClaimRanOut { detail: detail() }), (false, false));
        assert_eq!(after(DeferReason::TryLater { until: None, detail: detail() }), (false, true));
    }
}
