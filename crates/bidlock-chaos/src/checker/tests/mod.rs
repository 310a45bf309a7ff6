//! For each invariant a small made-up run that breaks it, and one that does not.

mod chance;
mod hindrance;
mod leaps;
mod liveness;
mod look_ups;
pub(crate) mod made_up;
mod named;
mod processes;
mod replies;
mod safety;
mod stalls;
mod twins;
mod unknowns;

use self::made_up::{NOTHING, Run, is_proven, of, violated};
use super::{Invariant, MAX_TICKS, Verdict, thinned};

#[test]
fn the_marks_of_a_long_run_are_thinned_and_go_on_to_its_end() {
    for length in [0, 1, MAX_TICKS, MAX_TICKS + 1, 10 * MAX_TICKS - 1] {
        let all: Vec<usize> = (0..length).collect();
        let shown: Vec<usize> = thinned(&all).copied().collect();
        assert!(
            shown.len() <= MAX_TICKS && shown.len() >= length.min(MAX_TICKS / 2),
            "{length}: {}",
            shown.len()
        );
        assert!(length == 0 || (shown[0] == 0 && shown[shown.len() - 1] + 10 >= length), "{length}");
    }
}

#[test]
fn a_run_without_trouble_is_clean_and_says_what_it_did_not_show() {
    let mut run = Run::new();
    run.plain(1, 1_000);
    run.plain(2, 1_500);
    run.ends(45_000, "scanner-1.1", Some(0), None);
    let checked = run.check();
    assert_eq!(violated(&checked), NOTHING);
    assert!(checked.is_clean());
    assert_eq!((checked.postings, checked.submissions, checked.accepted), (2, 2, 2));
    for invariant in
        [Invariant::S1, Invariant::S2, Invariant::S3, Invariant::S7, Invariant::S8, Invariant::S9]
    {
        assert!(is_proven(&checked, invariant), "{:?}", of(&checked, invariant));
    }
    for invariant in [Invariant::S6, Invariant::S10, Invariant::L2, Invariant::L4, Invariant::Unknowns] {
        let finding = of(&checked, invariant);
        assert_eq!(finding.verdict, Verdict::NotExercised, "{finding:?}");
        assert!(finding.why.is_some(), "{finding:?}");
    }
}
