//! A way through the model in words, one line a step: what happens, and what it changes.

use std::fmt::{Display, Formatter, Result};

use crate::{
    step::{Fault, Person, Reply, Scan, Step},
    world::{At, Remote, Row, World},
};

/// A way, as stateright gives it.
#[derive(Debug)]
pub struct Trace<'a>(pub &'a [(World, Option<Step>)]);

impl Display for Trace<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (number, pair) in self.0.windows(2).enumerate() {
            let [(before, step), (after, _)] = pair else { continue };
            let Some(step) = step else { continue };
            write!(f, "{:>3}. {step}", number + 1)?;
            changes(f, before, after)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// What ledger and marketplace hold that they did not hold before.
fn changes(f: &mut Formatter<'_>, before: &World, after: &World) -> Result {
    for (posting, (was, is)) in before.postings.iter().zip(&after.postings).enumerate() {
        for (index, (was, is)) in was.rows.iter().zip(&is.rows).enumerate() {
            if let Some(is) = is
                && was.as_ref() != Some(is)
            {
                write!(f, "\n       ledger: bid {}.{} is {}", posting + 1, index + 1, Shown(is))?;
            }
        }
        for (name, (was, is)) in was.remote.iter().zip(&is.remote).enumerate() {
            if let Some(Remote { row, fate, .. }) = is
                && was != is
            {
                let fate = format!("{fate:?}").to_lowercase();
                write!(f, "\n       marketplace: has #{name} for bid {}.{}, {fate}", posting + 1, row + 1)?;
            }
        }
    }
    Ok(())
}

struct Shown<'a>(&'a Row);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let row = self.0;
        write!(f, "{} (claim {}, epoch {}", row.state, row.claim, row.epoch)?;
        if row.expired {
            write!(f, ", expired")?;
        }
        if row.rebid_allowed {
            write!(f, ", another bid allowed")?;
        }
        if let Some(name) = row.external_ref {
            write!(f, ", #{name}")?;
        }
        if row.strays > 0 {
            write!(f, ", {} request on its way", row.strays)?;
        }
        write!(f, ")")
    }
}

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "bid {}.{}", self.posting + 1, self.row + 1)
    }
}

fn letter(scanner: u8) -> char {
    char::from(b'A'.saturating_add(scanner))
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Step::Scanner(who, scan) => write!(f, "scanner {} {scan}", letter(*who)),
            Step::Fault(fault) => write!(f, "FAULT: {fault}"),
            Step::Answers(who, reply) => write!(f, "the marketplace answers {}: {reply}", letter(*who)),
            Step::StrayArrives(at) => write!(f, "a late request for {at} arrives"),
            Step::ClientDecides { posting, name, fate } => {
                write!(f, "the client decides on #{name} of posting {}: {fate:?}", posting + 1)
            }
            Step::ClaimExpires(at) => write!(f, "the claim on {at} expires"),
            Step::ApprovalExpires(at) => write!(f, "the approval of {at} runs out"),
            Step::LeaseExpires(who) => write!(f, "the store drops the lease of {}", letter(*who)),
            Step::OrphanLeaseExpires(posting) => write!(f, "a dead holder's lease on {} ends", posting + 1),
            Step::Sweep(at, action) => write!(f, "the sweeper: {} on {at}", action.as_str()),
            Step::LookUp(at, view) => write!(f, "the reconciler looks up {at} and sees {view:#b}"),
            Step::Choose => write!(f, "the reconciler decides"),
            Step::RecordFound => write!(f, "the reconciler records what it found"),
            Step::Import(posting) => {
                write!(f, "a bid of the replaced system on posting {} is imported", posting + 1)
            }
            Step::Operator(at, person) => write!(f, "a person {person} {at}"),
            Step::AskWithdrawal(at, word) => write!(f, "somebody asks to withdraw {at} and hears: {word:?}"),
            Step::RecordWord(asker) => write!(f, "asker {asker} records what it heard"),
            Step::Poll(at, action) => write!(f, "a status poll: {} on {at}", action.as_str()),
        }
    }
}

impl Display for Scan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Scan::Lock(posting) => write!(f, "takes the lock of posting {}", posting + 1),
            Scan::Unlock => write!(f, "gives the lock back"),
            Scan::Claim(posting) => write!(f, "asks for posting {}", posting + 1),
            Scan::ReadApproved(posting) => write!(f, "reads the approved bid on posting {}", posting + 1),
            Scan::AskApproval => write!(f, "asks for approval"),
            Scan::EnterDoor => write!(f, "goes to the door"),
            Scan::AskAgain => write!(f, "asks the door again"),
            Scan::HandBack => write!(f, "hands back"),
            Scan::Send => write!(f, "sends"),
            Scan::Record => write!(f, "records the answer"),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Fault::Crash(who) => write!(f, "scanner {} is killed", letter(*who)),
            Fault::Pause(at) => write!(f, "the claimant of {at} sleeps until its claim has expired"),
            Fault::PauseOverLease(who) => {
                write!(f, "scanner {} sleeps until its lease has expired", letter(*who))
            }
            Fault::ClaimReplyLost(who, posting) => {
                write!(f, "{} claims posting {}, and the ledger's reply is lost", letter(*who), posting + 1)
            }
            Fault::DoorReplyLost(who) => write!(f, "{} passes the door, and the reply is lost", letter(*who)),
            Fault::AnswerLost(who) => {
                write!(f, "the marketplace accepts from {}, its answer is lost", letter(*who))
            }
            Fault::RequestLate(who) => write!(f, "the request of {} stays in a proxy", letter(*who)),
            Fault::WordLost(asker) => write!(f, "asker {asker} dies with what it heard"),
            Fault::LockLost(who) => write!(f, "the lock store forgets the lease of {}", letter(*who)),
        }
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Reply::Yes => "yes",
            Reply::No => "no, for good",
            Reply::Later => "nothing accepted, later perhaps",
        })
    }
}

impl Display for Person {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Person::Approves => "approves",
            Person::Declines => "declines",
            Person::SaysSubmitted => "resolves as submitted",
            Person::SaysNotSubmitted { allow_new_bid: false } => "resolves as not submitted",
            Person::SaysNotSubmitted { allow_new_bid: true } => {
                "resolves as not submitted, allowing a new bid,"
            }
            Person::Withdraws => "withdraws",
        })
    }
}
