//! What the demo shows while it runs: a live table on a terminal, plain lines, or JSON lines.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use bidlock::{Clock, Moment, SystemClock};
use crossterm::{
    cursor::{Hide, MoveToPreviousLine, Show},
    queue,
    terminal::{Clear, ClearType},
};
use serde_json::{Value, json};

use super::race::{Contender, Doing, Race};
use crate::{failure::CliError, output::Output};

/// Between two drawings of the table; the eye wants no more.
const REDRAW: Duration = Duration::from_millis(100);
/// Between two lines of progress, where lines are written.
const PROGRESS: Duration = Duration::from_secs(1);
/// How wide a table is drawn at the most.
const WIDTH: usize = 78;
/// The bar's cells.
const BAR: usize = 40;

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Live,
    Lines,
    Json,
}

/// What is shown at the top.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) chaos: &'static str,
    pub(super) postings: usize,
    pub(super) sightings: usize,
    pub(super) scanners: u32,
}

/// The screen.
#[derive(Debug)]
pub(super) struct Screen<'a> {
    out: &'a Output,
    mode: Mode,
    setting: Setting,
    /// Lines of the live table that stand on the terminal.
    drawn: u16,
    last: Option<Moment>,
    /// What happened last.
    news: String,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a Output, no_ui: bool, setting: Setting) -> Screen<'a> {
        let mode = match (out.json, no_ui, out.stdout_terminal) {
            (true, _, _) => Mode::Json,
            (_, true, _) => Mode::Lines,
            (_, _, true) => Mode::Live,
            _ => Mode::Json,
        };
        Screen { out, mode, setting, drawn: 0, last: None, news: String::new() }
    }

    /// Whether people read it.
    pub(super) fn is_for_people(&self) -> bool {
        self.mode != Mode::Json
    }

    /// The one line that says what is run.
    pub(super) fn title(&self) -> String {
        let Setting { seed, chaos, postings, sightings, scanners } = &self.setting;
        format!(
            "bidlock demo (seed {seed}, chaos {chaos}): {scanners} scanners, {postings} postings seen {sightings} times"
        )
    }

    /// The same for programs, as the beginning of an event.
    pub(super) fn setting_json(&self, event: &str) -> Value {
        let Setting { seed, chaos, postings, sightings, scanners } = &self.setting;
        let ttl_ms = super::plan::TTL.as_millis();
        json!({
            "event": event, "seed": seed, "chaos": chaos, "postings": postings, "sightings": sightings,
            "scanners": scanners, "ttl_ms": ttl_ms,
        })
    }

    /// Says what is run.
    pub(super) fn begin(&mut self, folder: &str) -> Result<(), CliError> {
        match self.mode {
            Mode::Live => Ok(()),
            Mode::Lines => self.out.line(self.title()),
            Mode::Json => {
                let mut start = self.setting_json("start");
                start["folder"] = json!(folder);
                self.out.json_line(&start)
            }
        }
    }

    /// Something happened to a scanner.
    pub(super) fn event(&mut self, event: &Value) -> Result<(), CliError> {
        let text = |key: &str| event.get(key).map_or_else(String::new, Value::to_string);
        let what = match event.get("event").and_then(Value::as_str).unwrap_or_default() {
            "kill" => "kill -KILL",
            "pause" => "kill -STOP",
            "continue" => "kill -CONT",
            _ => "started again:",
        };
        self.news = format!(
            "{} s, after {} requests: {what} {} (scanner {})",
            text("seconds"),
            text("after_requests"),
            text("pid"),
            text("scanner")
        );
        match self.mode {
            Mode::Live => Ok(()),
            Mode::Lines => self.out.line(format!("  {}", self.news)),
            Mode::Json => self.out.json_line(event),
        }
    }

    /// Shows where a race stands, if it is time to.
    pub(super) fn show(&mut self, race: &Race<'_>) -> Result<(), CliError> {
        let now = SystemClock.now();
        let every = if self.mode == Mode::Live { REDRAW } else { PROGRESS };
        if self.last.is_some_and(|last| now.since(last) < every) {
            return Ok(());
        }
        self.last = Some(now);
        let seconds = now.since(race.started).as_secs_f64();
        match self.mode {
            Mode::Live => {
                let lines = self.table(race, seconds);
                self.draw(&lines)
            }
            Mode::Lines => self.out.line(format!(
                "  {:>5.1} s  {:<9} {} of {} settled, {} requests, {} kills, {} pauses",
                seconds,
                race.contender.title(),
                race.told().settled(),
                self.setting.postings,
                race.requests(),
                race.kills,
                race.pauses
            )),
            Mode::Json => self.out.json_line(&json!({
                "event": "progress", "contender": race.contender.name(), "seconds": super::rounded(seconds),
                "settled": race.told().settled(), "requests": race.requests(),
                "kills": race.kills, "pauses": race.pauses,
            })),
        }
    }

    /// Says what comes next.
    pub(super) fn step(&mut self, name: &str, text: &str) -> Result<(), CliError> {
        self.last = None;
        self.news.clear();
        match self.mode {
            Mode::Live => {
                let lines = [self.title(), String::new(), format!("  {text}")];
                self.draw(&lines)
            }
            Mode::Lines => self.out.line(text),
            Mode::Json => self.out.json_line(&json!({ "event": "step", "step": name })),
        }
    }

    /// Takes the live table away.
    pub(super) fn clear(&mut self) -> Result<(), CliError> {
        if self.mode == Mode::Live {
            self.draw(&[])?;
            let mut stdout = std::io::stdout().lock();
            queue!(stdout, Show)?;
            stdout.flush()?;
        }
        Ok(())
    }

    /// A line at the end, for people; `marked` ones stand out.
    pub(super) fn line(&self, text: &str, mark: Option<AnsiColor>) -> Result<(), CliError> {
        match mark.filter(|_| self.out.color && self.out.stdout_terminal) {
            Some(color) => {
                let style = Style::new().bold().fg_color(Some(color.into()));
                self.out.line(format!("{style}{text}{style:#}"))
            }
            None => self.out.line(text),
        }
    }

    /// A line at the end, for programs.
    pub(super) fn json(&self, value: &Value) -> Result<(), CliError> {
        self.out.json_line(value)
    }

    fn table(&self, race: &Race<'_>, seconds: f64) -> Vec<String> {
        let told = race.told();
        let (settled, all) = (told.settled(), self.setting.postings.max(1));
        let full = settled * BAR / all;
        let step = if race.contender == Contender::Bidlock { "1 of 2" } else { "2 of 2" };
        let mut lines = vec![
            self.title(),
            String::new(),
            format!("  {step}: {:<58}{seconds:>6.1} s", race.contender.story()),
            format!("  {}{} {settled} of {all} settled", "━".repeat(full), "─".repeat(BAR - full.min(BAR))),
            format!(
                "  {} requests received, {} scanners killed, {} paused beyond the TTL of {} s",
                race.requests(),
                race.kills,
                race.pauses,
                super::plan::TTL.as_secs()
            ),
            String::new(),
            format!(
                "  {:<9}{:>8}  {:<22}{:>10}{:>13}{:>10}",
                "scanner", "process", "", "submitted", "already bid", "unknown"
            ),
        ];
        for (n, (scanner, told)) in race.scanners.iter().zip(&told.scanners).enumerate() {
            let mut doing = match scanner.doing {
                Doing::Running => "running".to_owned(),
                Doing::Paused(_) => "paused (SIGSTOP)".to_owned(),
                Doing::Killed(_) => "killed (SIGKILL)".to_owned(),
                Doing::Done => "done".to_owned(),
            };
            if scanner.starts > 1 && matches!(scanner.doing, Doing::Running | Doing::Done) {
                let _ = write!(doing, ", start {}", scanner.starts);
            }
            lines.push(format!(
                "  {:<9}{:>8}  {doing:<22}{:>10}{:>13}{:>10}",
                n + 1,
                scanner.pid,
                told.submitted,
                told.already_bid,
                told.unknown
            ));
        }
        lines.push(String::new());
        lines.push(format!("  {}", self.news));
        lines
    }

    fn draw(&mut self, lines: &[String]) -> Result<(), CliError> {
        // A line that wraps would be counted wrong when it is drawn over.
        let width =
            crossterm::terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns).max(20) - 1);
        let mut stdout = std::io::stdout().lock();
        if self.drawn > 0 {
            queue!(stdout, MoveToPreviousLine(self.drawn))?;
        }
        queue!(stdout, Hide, Clear(ClearType::FromCursorDown))?;
        for line in lines {
            let cut: String = line.chars().take(width).collect();
            writeln!(stdout, "{cut}")?;
        }
        stdout.flush()?;
        self.drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        Ok(())
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if self.mode == Mode::Live {
            // The cursor comes back whatever ended the demo; there is nowhere to report a failure to.
            let _ = queue!(std::io::stdout(), Show);
            let _ = std::io::stdout().flush();
        }
    }
}

impl Contender {
    /// In tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Contender::Bidlock => "bidlock",
            Contender::Naive => "lock only",
        }
    }

    fn story(self) -> &'static str {
        match self {
            Contender::Bidlock => "bidlock scan: lock, ledger, one-way door",
            Contender::Naive => "a lock with a TTL, a status table, resend on timeout",
        }
    }
}
