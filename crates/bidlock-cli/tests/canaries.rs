//! The fault rig notices each mechanism that is taken out, and finds nothing where none is.
//!
//! Needs the feature `canary`: builds without it know neither the switches nor their variable, which is a test here too.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests, their helpers included")]

use std::process::Command;

/// The features of `bidlock-canary` in the program that users get.
#[test]
fn the_program_as_it_is_released_has_no_canaries() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "-p", "bidlock-cli", "-e", "normal", "--prefix", "none"])
        .args(["-f", "{p} [{f}]"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let lines: Vec<&str> = tree.lines().filter(|line| line.starts_with("bidlock-canary ")).collect();
    assert!(!lines.is_empty(), "{tree}");
    assert!(lines.iter().all(|line| line.contains("[]")), "{lines:?}");
}

/// Nor locks that exclude nobody.
#[cfg(not(feature = "canary"))]
#[test]
fn the_program_as_it_is_released_has_no_locks_that_grant_everything() {
    let home = tempfile::tempdir().unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_bidlock"))
        .args(["lock", "list", "--locks", "unsafe-grant-all:"])
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("in builds for tests alone"), "{said}");
}

#[cfg(feature = "canary")]
mod armed {
    use std::{collections::BTreeMap, process::Command};

    use bidlock_canary::Canary;
    use bidlock_chaos::canaries::scenario;
    use serde_json::Value;

    /// How often a canary is let loose until it is noticed: whether a fault hits the moment that it needs is chance.
    const TRIES: u32 = 5;

    /// What the rig says: its exit code and its report.
    fn rig(words: &[&str]) -> (Option<i32>, Value) {
        let rig = Command::new(env!("CARGO_BIN_EXE_bidlock"))
            .args(["chaos", "run", "--json"])
            .args(words)
            .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
            .output()
            .unwrap();
        let report = serde_json::from_slice(&rig.stdout).unwrap_or_default();
        if report == Value::Null {
            panic!("{:?} and no report: {}", rig.status, String::from_utf8_lossy(&rig.stderr));
        }
        (rig.status.code(), report)
    }

    /// A canary has a plan of its own: an option that would not count is not taken.
    #[test]
    fn other_options_beside_a_canary_are_refused_and_the_version_says_that_there_are_canaries() {
        let bidlock = |words: &str| {
            let words = words.split_whitespace();
            Command::new(env!("CARGO_BIN_EXE_bidlock")).args(words).output().unwrap()
        };
        for other in ["--seed 5", "--minutes 1", "--engines sqlite", "--postings 9", "--scanners 2"] {
            let refused = bidlock(&format!("chaos run --canary no-door {other}"));
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{other}: {said}");
            assert!(said.contains("cannot be used with"), "{other}: {said}");
        }
        let version = bidlock("--version");
        assert!(String::from_utf8_lossy(&version.stdout).trim_end().ends_with(" (with canaries)"));
    }

    fn is_noticed(canary: Canary) {
        let breaks = scenario(canary).unwrap().breaks.name();
        let mut said = Vec::new();
        for _ in 0..TRIES {
            let (code, report) = rig(&["--canary", canary.as_str()]);
            assert_eq!(report["canary"], canary.as_str());
            let violated: Vec<&str> =
                report["violated"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            // Files of a run that found something stay; these are looked at here alone.
            let kept = report["replay"].as_str().unwrap().rsplit_once(' ').unwrap().1;
            if code == Some(7) {
                assert_eq!(report["clean"], false);
                std::fs::remove_dir_all(kept).unwrap();
            }
            if code == Some(7) && violated.contains(&breaks) {
                return;
            }
            said.push((code, violated.join(", ")));
        }
        panic!("{canary}: {breaks} was to break, and this was found: {said:?}");
    }

    macro_rules! noticed {
        ($($test:ident: $canary:ident;)*) => {
            $(#[test]
            fn $test() {
                is_noticed(Canary::$canary);
            })*

            /// Every canary that the rig can show has its test.
            #[test]
            fn none_is_left_out() {
                let tested = [$(Canary::$canary),*];
                let shown: Vec<Canary> = Canary::ALL.into_iter().filter(|canary| scenario(*canary).is_some()).collect();
                assert_eq!(tested.as_slice(), shown);
                assert!(shown.len() >= 12);
            }
        };
    }

    noticed! {
        any_claim_is_noticed: AnyClaim;
        any_release_is_noticed: AnyRelease;
        assume_accepted_is_noticed: AssumeAccepted;
        follow_redirects_is_noticed: FollowRedirects;
        lost_hands_back_is_noticed: LostHandsBack;
        no_door_is_noticed: NoDoor;
        no_own_deadline_is_noticed: NoOwnDeadline;
        no_reconcile_is_noticed: NoReconcile;
        no_sweep_is_noticed: NoSweep;
        no_uniqueness_is_noticed: NoUniqueness;
        not_found_is_proof_is_noticed: NotFoundIsProof;
        one_nonce_is_noticed: OneNonce;
        raw_identity_is_noticed: RawIdentity;
        resend_unknown_is_noticed: ResendUnknown;
        same_epoch_is_noticed: SameEpoch;
        send_blindly_is_noticed: SendBlindly;
        sweep_back_is_noticed: SweepBack;
    }

    /// One canary of each plan, which is not taken out.
    fn is_clean(name: &str) {
        let plans: BTreeMap<&str, Canary> =
            Canary::ALL.into_iter().filter_map(|canary| Some((scenario(canary)?.name, canary))).collect();
        let (code, report) = rig(&["--canary", plans[name].as_str(), "--control"]);
        assert_eq!((code, &report["clean"]), (Some(0), &Value::Bool(true)), "{name}: {report:#}");
        assert_eq!(report["canary"], Value::Null);
        assert!(report["submissions"].as_u64().unwrap() >= 40, "{name}: little was sent: {report:#}");
    }

    macro_rules! clean {
        ($($test:ident: $plan:literal;)*) => {
            $(#[test]
            fn $test() {
                is_clean($plan);
            })*

            /// Every plan has its run without a canary.
            #[test]
            fn no_plan_is_left_out() {
                let tested = [$($plan),*];
                for scenario in Canary::ALL.into_iter().filter_map(scenario) {
                    assert!(tested.contains(&scenario.name), "{}", scenario.name);
                }
            }
        };
    }

    clean! {
        nothing_is_found_on_a_plain_day: "plain";
        nothing_is_found_late_to_the_lock: "late-to-the-lock";
        nothing_is_found_where_answers_are_lost: "lost-answers";
        nothing_is_found_where_scanners_are_killed: "killed";
        nothing_is_found_where_bids_are_handed_back: "handed-back";
        nothing_is_found_of_those_stopped_at_the_door: "stopped-at-the-door";
        nothing_is_found_while_the_ledger_is_away: "ledger-away";
        nothing_is_found_of_stopped_holders: "stopped-holders";
    }
}
