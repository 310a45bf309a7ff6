//! The report on a terminal: short, and readable at 80 columns.

use super::{
    Report, accepted,
    words::{count, number, time},
};
use crate::checker::{Finding, Verdict, Violation};

/// What fits into a line.
const WIDTH: usize = 78;
/// How many violations of one invariant are written out; the rest is in the JSON and on the page.
const MAX_VIOLATIONS: usize = 3;
/// How many lines of evidence stand below each.
const MAX_EVIDENCE: usize = 14;

pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = Page(String::new());
    let Report { seed, engines, scanners, .. } = report;
    page.line(format!(
        "Fault rig: seed {seed}, {engines}, {}, {}",
        count(u64::from(*scanners), "scanner"),
        time(report.took_ms)
    ));
    if let Some(canary) = report.canary {
        page.line(format!("CANARY `{canary}`: a mechanism was missing in this run"));
    }
    page.line(String::new());
    page.line(format!(
        "  {}, {} reached the marketplace",
        count(report.postings, "posting"),
        count(report.submissions, "request")
    ));
    page.wrapped("  ", "    ", &accepted::told(report));
    page.line(format!(
        "  {} of {}; {} of {} unknown outcomes named",
        count(report.faults_total, "fault"),
        count(report.fault_types as u64, "type"),
        number(report.unknowns_named),
        number(report.unknowns_total)
    ));
    page.line(format!("  duplicates {}, lost {}", number(report.duplicates), number(report.lost)));
    page.line(String::new());
    page.list("faults", report.faults.iter().map(|(kind, n)| format!("{kind} {}", number(*n))));
    page.list("bids", report.states.iter().map(|(state, n)| format!("{state} {}", number(*n))));
    page.list(
        "unknown",
        report.unknowns.iter().map(|u| format!("{} by {} {}", u.cause, u.fault, number(u.count))),
    );
    if let Some(chance) = report.by_chance() {
        page.list("by chance", std::iter::once(chance));
    }
    if let Some(stalled) = report.host_stalled() {
        page.list("host", std::iter::once(stalled));
    }
    page.line(String::new());
    for finding in report.findings {
        page.line(format!(
            "  {:<9} {:<13} {}",
            finding.invariant.name(),
            finding.verdict.name(),
            finding.invariant.says()
        ));
    }
    not_exercised(report, &mut page);
    for finding in report.findings.iter().filter(|finding| finding.verdict == Verdict::Violated) {
        violations(finding, &mut page);
    }
    page.line(String::new());
    page.line(conclusion(report));
    if let Some(left_out) = report.left_out() {
        page.wrapped("", "", &format!("It rests on a history with {left_out}."));
    }
    page.line(format!("again: {}", report.replay));
    page.0
}

fn conclusion(report: &Report<'_>) -> String {
    if report.clean {
        let shown = report.findings.iter().filter(|finding| finding.verdict == Verdict::Proven).count();
        let missing = match report.not_exercised_invariants().count() {
            0 => String::new(),
            n => format!(", {n} not exercised"),
        };
        return format!(
            "Proven: {shown} of {} invariants; none is violated{missing}.",
            report.findings.len()
        );
    }
    let names: Vec<&str> = report.violated.iter().map(|invariant| invariant.name()).collect();
    format!("VIOLATED: {}", names.join(", "))
}

fn not_exercised(report: &Report<'_>, page: &mut Page) {
    let invariants = report
        .not_exercised_invariants()
        .map(|finding| format!("{}: {}", finding.invariant, finding.why.as_deref().unwrap_or_default()));
    let faults = report.not_exercised.iter().map(|kind| format!("{}: {}", kind.fault, kind.why));
    let host = report.host_was_too_busy().map(|why| format!("unknowns: {why}"));
    let all: Vec<String> = invariants.chain(faults).chain(host).collect();
    if !all.is_empty() {
        page.line(String::new());
        page.line("not exercised".to_owned());
        all.iter().for_each(|line| page.wrapped("  ", "    ", line));
    }
}

fn violations(finding: &Finding, page: &mut Page) {
    page.line(String::new());
    let Finding { invariant, violated, .. } = finding;
    page.line(format!("{invariant} VIOLATED, {}: {}", count(*violated, "time"), invariant.says()));
    for Violation { what, shown_by, .. } in finding.violations.iter().take(MAX_VIOLATIONS) {
        page.wrapped("  - ", "    ", what);
        for line in shown_by.iter().take(MAX_EVIDENCE) {
            let text = format!("{:>8} ms {:<8} {}", line.at_ms, line.file, line.text);
            page.line(format!("    {}", cut(&text, WIDTH - 4)));
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

struct Page(String);

impl Page {
    fn line(&mut self, line: String) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// A list that goes on below itself.
    fn list(&mut self, name: &str, items: impl Iterator<Item = String>) {
        let items: Vec<String> = items.collect();
        let text = if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        self.wrapped(&format!("  {name:<9} "), "            ", &text);
    }

    /// Words in lines that fit.
    fn wrapped(&mut self, first: &str, indent: &str, text: &str) {
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in text.split_whitespace() {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(std::mem::replace(&mut line, indent.to_owned()));
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.line(line);
    }
}
