//! The run as a picture: a lane for each process and each engine, faults as bands by their family, submissions as ticks.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    Report,
    words::{escaped, time},
};
use crate::{
    checker::{Life, Span, Tick},
    fault::{FaultKind, Place},
    history::Role,
};

/// The picture's size, in its own units.
const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const LANE: f64 = 26.0;
const BAR: f64 = 16.0;
/// The most marks of one lane: what falls into the same unit is one mark.
const MAX_MARKS: usize = 2_500;
/// The most time marks at the top.
const MAX_STEPS: i64 = 12;

/// What a fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Process,
    Network,
    Engine,
    Market,
}

impl Family {
    pub(super) const ALL: [Family; 4] = [Family::Process, Family::Network, Family::Engine, Family::Market];

    pub(super) fn of(kind: FaultKind) -> Family {
        use FaultKind::*;
        match kind {
            Pause | Kill | Terminate | ClockJump => Family::Process,
            Cut | CutRequests | CutReplies | Refuse | LoseReply | Delay | Trickle => Family::Network,
            RedisKill | RedisPause | RedisClock | RedisFlush | RedisScriptFlush | PostgresKill
            | PostgresPause | PostgresTerminate | DiskFull | WriterStalls | ProtocolFloor => Family::Engine,
            MarketReset | MarketError | MarketGarbage | MarketSilent | MarketSlow | MarketTooMany
            | MarketRedirect | MarketRefuses | MarketLookUp => Family::Market,
        }
    }

    /// Its name, and its class in the style sheet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Process => "process",
            Family::Network => "network",
            Family::Engine => "engine",
            Family::Market => "marketplace",
        }
    }
}

/// The picture as SVG, to stand inside of a page that has its colours.
pub(super) fn svg(report: &Report<'_>) -> String {
    let timeline = &report.checked.timeline;
    let ends_ms = report.took_ms.max(1);
    let scale = Scale { ends_ms };
    let mut processes: Vec<(&str, Role)> = Vec::new();
    for life in timeline.lives.iter().filter(|life| life.role != Role::Operator) {
        if !processes.iter().any(|(name, _)| *name == lane(life)) {
            processes.push((lane(life), life.role));
        }
    }
    processes.sort_by_key(|(name, role)| (*name == LAST_SCAN, *role == Role::Worker, *name));
    let places = places(report);
    let lanes = processes.len() + places.len() + 2;
    let height = TOP + LANE * lanes as f64 + 26.0;
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="The run over time: a lane for each process and engine">"#
    );
    svg.push_str(DEFS);
    backdrop(&mut svg, report, &scale, height);
    let mut y = TOP;
    for (name, role) in processes {
        label(&mut svg, y, name);
        let own = || timeline.lives.iter().filter(|life| lane(life) == name).take(MAX_MARKS);
        lives(&mut svg, y, &scale, own(), role);
        let hit = timeline.faults.iter().filter(|span| span.target.process.as_deref() == Some(name));
        faults(&mut svg, y, &scale, hit);
        kills(&mut svg, y, &scale, own());
        y += LANE;
    }
    for place in places {
        label(&mut svg, y, place.name());
        rail(&mut svg, y);
        let hit = timeline
            .faults
            .iter()
            .filter(|span| span.target.process.is_none() && span.target.place == Some(place));
        faults(&mut svg, y, &scale, hit);
        y += LANE;
    }
    label(&mut svg, y, "submissions");
    ticks(&mut svg, y, &scale, &report.checked.ticks);
    y += LANE;
    label(&mut svg, y, "unknown");
    rail(&mut svg, y);
    unknowns(&mut svg, y, &scale, &report.checked.unknown_ms);
    svg.push_str("</svg>");
    svg
}

/// Hatched where a process stands still.
const DEFS: &str = r#"<defs><pattern id="still" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2" height="5" class="hatch"/></pattern></defs>"#;

