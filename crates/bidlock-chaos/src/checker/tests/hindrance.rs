//! What excuses those who do not follow the dead, and what does not.

use bidlock_ledger::{Action, BidState};

use super::made_up::{NOTHING, Row, Run, violated};
use crate::fault::{FaultKind, Place, Target};

/// A claimant that was killed is followed after thirteen seconds; these faults last for most of them.
fn followed_late(faults: &[(FaultKind, Target)]) -> Vec<&'static str> {
    let mut run = Run::new();
    run.appears(1);
    for (fault, target) in faults {
        run.fault(1_100, 12_000, *fault, target.clone());
    }
    run.ends(1_100, "scanner-1.1", None, Some(9));
    let row = Row::claimed(1, 1, 1_000, "scanner-1.1").take_over(14_000, "scanner-2.1");
    run.row(row.then(14_010, Action::Decline, BidState::Declined, "scanner-2.1"));
    violated(&run.check())
}

#[test]
fn l2_a_store_that_is_broken_for_all_excuses() {
    for (fault, place) in [(FaultKind::PostgresPause, Place::Postgres), (FaultKind::RedisPause, Place::Redis)]
    {
        assert_eq!(followed_late(&[(fault, Target::place(place))]), NOTHING, "{fault}");
    }
    assert_eq!(followed_late(&[(FaultKind::ProtocolFloor, Target::process("scanner-9"))]), NOTHING);
    assert_eq!(followed_late(&[(FaultKind::Cut, Target::place(Place::Market))]), ["L2"]);
    assert_eq!(followed_late(&[(FaultKind::LoseReply, Target::place(Place::Postgres))]), ["L2"], "it waits");
    for slow in [FaultKind::Delay, FaultKind::Trickle] {
        assert_eq!(followed_late(&[(slow, Target::place(Place::Postgres))]), ["L2"], "{slow} is a way");
    }
}

#[test]
fn l2_the_trouble_of_one_excuses_no_other() {
    let killed = (FaultKind::Kill, Target::process("scanner-1"));
    let stopped = (FaultKind::Pause, Target::process("scanner-2"));
    let cut_off = (FaultKind::Cut, Target::between("scanner-2", Place::Postgres));
    assert_eq!(followed_late(&[]), ["L2"]);
    assert_eq!(followed_late(std::slice::from_ref(&killed)), ["L2"], "the other one works");
    assert_eq!(followed_late(std::slice::from_ref(&stopped)), ["L2"], "nothing keeps the first one down");
    assert_eq!(followed_late(&[killed.clone(), stopped]), NOTHING, "nobody works");
    assert_eq!(followed_late(&[killed.clone(), cut_off]), NOTHING, "nobody reaches the ledger");
    let elsewhere = (FaultKind::Cut, Target::between("scanner-2", Place::Market));
    assert_eq!(followed_late(&[killed, elsewhere]), ["L2"], "a take-over needs no marketplace");
    assert_eq!(followed_late(&[(FaultKind::Pause, Target::process("worker-1"))]), ["L2"]);
}
