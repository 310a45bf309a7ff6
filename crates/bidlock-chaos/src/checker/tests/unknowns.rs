//! What explains an unknown outcome. Answers that are thrown away stand in `replies`, stalls of the host in `stalls`.

use bidlock_ledger::{Action, BidState};

use super::made_up::{NOTHING, Row, Run, posting, violated};
use crate::fault::{FaultKind, Place, Target};

#[test]
fn an_unknown_needs_a_fault_that_explains_it() {
    let lost = |fault: Option<&str>, cut: bool| {
        let mut run = Run::new();
        run.appears(1);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, Some("b1"), fault);
        if cut {
            run.fault(900, 1_500, FaultKind::Cut, Target::between("scanner-1", Place::Market));
        }
        run.row(row.lose(1_040, "scanner-1.1", "connection_lost").find(21_000, "b1"));
        run.check()
    };
    let by_market = lost(Some("reset-after"), false);
    assert_eq!(violated(&by_market), NOTHING);
    assert_eq!(by_market.unknowns[0].fault, "market_reset");
    assert_eq!(lost(None, true).unknowns[0].fault, "cut");
    assert_eq!(violated(&lost(None, false)), ["unknowns"]);
    // An answer was given: no broken way explains a redirect.
    let redirected = |fault: Option<&str>| {
        let mut run = Run::new();
        run.appears(1);
        run.fault(900, 1_500, FaultKind::Cut, Target::between("scanner-1", Place::Market));
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, fault);
        run.row(row.lose(1_040, "scanner-1.1", "redirect"));
        run.check()
    };
    assert_eq!(violated(&redirected(None)), ["unknowns"]);
    assert_eq!(violated(&redirected(Some("500-before"))), ["unknowns"], "another fault than what was seen");
    assert_eq!(violated(&redirected(Some("307"))), NOTHING);
    // A fault of another process, or one that was over long before.
    for (fault, target) in [
        ((900, 1_500), Target::between("scanner-2", Place::Market)),
        ((100, 400), Target::between("scanner-1", Place::Market)),
        ((900, 1_500), Target::between("scanner-1", Place::Redis)),
    ] {
        let mut run = Run::new();
        run.appears(1);
        run.fault(fault.0, fault.1, FaultKind::Cut, target);
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, None);
        run.row(row.lose(1_400, "scanner-1.1", "timeout"));
        assert_eq!(violated(&run.check()), ["unknowns"]);
    }
    let silent = |fault: Option<FaultKind>| {
        let mut run = Run::new();
        run.appears(1);
        if let Some(fault) = fault {
            run.fault(1_015, 1_015, fault, Target::process("scanner-1"));
        }
        let row = Row::claimed(1, 1, 1_000, "scanner-1.1").door(1_010, "scanner-1.1");
        run.request(1_020, &posting(1), row.bid.id, None, None);
        run.row(row.then(4_000, Action::SweepSubmitting, BidState::Unknown, "sweeper"));
        run.check()
    };
    assert_eq!(violated(&silent(None)), ["unknowns"]);
    // Where newer binaries take over, the older one's scanner is killed too: found by an hour's run.
    for killing in [FaultKind::Kill, FaultKind::ProtocolFloor] {
        assert_eq!(silent(Some(killing)).unknowns[0].fault, killing.name());
    }
}
