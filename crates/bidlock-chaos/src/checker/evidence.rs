//! The lines of the recorded files that show a violation: looked up at the end, for the few that are told.

use bidlock_sandbox::record::Line;

use super::{
    timeline::Timeline,
    verdict::{Shown, Violation},
};
use crate::history::{Begun, Entry, HistoryError, LedgerLine, RunFolder, What, read_lines};

/// The most lines that one violation shows.
const MAX_SHOWN: usize = 40;
/// The longest text of a line that is shown, in characters.
const MAX_TEXT: usize = 160;
/// How much of an id is shown.
const SHORT: usize = 6;
/// How long before and after what is shown a fault is of interest.
const AROUND_MS: i64 = 3_000;

/// Fills in what shows each violation.
pub(super) fn show<'a>(
    folder: &RunFolder,
    begun: &Begun,
    timeline: &Timeline,
    violations: impl Iterator<Item = &'a mut Violation>,
) -> Result<(), HistoryError> {
    let mut violations: Vec<&mut Violation> = violations.collect();
    if violations.is_empty() {
        return Ok(());
    }
    from_ledger(folder, begun, &mut violations)?;
    from_sandbox(folder, begun, &mut violations)?;
    from_history(folder, &mut violations)?;
    for violation in violations {
        with_faults(timeline, &mut violation.shown_by);
        // Lines of one file stay in its order: an answer of the same millisecond follows its request.
        violation.shown_by.sort_by(|a, b| (a.at_ms, &a.file).cmp(&(b.at_ms, &b.file)));
        violation.shown_by.truncate(MAX_SHOWN);
    }
    Ok(())
}

fn add(violation: &mut Violation, at_ms: i64, file: &str, text: &str) {
    if violation.shown_by.len() < MAX_SHOWN {
        let text = text.chars().take(MAX_TEXT).collect();
        violation.shown_by.push(Shown { at_ms, file: file.to_owned(), text });
    }
}

/// The end of an id, which tells those of one posting apart, with a dot for what is left out.
fn short(id: &str) -> String {
    let tail = id.len().saturating_sub(SHORT);
    id.get(tail..).map_or_else(|| id.to_owned(), |tail| format!("…{tail}"))
}

fn from_ledger(
    folder: &RunFolder,
    begun: &Begun,
    violations: &mut [&mut Violation],
) -> Result<(), HistoryError> {
    let mut of_bid: Vec<usize> = Vec::new();
    read_lines(&folder.ledger(), |line: LedgerLine| {
        match line {
            LedgerLine::Bid(bid) => {
                let concerned = |violation: &&mut Violation| violation.posting.as_ref() == Some(&bid.posting);
                let numbered = violations.iter().enumerate();
                of_bid = numbered.filter(|(_, violation)| concerned(violation)).map(|(at, _)| at).collect();
            }
            LedgerLine::Event(event) => {
                for at in &of_bid {
                    let action = event.action.map_or("claim", bidlock_ledger::Action::as_str);
                    let reason = event.reason.as_deref().unwrap_or_default();
                    let text = format!(
                        "{} {}: {action} to {} by {}, claim {} epoch {} {reason}",
                        short(&event.bid.to_string()),
                        event.seq,
                        event.to,
                        event.actor,
                        short(&event.claim_id.to_string()),
                        event.epoch.0
                    );
                    add(violations[*at], event.at.0 - begun.wall_ms, "ledger", &text);
                }
            }
            _ => {}
        }
        Ok(())
    })
}

fn from_sandbox(
    folder: &RunFolder,
    begun: &Begun,
    violations: &mut [&mut Violation],
) -> Result<(), HistoryError> {
    let mut open = std::collections::HashMap::new();
    read_lines(&folder.sandbox(), |line: Line| {
        match line {
            Line::Request(request) => {
                let Some(seen) = &request.submission else { return Ok(()) };
                let is_it = |violation: &&mut Violation| {
                    violation.posting.as_ref().is_some_and(|id| {
                        id.marketplace() == seen.marketplace && id.posting() == seen.posting_id
                    })
                };
                let numbered = violations.iter().enumerate();
                let concerned: Vec<usize> =
                    numbered.filter(|(_, violation)| is_it(violation)).map(|(at, _)| at).collect();
                for at in &concerned {
                    let bid = short(seen.bid_id.as_deref().unwrap_or_default());
                    let text = format!("request {}: {bid}, to {}", request.seq, request.path);
                    add(violations[*at], request.at.as_millisecond() - begun.wall_ms, "sandbox", &text);
                }
                if !concerned.is_empty() {
                    open.insert(request.seq, concerned);
                }
            }
            Line::Answer(answer) => {
                for at in open.remove(&answer.seq).unwrap_or_default() {
                    let accepted = answer.accepted.as_ref();
                    let accepted =
                        accepted.map(|bid| format!(", accepted as {}", bid.id)).unwrap_or_default();
                    let fault = answer.fault.as_ref().map(|fault| format!(" ({fault})")).unwrap_or_default();
                    let text = format!("request {}: answered {}{fault}{accepted}", answer.seq, answer.answer);
                    add(violations[at], answer.at.as_millisecond() - begun.wall_ms, "sandbox", &text);
                }
            }
            Line::Start { .. } => {}
        }
        Ok(())
    })
}

/// A posting's outcomes; a key's leases: the last ones, as an overlap shows at its end.
fn from_history(folder: &RunFolder, violations: &mut [&mut Violation]) -> Result<(), HistoryError> {
    read_lines(&folder.history(), |entry: Entry| {
        let at_ms = i64::try_from(entry.at_ms).unwrap_or(i64::MAX);
        match &entry.what {
            What::Outcome(outcome) => {
                for violation in violations.iter_mut() {
                    let it = violation.posting.as_ref().is_some_and(|id| {
                        id.marketplace() == outcome.marketplace && id.posting() == outcome.posting
                    });
                    if it {
                        let reason = outcome.reason.as_deref().unwrap_or_default();
                        let text = format!("{}: {} {reason}", outcome.holder, outcome.outcome);
                        add(violation, at_ms, "history", &text);
                    }
                }
            }
            What::Lease(lease) => {
                for violation in violations.iter_mut().filter(|v| v.key.as_ref() == Some(&lease.key)) {
                    if violation.shown_by.len() >= MAX_SHOWN {
                        violation.shown_by.remove(0);
                    }
                    let at_ms = i64::try_from(lease.at_us / 1_000).unwrap_or(i64::MAX);
                    add(violation, at_ms, "history", &format!("{}: {:?}", lease.holder, lease.step));
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// The faults around what is shown.
fn with_faults(timeline: &Timeline, shown: &mut Vec<Shown>) {
    let times = || shown.iter().map(|line| line.at_ms);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return };
    let room = MAX_SHOWN.saturating_sub(shown.len());
    let faults = timeline.near(first - AROUND_MS, last + AROUND_MS).take(room).map(|span| Shown {
        at_ms: span.from_ms,
        file: "history".to_owned(),
        text: format!("FAULT {}: {} of {} until {} ms", span.id, span.fault, span.target, span.to_ms),
    });
    let faults: Vec<Shown> = faults.collect();
    shown.extend(faults);
}
