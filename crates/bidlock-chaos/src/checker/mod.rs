//! Holds a recorded run against the invariants of the design: from the files alone, long after it, as often as one likes.
//!
//! | module | what |
//! |---|---|
//! | `invariant`, `verdict` | what must hold; what was found of it |
//! | `timeline`, `hindrance` | who lived when, what was broken when; when nobody could take over, which L2 does not count |
//! | `postings`, `record` | the feed's postings; the marketplace's own record |
//! | `around` | what the checks of bids and postings look at besides; how far clocks may differ |
//! | `bids`, `named` | one bid at a time: S2, S4 to S7, L1, L2; S8; the law itself is [`bidlock_ledger::lawful`] |
//! | `without_redis` | L4, bid by bid and over all of them |
//! | `unknowns`, `chance` | the fault behind each unknown outcome, or the host's stall; what naming it is worth |
//! | `per_posting` | one posting at a time: S1, S3, S5, S9, L3; S2 of requests whose bid the ledger does not know |
//! | `look_ups` | what the last look-ups could see: L1 of what is unknown, which `per_posting` asks |
//! | `leases` | S10, and S4 on the locks |
//! | `processes` | how processes ended |
//! | `evidence` | the lines that show a violation |
//!
//! Files are read line by line. What is kept of a posting is a few numbers and its bids' names, so that a million of them
//! fit into memory.

mod around;
mod bids;
mod chance;
mod evidence;
mod hindrance;
mod invariant;
mod leases;
mod look_ups;
mod named;
mod per_posting;
mod postings;
mod processes;
mod record;
#[cfg(test)]
pub(crate) mod tests;
mod timeline;
mod unknowns;
mod verdict;
mod without_redis;

use std::collections::{BTreeMap, HashMap};

use bidlock_ledger::{Bid, BidEvent, PostingId};
use serde::{Deserialize, Serialize};

use self::{around::Around, leases::Leases, postings::Postings, record::Record, verdict::Findings};
pub use self::{
    chance::Chance,
    invariant::Invariant,
    record::Sent,
    timeline::{Life, Span, Stall, Timeline},
    verdict::{Finding, MAX_TOLD, Shown, Verdict, Violation},
};
pub(crate) use self::{
    per_posting::{ACCEPTED, POSTINGS, SECOND_BIDS},
    unknowns::HOST_STALLED,
};
use crate::{
    fault::FaultKind,
    history::{
        Begun, Entry, FeedLine, HistoryError, LedgerLine, Outcome, RunFolder, What, read_begun, read_lines,
    },
    plan::Engines,
};

/// All that was found about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// How it began.
    pub begun: Begun,
    /// One for each invariant, in order.
    pub findings: Vec<Finding>,
    /// Who lived when, what was broken when.
    pub timeline: Timeline,
    /// How often each fault struck, the marketplace's among them.
    pub faults: BTreeMap<FaultKind, u64>,
    /// How often an outcome became unknown.
    pub unknowns: Vec<Unknown>,
    /// How many bids ended in each state.
    pub states: BTreeMap<String, u64>,
    /// How many postings the feed had.
    pub postings: u64,
    /// Submissions that reached the marketplace.
    pub submissions: u64,
    /// Those that it accepted.
    pub accepted: u64,
    /// When each submission reached the marketplace, whether it was accepted, whether its answer was a fault: for the
    /// picture, evenly thinned to at most [`MAX_TICKS`].
    pub ticks: Vec<Tick>,
    /// When outcomes became unknown, evenly thinned to at most [`MAX_TICKS`].
    pub unknown_ms: Vec<i64>,
    /// What the faults behind the silence of claimants are worth.
    #[serde(default)]
    pub silence_by_chance: Chance,
}

/// The most submissions that the picture shows: more would only be black.
pub const MAX_TICKS: usize = 4_000;

/// One submission in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// When.
    pub at_ms: i64,
    /// It was accepted.
    pub accepted: bool,
    /// Its answer was a fault.
    pub lost: bool,
}

