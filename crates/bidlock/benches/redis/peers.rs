//! P6: other clients' locks on the same server, where they can be installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bidlock_testkit::RedisServer;

use super::{median, report};

/// Name, then the factors by which pairs (64 tasks) and hand-over (2 waiters) are to be better.
const GOALS: &[(&str, Option<f64>, Option<f64>)] = &[
    ("redis-py", Some(20.0), None),
    ("python-redis-lock", None, Some(5.0)),
    ("npm redlock", Some(2.5), None),
    ("rslock", Some(1.15), Some(400.0)),
];

/// One round of all peers: the figure that a peer has in a bench (`pairs` a second, or `handover` in ms).
pub(crate) struct Round(String);

impl Round {
    /// Runs each peer, which prints lines of `name bench figure`; `None` where they do not run.
    pub(crate) fn run(server: &RedisServer, scale: f64) -> Option<Round> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/redis/peers");
        let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let output = Command::new(here.join("run"))
            .arg(&place)
            .arg(server.port().to_string())
            .arg(scale.to_string())
            .stderr(Stdio::inherit())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Round(String::from_utf8_lossy(&output.stdout).into_owned()))
            }
            other => {
                println!("P6   SKIPPED (the peers do not run): {other:?}");
                None
            }
        }
    }

    fn figure(&self, name: &str, bench: &str) -> Option<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(&format!("{name}\t{bench}\t")));
        line.and_then(|figure| figure.trim().parse().ok())
    }
}

/// Ours and theirs, round by round: (pairs a second, hand-over in ms), and what the peers showed right after.
pub(crate) fn compare(rounds: &[((f64, f64), Round)]) {
    for (name, pairs_goal, handover_goal) in GOALS {
        if rounds.iter().all(|(_, theirs)| theirs.figure(name, "pairs").is_none()) {
            println!("P6   SKIPPED ({name} is not there)");
            continue;
        }
        let both = |bench: &str, ours: fn(&(f64, f64)) -> f64| -> Vec<(f64, f64)> {
            let both = |(figures, theirs): &((f64, f64), Round)| {
                theirs.figure(name, bench).map(|theirs| (ours(figures), theirs))
            };
            rounds.iter().filter_map(both).collect()
        };
        let pairs = both("pairs", |ours| ours.0);
        let per_second = |figure: f64| format!("{figure:.0} pairs/s");
        line(
            &format!("64 tasks, against {name}"),
            &pairs,
            |(ours, theirs)| ours / theirs,
            per_second,
            *pairs_goal,
        );
        let handed = both("handover", |ours| ours.1);
        let what = format!("hand-over, 2 waiters, against {name}");
        line(&what, &handed, |(ours, theirs)| theirs / ours, |ms| format!("{ms:.3} ms"), *handover_goal);
    }
}

/// The medians of both, and the median of the rounds' ratios: the machine's speed moves between rounds.
fn line(
    what: &str,
    rounds: &[(f64, f64)],
    ratio: fn((f64, f64)) -> f64,
    shown: impl Fn(f64) -> String,
    goal: Option<f64>,
) {
    if rounds.is_empty() {
        return;
    }
    let of = |figure: fn((f64, f64)) -> f64| median(rounds.iter().copied().map(figure).collect());
    let ratio = of(ratio);
    let met = goal.map(|goal| ratio >= goal);
    let goal = goal.map_or("-".to_owned(), |goal| format!(">= {goal}x"));
    let (ours, theirs) = (shown(of(|both| both.0)), shown(of(|both| both.1)));
    report("P6", what, &ours, &theirs, &format!("{ratio:.1}x"), &goal, met);
}