fn places(report: &Report<'_>) -> Vec<Place> {
    let engines = report.engines;
    let mut places = vec![engines.ledger()];
    places.extend(engines.places().iter().copied().filter(|place| *place != engines.ledger()));
    places.sort();
    places
}

/// The scans of the end, each by a process of its own, share a lane.
const LAST_SCAN: &str = "last scan";

fn lane(life: &Life) -> &str {
    if life.process.starts_with("last-") { LAST_SCAN } else { &life.process }
}

/// Time across the page.
struct Scale {
    ends_ms: i64,
}

impl Scale {
    fn x(&self, at_ms: i64) -> f64 {
        let share = at_ms.clamp(0, self.ends_ms) as f64 / self.ends_ms as f64;
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Rounded, so that what looks the same is the same mark.
    fn units(&self, from_ms: i64, to_ms: i64) -> (i64, i64) {
        let (from, to) = (self.x(from_ms), self.x(to_ms));
        ((from * 2.0).round() as i64, ((to - from) * 2.0).round() as i64)
    }

    /// A step between time marks: the smallest round one that leaves few enough.
    fn step_ms(&self) -> i64 {
        const ROUND_S: [i64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600];
        let fits = ROUND_S.into_iter().map(|s| s * 1_000).find(|step| self.ends_ms / step <= MAX_STEPS);
        fits.unwrap_or(self.ends_ms.max(1))
    }
}

fn backdrop(svg: &mut String, report: &Report<'_>, scale: &Scale, height: f64) {
    let bottom = height - 22.0;
    let timeline = &report.checked.timeline;
    if let Some(quiet) = timeline.quiet_ms {
        let (from, to) = (scale.x(quiet), scale.x(scale.ends_ms));
        let _ = write!(
            svg,
            r#"<rect x="{from:.1}" y="{:.0}" width="{:.1}" height="{:.0}" class="quiet"/><text x="{:.1}" y="{:.0}" class="soft">quiet</text>"#,
            TOP - 8.0,
            to - from,
            bottom - TOP + 8.0,
            from + 4.0,
            height - 7.0
        );
    }
    if let Some(last) = timeline.last_scan_ms {
        let x = scale.x(last);
        let _ = write!(
            svg,
            r#"<line x1="{x:.1}" y1="{:.0}" x2="{x:.1}" y2="{bottom:.0}" class="last"><title>the last scan begins</title></line>"#,
            TOP - 8.0
        );
    }
    let step = scale.step_ms();
    let mut at = 0;
    while at <= scale.ends_ms {
        let x = scale.x(at);
        let _ = write!(
            svg,
            r#"<line x1="{x:.1}" y1="{:.0}" x2="{x:.1}" y2="{bottom:.0}" class="grid"/><text x="{x:.1}" y="14" class="soft" text-anchor="middle">{}</text>"#,
            TOP - 8.0,
            mark(at)
        );
        at += step;
    }
}

fn mark(at_ms: i64) -> String {
    match at_ms / 1_000 {
        s @ ..60 => format!("{s} s"),
        s => format!("{}:{:02}", s / 60, s % 60),
    }
}

fn label(svg: &mut String, y: f64, name: &str) {
    let _ = write!(
        svg,
        r#"<text x="{:.0}" y="{:.1}" text-anchor="end" class="name">{}</text>"#,
        LEFT - 10.0,
        y + BAR / 2.0 + 4.0,
        escaped(name)
    );
}

fn rail(svg: &mut String, y: f64) {
    let middle = y + BAR / 2.0;
    let _ = write!(
        svg,
        r#"<line x1="{LEFT}" y1="{middle:.1}" x2="{:.1}" y2="{middle:.1}" class="rail"/>"#,
        WIDTH - RIGHT
    );
}

fn lives<'a>(svg: &mut String, y: f64, scale: &Scale, lives: impl Iterator<Item = &'a Life>, role: Role) {
    let class = if role == Role::Worker { "life worker" } else { "life" };
    for life in lives {
        let (from, to) = (scale.x(life.from_ms), scale.x(life.to_ms.unwrap_or(scale.ends_ms)));
        let _ = write!(
            svg,
            r#"<rect x="{from:.1}" y="{y:.1}" width="{:.1}" height="{BAR}" rx="2" class="{class}"><title>{}, {} to {}</title></rect>"#,
            (to - from - 0.8).max(0.8),
            escaped(&life.holder),
            time(life.from_ms),
            life.to_ms.map_or("the end".to_owned(), time)
        );
    }
}

