//! One line on a terminal that is written over while a run goes on: a minute without a word looks like a program that hangs.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use bidlock::{Clock, SystemClock};
use bidlock_chaos::{Progress, Stage, plan::Plan};
use crossterm::{
    cursor::MoveToColumn,
    queue,
    terminal::{Clear, ClearType},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::output::Output;

/// Between two drawings of the line; the eye wants no more.
const REDRAW: Duration = Duration::from_millis(200);
/// Where a terminal does not say how wide it is.
const WIDTH: usize = 78;

/// The line, while it is kept. It has a task of its own: a terminal that is stopped must not stop the run.
pub(super) struct StatusLine(Option<JoinHandle<()>>);

impl StatusLine {
    /// Begins it, where stderr is a terminal and talk is wanted.
    pub(super) fn begin(out: &Output, plan: &Plan, progress: watch::Receiver<Progress>) -> StatusLine {
        let is_wanted = !out.quiet && io::stderr().is_terminal();
        let whole = Duration::from_millis(plan.runs_ms + plan.quiet_ms());
        StatusLine(is_wanted.then(|| tokio::spawn(keep(whole, progress))))
    }
}

impl Drop for StatusLine {
    /// Takes it away, so that what follows has the line to itself.
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
            // There is nowhere to report a failure to.
            let _ = draw(&mut io::stderr().lock(), "");
        }
    }
}

async fn keep(whole: Duration, progress: watch::Receiver<Progress>) {
    let began = SystemClock.now();
    let mut ticks = tokio::time::interval(REDRAW);
    loop {
        ticks.tick().await;
        let text = words(SystemClock.now().since(began), whole, *progress.borrow());
        if draw(&mut io::stderr().lock(), &text).is_err() {
            return;
        }
    }
}

/// What the line says.
fn words(elapsed: Duration, whole: Duration, progress: Progress) -> String {
    let Progress { stage, faults, submissions } = progress;
    let doing = match stage {
        Stage::Starting => "servers and scanners start".to_owned(),
        Stage::Faults => format!("planned faults begun: {faults}, requests: {submissions}"),
        Stage::Quiet => "nothing is broken now; everything comes to rest".to_owned(),
        Stage::LastScan => "the last scan, and a look-up of what is unknown".to_owned(),
    };
    format!("  {} s of about {} s: {doing}", elapsed.as_secs(), whole.as_secs().max(elapsed.as_secs()))
}

fn draw(to: &mut impl Write, text: &str) -> io::Result<()> {
    // A line that wraps could not be written over.
    let width = crossterm::terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns).max(20) - 1);
    let cut: String = text.chars().take(width).collect();
    queue!(to, MoveToColumn(0), Clear(ClearType::CurrentLine))?;
    to.write_all(cut.as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_long_it_takes_and_what_is_done() {
        let says = |elapsed, stage| {
            let progress = Progress { stage, faults: 31, submissions: 512 };
            words(Duration::from_secs(elapsed), Duration::from_secs(78), progress)
        };
        assert_eq!(says(12, Stage::Faults), "  12 s of about 78 s: planned faults begun: 31, requests: 512");
        assert_eq!(
            says(70, Stage::Quiet),
            "  70 s of about 78 s: nothing is broken now; everything comes to rest"
        );
        assert_eq!(
            says(90, Stage::LastScan),
            "  90 s of about 90 s: the last scan, and a look-up of what is unknown"
        );
        let longest = says(86_400, Stage::Quiet);
        assert!(longest.chars().count() <= WIDTH, "{longest}");
    }

    #[test]
    fn the_line_is_written_over_and_taken_away() {
        let mut drawn = Vec::new();
        for text in ["one", "two", ""] {
            draw(&mut drawn, text).unwrap();
        }
        let over = "\u{1b}[1G\u{1b}[2K";
        assert_eq!(String::from_utf8(drawn).unwrap(), format!("{over}one{over}two{over}"));
    }
}
