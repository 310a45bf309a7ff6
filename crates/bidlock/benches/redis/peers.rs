//! P6: other clients' locks on the same server, where they can be installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bidlock_testkit::RedisServer;

use super::report;

/// Name, then the factors by which pairs (64 tasks) and hand-over (2 waiters) are to be better.
const GOALS: &[(&str, Option<f64>, Option<f64>)] = &[
    ("redis-py", Some(20.0), None),
    ("python-redis-lock", None, Some(5.0)),
    ("npm redlock", Some(2.5), None),
    ("rslock", Some(1.15), Some(400.0)),
];

/// Runs each peer, which prints lines of `name pairs|handover value`, and compares.
pub(crate) fn compare(server: &RedisServer, scale: f64, (pairs, handover_ms): (f64, f64)) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/redis/peers");
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let output = Command::new(here.join("run"))
        .arg(&place)
        .arg(server.port().to_string())
        .arg(scale.to_string())
        .stderr(Stdio::inherit())
        .output();
    let output = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        other => {
            println!("P6   SKIPPED (the peers do not run): {other:?}");
            return;
        }
    };
    for (name, pairs_goal, handover_goal) in GOALS {
        let found = |bench: &str| {
            let line = output.lines().find_map(|line| line.strip_prefix(&format!("{name}\t{bench}\t")));
            line.and_then(|figure| figure.trim().parse::<f64>().ok())
        };
        if found("pairs").is_none() {
            println!("P6   SKIPPED ({name} is not there)");
        }
        if let Some(theirs) = found("pairs") {
            let ratio = pairs / theirs;
            let (ours, theirs) = (format!("{pairs:.0} pairs/s"), format!("{theirs:.0} pairs/s"));
            let goal = pairs_goal.map_or("-".to_owned(), |goal| format!(">= {goal}x"));
            let met = pairs_goal.map(|goal| ratio >= goal);
            report(
                "P6",
                &format!("64 tasks, against {name}"),
                &ours,
                &theirs,
                &format!("{ratio:.1}x"),
                &goal,
                met,
            );
        }
        if let Some(theirs) = found("handover") {
            let ratio = theirs / handover_ms;
            let (ours, theirs) = (format!("{handover_ms:.3} ms"), format!("{theirs:.3} ms"));
            let goal = handover_goal.map_or("-".to_owned(), |goal| format!(">= {goal}x"));
            let met = handover_goal.map(|goal| ratio >= goal);
            let what = format!("hand-over, 2 waiters, against {name}");
            report("P6", &what, &ours, &theirs, &format!("{ratio:.1}x"), &goal, met);
        }
    }
}