/// How often one fault made an outcome unknown for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// What the ledger calls the cause.
    pub cause: String,
    /// The fault behind it; `host_stalled` is none of the rig's, `nothing` is a violation.
    pub fault: String,
    /// How often.
    pub count: u64,
}

impl Checked {
    /// Whether every invariant that was exercised held.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Violated)
    }

    /// The invariants that did not hold.
    pub fn violated(&self) -> impl Iterator<Item = Invariant> {
        let violated = self.findings.iter().filter(|finding| finding.verdict == Verdict::Violated);
        violated.map(|finding| finding.invariant)
    }
}

/// Checks a recorded run.
///
/// # Errors
/// A file can't be read, or is none of a run's; the run did not come to its end.
pub fn check(folder: &RunFolder) -> Result<Checked, HistoryError> {
    let begun = read_begun(folder)?;
    let mut found = Findings::default();
    let (mut postings, mut timeline, mut leases) =
        (Postings::default(), Timeline::default(), Leases::default());
    read_lines(&folder.feed(), |line: FeedLine| {
        let number = postings.number(&line.posting);
        let facts = &mut postings.facts[number];
        (facts.in_feed, facts.is_gone) = (true, line.gone_ms.is_some());
        Ok(())
    })?;
    let in_feed = postings.facts.len() as u64;
    read_lines(&folder.history(), |entry: Entry| {
        timeline.hear(&entry);
        match &entry.what {
            What::Lease(line) => leases.hear(line),
            What::Outcome(outcome) => explained(outcome, timeline.last_scan_ms.is_some(), &mut postings),
            What::Note { holder, text } => processes::noted(holder, text, &mut found),
            _ => {}
        }
        Ok(())
    })?;
    if timeline.ended_ms.is_none() {
        return Err(HistoryError::Unfinished { path: folder.path().to_owned() });
    }
    let mut record = Record::new(begun.wall_ms);
    read_lines(&folder.sandbox(), |line| {
        record.hear(&line, &mut postings);
        Ok(())
    })?;
    let mut tally = unknowns::Tally::default();
    let around = Around { begun: &begun, timeline: &timeline, record: &record };
    let states = read_bids(folder, |bid, events| {
        bids::check(bid, events, &around, &mut postings, &mut found, &mut tally);
    })?;
    let written = meant(folder, &postings)?;
    per_posting::check(&postings, &around, &written, &mut found);
    leases.finish(&timeline, &mut found);
    processes::ended(&timeline, &mut found);
    without_redis::finish(&timeline, record.sent.len(), &mut found);
    not_exercised(&begun, &mut found);
    evidence::show(folder, &begun, &timeline, found.violations())?;
    let unknowns::Tally { counts, at_ms, silences_ms } = tally;
    let silence_by_chance = Chance::of(&silences_ms, &around);
    let unknowns = counts.into_iter().map(|((cause, fault), count)| Unknown { cause, fault, count });
    Ok(Checked {
        faults: counted(&timeline, &record),
        unknowns: unknowns.collect(),
        unknown_ms: thinned(&at_ms).copied().collect(),
        silence_by_chance,
        states,
        postings: in_feed,
        submissions: record.sent.len() as u64,
        accepted: record.sent.iter().filter(|sent| sent.accepted.is_some()).count() as u64,
        ticks: ticks(&record),
        findings: found.finish(),
        begun,
        timeline,
    })
}

/// A posting needs no bid where a scanner says that it declined it, or that its identity is ambiguous. That it waits explains
/// nothing but at the end: it is to be tried again.
fn explained(outcome: &Outcome, is_last_scan: bool, postings: &mut Postings) {
    let says_why = match outcome.outcome.as_str() {
        "declined" | "ambiguous_identity" => true,
        "deferred" => is_last_scan,
        _ => false,
    };
    if says_why && let Ok(id) = PostingId::new(&outcome.marketplace, &outcome.posting) {
        let number = postings.number(&id);
        postings.facts[number].explained = true;
    }
}

