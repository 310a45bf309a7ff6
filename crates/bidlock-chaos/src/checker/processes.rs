//! No process panics, or ends as it should not.

use super::{Findings, Invariant, timeline::Timeline, verdict::At};
use crate::history::Role;

/// Exit codes of a scanner that are its daily bread: done, engine away, outcomes unknown, sending refused.
pub(super) const GOOD_CODES: [i32; 4] = [0, 5, 6, 8];
/// With this one a process says that it met a state of things that it calls impossible.
pub(super) const IMPOSSIBLE: i32 = 7;
/// With this one Rust ends a process whose main thread has panicked.
const PANICKED: i32 = 101;

/// What a process said: a panic, whatever became of it.
pub(super) fn noted(holder: &str, text: &str, found: &mut Findings) {
    if text.contains("panicked at") {
        found.violated(Invariant::Processes, At::nowhere(), format!("{holder}: {text}"));
    }
}

/// How they ended.
pub(super) fn ended(timeline: &Timeline, found: &mut Findings) {
    for life in timeline.lives.iter().filter(|life| life.to_ms.is_some()) {
        found.looked(Invariant::Processes, "lives of processes", 1);
        let bad = match life.role {
            Role::Scanner => life.code.is_some_and(|code| !GOOD_CODES.contains(&code)),
            Role::Worker | Role::Operator => matches!(life.code, Some(IMPOSSIBLE | PANICKED)),
        };
        // Whoever crashes by itself (SIGSEGV, SIGABRT) was not killed by the rig.
        let crashed = life.signal.is_some_and(|signal| !matches!(signal, 2 | 9 | 15));
        // Nothing kills once the quiet has begun, but the rig itself whoever does not end when asked.
        let hung = life.is_kept_alive()
            && life.signal == Some(9)
            && life.to_ms.zip(timeline.quiet_ms).is_some_and(|(to_ms, quiet_ms)| to_ms > quiet_ms);
        if hung {
            let what = format!("{} did not end on SIGTERM, and was killed at last", life.holder);
            found.violated(Invariant::Processes, At::nowhere(), what);
        }
        if bad || crashed {
            let how =
                life.code.map_or(format!("signal {:?}", life.signal), |code| format!("exit code {code}"));
            let what = format!("{} ended with {how}", life.holder);
            found.violated(Invariant::Processes, At::nowhere(), what);
        }
    }
}
