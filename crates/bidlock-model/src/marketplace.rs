//! The marketplace at its worst: it accepts every request that arrives, also a second one under the same key (where it
//! recognises keys, it answers that one with the bid that it has), and what it shows may be old.

use bidlock_ledger::BidState;

use crate::{
    settings::Settings,
    step::{Reply, Step},
    world::{Answer, Asked, At, Fate, MAX_REMOTE, Remote, Stage, Word, World},
};

/// The steps that the marketplace and the client can take now.
pub(crate) fn steps(settings: &Settings, world: &World, steps: &mut Vec<Step>) {
    for (who, scanner) in (0u8..).zip(&world.scanners) {
        if let Stage::Waiting(_) = scanner.stage {
            steps.extend([Reply::Yes, Reply::No, Reply::Later].map(|reply| Step::Answers(who, reply)));
        }
    }
    for (posting, here) in (0u8..).zip(&world.postings) {
        for (row, bid) in here.bids() {
            let at = At { posting, row, claim: bid.claim };
            if bid.strays > 0 {
                steps.push(Step::StrayArrives(at));
            }
            if !settings.afterwards || bid.state != BidState::Withdrawing {
                continue;
            }
            let fate = bid.external_ref.and_then(|name| here.remote[usize::from(name)]).map(|r| r.fate);
            let words: &[Word] = match fate {
                None => &[],
                Some(Fate::Standing) => &[Word::Withdrawn, Word::Refused],
                Some(Fate::TakenBack) => &[Word::Withdrawn],
                Some(Fate::Won) => &[Word::Won],
                Some(Fate::Lost) => &[Word::Lost],
            };
            steps.extend(words.iter().map(|word| Step::AskWithdrawal(at, *word)));
        }
        if settings.afterwards {
            let standing = here.accepted().filter(|(_, bid)| bid.fate == Fate::Standing);
            let decides = |name, fate| Step::ClientDecides { posting, name, fate };
            steps.extend(standing.flat_map(|(name, _)| [Fate::Won, Fate::Lost].map(|f| decides(name, f))));
        }
    }
}

/// Answers the request that a scanner waits for.
pub(crate) fn answer(settings: &Settings, world: &mut World, who: u8, reply: Reply) -> Option<()> {
    let Stage::Waiting(at) = world.scanners[usize::from(who)].stage else { return None };
    let answer = match reply {
        Reply::Yes => Answer::Accepted(accept(settings, world, at)?),
        Reply::No => Answer::Refused,
        Reply::Later => Answer::Nothing,
    };
    world.scanners[usize::from(who)].stage = Stage::Answered(at, answer);
    Some(())
}

/// Accepts a request, or recognises it; `None` where the model holds no more bids on the posting.
pub(crate) fn accept(settings: &Settings, world: &mut World, at: At) -> Option<u8> {
    let key = world.row(at).map_or(0, |row| row.key);
    let here = &mut world.postings[usize::from(at.posting)];
    let known = here.accepted().find(|(_, bid)| bid.key == key);
    if let (true, Some((name, _))) = (settings.recognises_keys, known) {
        return Some(name);
    }
    let remote = &mut here.remote;
    let name = (0..MAX_REMOTE).find(|name| remote[*name].is_none())?;
    remote[name] = Some(Remote { row: at.row, key, fate: Fate::Standing });
    Some(name as u8)
}

/// Accepts a request that nobody waits for.
pub(crate) fn stray_arrives(settings: &Settings, world: &mut World, at: At) -> Option<()> {
    accept(settings, world, at)?;
    world.row_mut(at)?.strays -= 1;
    Some(())
}

/// The client chooses this bid or another.
pub(crate) fn client_decides(world: &mut World, posting: u8, name: u8, fate: Fate) -> Option<()> {
    world.postings[usize::from(posting)].remote[usize::from(name)].as_mut()?.fate = fate;
    Some(())
}

/// Takes a bid back or refuses to, also in turn; somebody then holds the answer.
pub(crate) fn ask_withdrawal(world: &mut World, at: At, word: Word) -> Option<()> {
    let name = world.row(at)?.external_ref?;
    let place = world.askers.iter().position(Option::is_none)?;
    world.askers[place] = Some(Asked { at, word });
    if word == Word::Withdrawn {
        let bid = world.postings[usize::from(at.posting)].remote[usize::from(name)].as_mut()?;
        bid.fate = Fate::TakenBack;
    }
    Some(())
}