/// Each bid with its events, in the file's order. Answers how many bids ended in each state.
fn read_bids(
    folder: &RunFolder,
    mut each: impl FnMut(&Bid, &[BidEvent]),
) -> Result<BTreeMap<String, u64>, HistoryError> {
    let mut states = BTreeMap::new();
    let mut current: Option<(Bid, Vec<BidEvent>)> = None;
    read_lines(&folder.ledger(), |line: LedgerLine| {
        match line {
            LedgerLine::Bid(bid) => {
                *states.entry(bid.state.to_string()).or_default() += 1;
                if let Some((bid, events)) = current.replace((*bid, Vec::new())) {
                    each(&bid, &events);
                }
            }
            LedgerLine::Event(event) => {
                if let Some((_, events)) = &mut current {
                    events.push(*event);
                }
            }
            LedgerLine::Ledger { .. } => {}
        }
        Ok(())
    })?;
    if let Some((bid, events)) = current {
        each(&bid, &events);
    }
    Ok(states)
}

/// Which postings of the feed the strangers among the ids were written for. The feed is read again only if there are any.
fn meant(folder: &RunFolder, postings: &Postings) -> Result<per_posting::Written, HistoryError> {
    let strangers: HashMap<&str, &PostingId> =
        postings.strangers().map(|facts| (facts.id.posting(), &facts.id)).collect();
    let mut written = per_posting::Written::new();
    if strangers.is_empty() {
        return Ok(written);
    }
    read_lines(&folder.feed(), |line: FeedLine| {
        for text in &line.written {
            // A link or a number; or an id behind its marketplace's name.
            let bare = text.split_once(' ').map_or(text.as_str(), |(_, id)| id).trim_matches('"');
            if let Some(id) = strangers.get(text.as_str()).or_else(|| strangers.get(bare)) {
                written.insert((*id).clone(), line.posting.clone());
            }
        }
        Ok(())
    })?;
    Ok(written)
}

/// What a verdict can't rest on, if it did not happen.
fn not_exercised(begun: &Begun, found: &mut Findings) {
    found.needs(Invariant::S1, per_posting::ACCEPTED, "nothing was accepted");
    found.needs(Invariant::S2, "requests", "nothing was sent");
    found.needs(
        Invariant::S6,
        "requests while the ledger was away, each held against its door",
        "the ledger was not away while requests were on their way",
    );
    found.needs(Invariant::S10, "steps of work under them", "no worker took a lock");
    found.needs(Invariant::L1, "bids", "the run did not come to its last scan");
    found.needs(
        Invariant::L2,
        "claims of the killed that others took over",
        "nobody was killed before the door",
    );
    let l4 = match begun.plan.engines {
        Engines::RedisAndPostgres => {
            "Redis was not away for longer than a TTL, or nothing was to be sent then"
        }
        _ => "there is no Redis among the engines",
    };
    found.needs(Invariant::L4, without_redis::GOES_ON, l4);
}

fn counted(timeline: &Timeline, record: &Record) -> BTreeMap<FaultKind, u64> {
    let mut faults: BTreeMap<FaultKind, u64> = BTreeMap::new();
    for span in &timeline.faults {
        *faults.entry(span.fault).or_default() += 1;
    }
    // One that waits for an answer to lose has struck where it lost one.
    faults.remove(&FaultKind::LoseReply);
    if timeline.lost_replies() > 0 {
        faults.insert(FaultKind::LoseReply, timeline.lost_replies());
    }
    for (kind, count) in &record.faults {
        *faults.entry(*kind).or_default() += count;
    }
    faults
}

/// At most [`MAX_TICKS`] of them, from the first to the last.
fn thinned<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(MAX_TICKS).max(1))
}

fn ticks(record: &Record) -> Vec<Tick> {
    thinned(&record.sent)
        .map(|sent| Tick {
            at_ms: sent.at_ms,
            accepted: sent.accepted.is_some(),
            lost: sent.fault.is_some() || sent.answered_ms.is_none(),
        })
        .collect()
}