fn kills<'a>(svg: &mut String, y: f64, scale: &Scale, lives: impl Iterator<Item = &'a Life>) {
    const ARM: f64 = 4.0;
    for life in lives.filter(|life| life.signal == Some(9)) {
        let at_ms = life.to_ms.unwrap_or_default();
        let (x, middle) = (scale.x(at_ms), y + BAR / 2.0);
        let _ = write!(
            svg,
            r#"<path d="M{:.1} {:.1}l8 8m0 -8l-8 8" class="killed"><title>{} killed at {}</title></path>"#,
            x - ARM,
            middle - ARM,
            escaped(&life.holder),
            time(at_ms)
        );
    }
}

fn faults<'a>(svg: &mut String, y: f64, scale: &Scale, faults: impl Iterator<Item = &'a Span>) {
    let mut drawn = BTreeSet::new();
    for span in faults.filter(|span| span.fault != FaultKind::Kill) {
        let (x, width) = scale.units(span.from_ms, span.to_ms);
        let family = Family::of(span.fault);
        if drawn.len() >= MAX_MARKS || !drawn.insert((x, width, span.fault)) {
            continue;
        }
        let (x, width) = (x as f64 / 2.0, (width as f64 / 2.0).max(2.0));
        let title = format!(
            "{} of {}, {} to {}",
            span.fault,
            escaped(&span.target.to_string()),
            time(span.from_ms),
            time(span.to_ms)
        );
        // What lies between a process and a place is thinner than what hits the process itself.
        let (top, height) = match (family, &span.target.process) {
            (Family::Network, Some(_)) => (y + BAR - 5.0, 5.0),
            _ => (y, BAR),
        };
        let class = if span.fault == FaultKind::Pause { "still" } else { family.name() };
        let _ = write!(
            svg,
            r#"<rect x="{x:.1}" y="{top:.1}" width="{width:.1}" height="{height}" rx="1" class="{class}"><title>{title}</title></rect>"#
        );
    }
}

fn ticks(svg: &mut String, y: f64, scale: &Scale, ticks: &[Tick]) {
    rail(svg, y + BAR / 2.0 - 1.0);
    // Accepted ones as one path, those answered by a fault as another: thousands of elements would be slow to show.
    let (mut good, mut bad) = (BTreeSet::new(), BTreeSet::new());
    for tick in ticks {
        let (x, _) = scale.units(tick.at_ms, tick.at_ms);
        if tick.lost { &mut bad } else { &mut good }.insert(x);
    }
    for (class, places, top) in [("sent", good, y), ("answer-lost", bad, y + BAR / 2.0)] {
        let mut path = String::new();
        for x in places {
            let _ = write!(path, "M{:.1} {top:.1}v{:.1}", x as f64 / 2.0, BAR / 2.0 - 1.0);
        }
        let _ = write!(svg, r#"<path d="{path}" class="{class}"/>"#);
    }
}

fn unknowns(svg: &mut String, y: f64, scale: &Scale, at_ms: &[i64]) {
    let places: BTreeSet<i64> = at_ms.iter().map(|at| scale.units(*at, *at).0 / 4 * 4).collect();
    let mut path = String::new();
    for x in places.into_iter().take(MAX_MARKS) {
        let (x, middle) = (x as f64 / 2.0, y + BAR / 2.0);
        let _ = write!(path, "M{:.1} {middle:.1}l3 -4l3 4l-3 4z", x - 3.0);
    }
    let _ = write!(svg, r#"<path d="{path}" class="unknown-mark"/>"#);
}
