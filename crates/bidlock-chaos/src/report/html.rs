//! The report as one page: no script, nothing from elsewhere, light or dark as the reader likes it.

use std::fmt::Write as _;

use super::{
    Report, accepted,
    picture::{self, Family},
    words::{count, escaped, number, time},
};
use crate::{
    checker::{Finding, Verdict, Violation},
    fault::FaultKind,
};

pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>bidlock: fault rig, seed {seed}</title>
<style>{style}</style>
<main>
"#,
        seed = report.seed,
        style = include_str!("style.css")
    );
    head(&mut page, report);
    numbers(&mut page, report);
    let _ = write!(
        page,
        r#"<section><h2>What happened</h2><div class="picture">{}</div>{}</section>"#,
        picture::svg(report),
        legend()
    );
    verdicts(&mut page, report);
    violations(&mut page, report);
    page.push_str(r#"<div class="columns">"#);
    faults(&mut page, report);
    unknowns(&mut page, report);
    page.push_str("</div>");
    not_exercised(&mut page, report);
    foot(&mut page, report);
    page.push_str("</main>\n</html>\n");
    page
}

fn head(page: &mut String, report: &Report<'_>) {
    let (class, verdict) = match (report.clean, report.violated.as_slice()) {
        (true, _) => match report.not_exercised_invariants().count() as u64 {
            0 => ("good", "Every invariant held.".to_owned()),
            n => ("good", format!("No invariant is violated; {} not exercised.", number(n))),
        },
        (false, violated) => {
            let names: Vec<&str> = violated.iter().map(|invariant| invariant.name()).collect();
            ("bad", format!("Violated: {}.", names.join(", ")))
        }
    };
    let _ = write!(
        page,
        r#"<header class="{class}"><p class="kicker">bidlock fault rig</p><h1>{}</h1><p>Seed {}, {}, {}, {}.</p>"#,
        escaped(&verdict),
        report.seed,
        report.engines,
        count(u64::from(report.scanners), "scanner"),
        time(report.took_ms)
    );
    if !report.clean {
        page.push_str(r#"<ul class="plain">"#);
        for invariant in &report.violated {
            let _ = write!(page, "<li><b>{invariant}</b> does not hold: {}", escaped(invariant.says()));
        }
        page.push_str("</ul>");
    }
    if let Some(left_out) = report.left_out() {
        let _ = write!(page, "<p>It rests on a history with {left_out}.</p>");
    }
    if let Some(canary) = report.canary {
        let _ = write!(
            page,
            r#"<p class="canary">Canary <code>{}</code>: a mechanism was missing in this run.</p>"#,
            escaped(canary)
        );
    }
    page.push_str("</header>");
}

fn numbers(page: &mut String, report: &Report<'_>) {
    page.push_str(r#"<dl class="numbers">"#);
    let unnamed = report.unknowns_total - report.unknowns_named;
    for (name, value, class) in [
        ("postings", number(report.postings), ""),
        ("requests sent", number(report.submissions), ""),
        ("bids accepted", number(report.accepted), ""),
        ("faults", number(report.faults_total), ""),
        ("types of faults", number(report.fault_types as u64), ""),
        ("outcomes unknown", number(report.unknowns_total), ""),
        ("bid on twice", number(report.duplicates), proof(report.duplicates == 0)),
        ("lost", number(report.lost), proof(report.lost == 0)),
        ("unknown without a fault", number(unnamed), proof(unnamed == 0)),
    ] {
        let _ = write!(page, r#"<div class="{class}"><dd>{value}</dd><dt>{name}</dt></div>"#);
    }
    let _ = write!(page, "</dl><p class=\"soft beneath\">{}.</p>", escaped(&accepted::told(report)));
}

fn proof(holds: bool) -> &'static str {
    if holds { "good" } else { "bad" }
}

fn legend() -> String {
    let mut text = String::from(r#"<ul class="legend">"#);
    for (class, name) in [
        ("life", "a process lives"),
        ("still", "it is stopped"),
        ("killed", "it is killed"),
        ("process", "another fault of a process"),
        ("network", "a way is broken"),
        ("engine", "an engine fails"),
        ("sent", "a submission"),
        ("answer-lost", "answered by a fault"),
        ("unknown-mark", "an outcome becomes unknown"),
    ] {
        let shape = match class {
            "killed" => r#"<path d="M3 3l8 8m0 -8l-8 8" class="killed"/>"#.to_owned(),
            "unknown-mark" => r#"<path d="M3 7l4 -5l4 5l-4 5z" class="unknown-mark"/>"#.to_owned(),
            "sent" | "answer-lost" => format!(r#"<path d="M4 2v10M10 2v10" class="{class}"/>"#),
            class => format!(r#"<rect width="14" height="14" rx="2" class="{class}"/>"#),
        };
        let _ = write!(text, r#"<li><svg viewBox="0 0 14 14" aria-hidden="true">{shape}</svg>{name}</li>"#);
    }
    text.push_str("</ul>");
    text
}

fn verdicts(page: &mut String, report: &Report<'_>) {
    page.push_str(
        r#"<section><h2>What it proves</h2><table class="verdicts"><thead><tr><th>Invariant<th>Verdict<th>It says<th>Looked at</tr></thead><tbody>"#,
    );
    for finding in report.findings {
        let class = match finding.verdict {
            Verdict::Proven => "good",
            Verdict::Violated => "bad",
            Verdict::NotExercised => "none",
        };
        let told = match finding.verdict {
            Verdict::NotExercised => finding.why.clone().unwrap_or_default(),
            _ => accepted::looked_at(finding),
        };
        let _ = write!(
            page,
            r#"<tr><td><b>{}</b><td><span class="badge {class}">{}</span><td>{}<td class="soft">{}</tr>"#,
            finding.invariant,
            finding.verdict.name(),
            finding.invariant.says(),
            escaped(&told)
        );
    }
    page.push_str("</tbody></table></section>");
}

fn violations(page: &mut String, report: &Report<'_>) {
    let violated = report.findings.iter().filter(|finding| finding.verdict == Verdict::Violated);
    for Finding { invariant, violated, violations, .. } in violated {
        let _ = write!(
            page,
            r#"<section class="violated"><h2>{invariant} does not hold, {}</h2>"#,
            count(*violated, "time")
        );
        for (n, Violation { what, shown_by, .. }) in violations.iter().enumerate() {
            let open = if n == 0 { " open" } else { "" };
            let _ = write!(
                page,
                "<details{open}><summary>{}</summary><div class=\"scroll\"><table>",
                escaped(what)
            );
            for line in shown_by {
                let _ = write!(
                    page,
                    r#"<tr><td class="time">{} ms<td class="soft">{}<td><code>{}</code></tr>"#,
                    line.at_ms,
                    escaped(&line.file),
                    escaped(&line.text)
                );
            }
            page.push_str("</table></div></details>");
        }
        page.push_str("</section>");
    }
}

fn faults(page: &mut String, report: &Report<'_>) {
    page.push_str("<section><h2>What was broken</h2><div class=\"scroll\"><table class=\"bars\">");
    let most = report.faults.values().copied().max().unwrap_or(1).max(1);
    for family in Family::ALL {
        let of_family: Vec<(&FaultKind, &u64)> =
            report.faults.iter().filter(|(kind, _)| Family::of(**kind) == family).collect();
        if of_family.is_empty() {
            continue;
        }
        let _ = write!(page, "<tr><th colspan=\"4\">{}</tr>", family.name());
        for (kind, n) in of_family {
            let numbers: Vec<String> = kind.catalogue().iter().map(|number| format!("#{number}")).collect();
            let _ = write!(
                page,
                r#"<tr><td>{kind}<td class="soft">{}<td class="amount">{}<td class="bar"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="{:.1}" height="8" class="{}"/></svg></tr>"#,
                numbers.join(" "),
                number(*n),
                *n as f64 / most as f64 * 100.0,
                family.name()
            );
        }
    }
    page.push_str("</table></div><p class=\"soft\">Numbers with # are those of the catalogue of failures, <code>docs/failures.md</code> in bidlock’s sources: what goes wrong, and what bidlock does then.</p></section>");
}

fn unknowns(page: &mut String, report: &Report<'_>) {
    page.push_str("<section><h2>Why outcomes were unknown</h2><div class=\"scroll\"><table><thead><tr><th>Cause<th>Fault behind it<th class=\"amount\">Times</tr></thead>");
    for unknown in report.unknowns {
        let class = if unknown.fault == "nothing" { "bad" } else { "" };
        let _ = write!(
            page,
            r#"<tr class="{class}"><td>{}<td>{}<td class="amount">{}</tr>"#,
            escaped(&unknown.cause),
            escaped(&unknown.fault),
            number(unknown.count)
        );
    }
    if report.unknowns.is_empty() {
        page.push_str("<tr><td colspan=\"3\" class=\"soft\">None was.</tr>");
    }
    page.push_str("</table></div>");
    if let Some(chance) = report.by_chance() {
        let _ = write!(page, "<p class=\"soft\">By chance: {}.</p>", escaped(&chance));
    }
    if let Some(stalled) = report.host_stalled() {
        let _ = write!(page, "<p class=\"soft\">The host itself {stalled}.</p>");
    }
    page.push_str("<h2>Where bids ended</h2><div class=\"scroll\"><table>");
    for (state, n) in report.states {
        let _ = write!(page, r#"<tr><td>{}<td class="amount">{}</tr>"#, escaped(state), number(*n));
    }
    page.push_str("</table></div></section>");
}

fn not_exercised(page: &mut String, report: &Report<'_>) {
    let invariants = report
        .not_exercised_invariants()
        .map(|finding| (finding.invariant.name(), finding.why.clone().unwrap_or_default()));
    let faults = report.not_exercised.iter().map(|kind| (kind.fault.name(), kind.why.clone()));
    let host = report.host_was_too_busy().map(|why| ("unknowns", why));
    let all: Vec<(&str, String)> = invariants.chain(faults).chain(host).collect();
    if all.is_empty() {
        return;
    }
    page.push_str("<section><h2>What was not exercised</h2><ul class=\"plain\">");
    for (name, why) in all {
        let _ = write!(page, "<li><b>{name}</b>: {}", escaped(&why));
    }
    page.push_str("</ul></section>");
}

fn foot(page: &mut String, report: &Report<'_>) {
    let versions: Vec<String> =
        report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = write!(
        page,
        "<footer><p>Again: <code>{}</code></p><p class=\"soft\">{}</p></footer>",
        escaped(&report.replay),
        escaped(&versions.join(", "))
    );
}
