//! What must hold in every world, and what must be possible in some.

use bidlock_ledger::BidState;
use stateright::Property;

use crate::{
    model::Bidding,
    recovery,
    settings::Settings,
    world::{Asked, At, Broken, Fate, Posting, Row, Stage, Word, World},
};

/// S1: each bid is accepted once at the most, and another on the posting only where an earlier one allows it.
pub const S1: &str = "S1 the marketplace accepts at most one submission per posting";
/// S2: what may be sent, is under way or has arrived belongs to a bid whose claimant passed the door, once.
pub const S2: &str = "S2 every submission follows a durable `submitting` of the same claim";
/// S4.
pub const S4: &str = "S4 what is not one's own does not change";
/// S5.
pub const S5: &str = "S5 epochs strictly increase per posting";
/// S7.
pub const S7: &str = "S7 final rows change by an audited resolution only";
/// S8, with the marketplace's names for bids: a person's word apart, each `submitted` names a bid that stands there.
pub const S8: &str = "S8 submitted means that the marketplace has it";
/// S9.
pub const S9: &str = "S9 what the marketplace has is not denied by the row";
/// S10.
pub const S10: &str = "S10 leases of one key do not overlap";
/// The table's other half.
pub const TABLE: &str = "nothing moves but by the transition table";
/// The ledger's own part of S1, when several bids on a posting exist.
pub const BESIDE: &str = "nothing is sent beside a bid that the ledger knows of";
/// What makes S8 exact where a posting has several bids.
pub const ONE_NAME: &str = "no two rows get one bid of the marketplace";
/// L1 and L2.
pub const RECOVERY: &str = "L1 L2 once faults end, every posting is settled or waits for a person";

/// The properties of a space.
pub fn all(settings: &Settings) -> Vec<Property<Bidding>> {
    let mut all = vec![
        Property::always(S1, |_: &Bidding, world: &World| world.postings.iter().all(s1)),
        Property::always(S2, |_, world: &World| !world.broken.has(Broken::S2) && s2(world)),
        Property::always(S4, |_, world: &World| !world.broken.has(Broken::S4)),
        Property::always(S5, |_, world: &World| !world.broken.has(Broken::S5)),
        Property::always(S7, |_, world: &World| !world.broken.has(Broken::S7)),
        Property::always(S8, |_, world: &World| s8(world)),
        Property::always(S9, |_, world: &World| world.postings.iter().all(s9)),
        Property::always(S10, |_, world: &World| world.lock_lost || s10(world)),
        Property::always(TABLE, |_, world: &World| !world.broken.has(Broken::TABLE)),
        Property::always(BESIDE, |_, world: &World| !world.broken.has(Broken::BESIDE)),
        Property::always(ONE_NAME, |_, world: &World| world.postings.iter().all(one_name)),
    ];
    if settings.recovery {
        all.push(Property::always(RECOVERY, recovery::settles));
    }
    all
}

fn s1(posting: &Posting) -> bool {
    let allowed = 1 + posting.bids().filter(|(_, row)| row.rebid_allowed).count();
    let once = |row: u8| posting.accepted().filter(|(_, bid)| bid.row == row).count() <= 1;
    posting.accepted().count() <= allowed && posting.accepted().all(|(_, bid)| once(bid.row))
}

fn s2(world: &World) -> bool {
    let on_the_way = |stage: &Stage| match *stage {
        Stage::Passed(at) | Stage::Waiting(at) => Some(at),
        _ => None,
    };
    let durable = |row: &Row| {
        use BidState::*;
        row.sent && !matches!(row.state, Claimed | AwaitingApproval | Approved | Declined | Abandoned)
    };
    let sending = world.scanners.iter().filter_map(|scanner| on_the_way(&scanner.stage));
    let all_durable =
        sending.clone().all(|at| world.row(at).is_some_and(|row| row.claim == at.claim && durable(row)));
    all_durable
        && (0u8..).zip(&world.postings).all(|(posting, here)| {
            here.bids().all(|(index, row)| {
                let waiting = sending.clone().filter(|at| (at.posting, at.row) == (posting, index)).count();
                let accepted = here.accepted().filter(|(_, bid)| bid.row == index).count();
                waiting + usize::from(row.strays) + accepted <= 1
            })
        })
}

fn s8(world: &World) -> bool {
    use BidState::{Lost, Submitted, Won};
    (0u8..).zip(&world.postings).all(|(posting, here)| {
        here.bids().all(|(index, row)| {
            if !matches!(row.state, Submitted | Won | Lost) {
                return true;
            }
            let Some(name) = row.external_ref else { return row.by_person };
            // The marketplace took it back a moment ago, and whoever asked is about to say so.
            let at = At { posting, row: index, claim: row.claim };
            let is_told = world.askers.contains(&Some(Asked { at, word: Word::Withdrawn }));
            is_told || here.accepted().any(|(n, bid)| n == name && bid.fate != Fate::TakenBack)
        })
    })
}

fn one_name(posting: &Posting) -> bool {
    let mut named = posting.bids().filter_map(|(_, row)| row.external_ref);
    std::iter::from_fn(|| named.next().map(|name| (name, named.clone())))
        .all(|(name, mut later)| !later.any(|other| other == name))
}

fn s9(posting: &Posting) -> bool {
    use BidState::*;
    posting.accepted().all(|(_, bid)| {
        let row = posting.rows[usize::from(bid.row)].as_ref();
        row.is_none_or(|row| {
            !matches!(row.state, Claimed | AwaitingApproval | Approved | Rejected | Declined | Abandoned)
        })
    })
}

fn s10(world: &World) -> bool {
    let mut believed = [0u8; crate::world::MAX_POSTINGS];
    for lease in world.scanners.iter().filter_map(|scanner| scanner.lease).filter(|lease| lease.believed()) {
        believed[usize::from(lease.posting)] += 1;
    }
    believed.iter().all(|holders| *holders <= 1)
}
