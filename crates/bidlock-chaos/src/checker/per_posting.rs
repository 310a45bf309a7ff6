//! One posting at a time: how many bids the marketplace accepted, under which identity, and whether the ledger admits it.

use std::collections::HashMap;

use bidlock_ledger::{BidState, PostingId};

use super::{
    Findings, Invariant,
    around::Around,
    bids::is_there,
    look_ups::LookUps,
    postings::{Facts, Postings, RowFacts},
    record::Record,
    verdict::At,
};

/// What S1 looks at, by name. Second bids are those alone that were permitted: a recorded withdrawal or a person's word had
/// freed the posting.
pub(crate) const ACCEPTED: &str = "submissions accepted";
pub(crate) const POSTINGS: &str = "postings with an accepted one";
pub(crate) const SECOND_BIDS: &str = "second bids on postings that were freed";

pub(super) fn check(postings: &Postings, around: &Around<'_>, written: &Written, found: &mut Findings) {
    let (record, look_ups) = (around.record, LookUps::of(around));
    for facts in &postings.facts {
        accepted_once(facts, record, found);
        not_denied(facts, record, &look_ups, found);
        from_nowhere(facts, record, found);
        ordinals(facts, found);
        one_name_one_row(facts, found);
        not_lost(facts, found);
    }
    one_identity(postings, record, written, found);
}

/// S8: no two rows are one bid of the marketplace.
fn one_name_one_row(facts: &Facts, found: &mut Findings) {
    let there: Vec<_> =
        facts.rows.iter().filter(|row| is_there(row.state) && row.external_ref.is_some()).collect();
    for (n, row) in there.iter().enumerate() {
        if let Some(other) = there[..n].iter().find(|other| other.external_ref == row.external_ref) {
            let what = format!("bids {} and {} are both {:?}", other.bid, row.bid, row.external_ref);
            found.violated(Invariant::S8, At::posting(&facts.id), what);
        }
    }
}

/// S1: one submission is accepted, and another only after the ledger recorded that it may be. One that the marketplace turned
/// away because it has a bid counts as accepted: another marketplace would have taken it.
fn accepted_once(facts: &Facts, record: &Record, found: &mut Findings) {
    let (mut accepted, mut taken, mut second, mut turned_away) = (0_usize, 0_u64, 0_u64, 0_u64);
    for sent in facts.sent.iter().map(|index| &record.sent[*index]) {
        let (did, name) = match (&sent.accepted, &sent.already) {
            (Some(name), _) => ("accepted", name),
            (None, Some(name)) => ("has, and was asked to accept again,", name),
            (None, None) => continue,
        };
        accepted += 1;
        *(if sent.accepted.is_some() { &mut taken } else { &mut turned_away }) += 1;
        let at_ms = sent.answered_ms.unwrap_or(sent.at_ms);
        let stands =
            |freed: &&(i64, Option<i64>)| freed.0 <= at_ms && freed.1.is_none_or(|until_ms| at_ms < until_ms);
        let freed = facts.freed.iter().filter(stands).count();
        if accepted > 1 + freed {
            let what = format!("the marketplace {did} bid {accepted} on {}: {name}", facts.id);
            found.violated(Invariant::S1, At::posting(&facts.id), what);
        } else if accepted > 1 && sent.accepted.is_some() {
            second += 1;
        }
    }
    found.looked(Invariant::S1, ACCEPTED, taken);
    found.looked(Invariant::S1, SECOND_BIDS, second);
    found.looked(Invariant::S1, "second ones that the marketplace refused or recognised", turned_away);
    found.looked(Invariant::S1, POSTINGS, u64::from(taken > 0));
    let live = facts.rows.iter().filter(|row| !row.rebid_allowed).count();
    if live > 1 {
        let what = format!("{} has {live} live rows", facts.id);
        found.violated(Invariant::S1, At::posting(&facts.id), what);
    }
}

/// S9: what the marketplace has, some row says, or does not know yet. L1: no longer than until a look-up shows it.
fn not_denied(facts: &Facts, record: &Record, look_ups: &LookUps, found: &mut Findings) {
    for sent in facts.sent.iter().map(|index| &record.sent[*index]) {
        let Some(name) = &sent.accepted else { continue };
        if sent.withdrawn_ms.is_some() {
            continue;
        }
        found.looked(Invariant::S9, "bids that the marketplace has", 1);
        let named = |row: &RowFacts| is_there(row.state) && row.external_ref.as_ref() == Some(name);
        if facts.rows.iter().any(named) {
            continue;
        }
        let row = facts.rows.iter().find(|row| Some(row.bid) == sent.bid);
        if let Some(row) = row
            && matches!(row.state, BidState::Submitting | BidState::Unknown)
        {
            if row.state == BidState::Unknown && look_ups.show(sent, row) {
                let what = format!(
                    "bid {} is still unknown, and look-ups show it on {} as {name}",
                    row.bid, facts.id
                );
                found.violated(Invariant::L1, At::posting(&facts.id), what);
            }
            continue;
        }
        let said = row.map_or("knows no such bid".to_owned(), |row| format!("says {}", row.state));
        let what = format!("the marketplace has {name} on {}, and the ledger {said}", facts.id);
        found.violated(Invariant::S9, At::posting(&facts.id), what);
    }
}

/// S2: a bid that the ledger does not know has passed no door.
fn from_nowhere(facts: &Facts, record: &Record, found: &mut Findings) {
    for sent in facts.sent.iter().map(|index| &record.sent[*index]) {
        if facts.rows.iter().any(|row| Some(row.bid) == sent.bid) {
            continue;
        }
        found.looked(Invariant::S2, "requests", 1);
        let bid = sent.bid.map_or("no bid".to_owned(), |bid| format!("bid {bid}"));
        let what =
            format!("request {} on {} is of {bid}, and the ledger has none such there", sent.seq, facts.id);
        found.violated(Invariant::S2, At::posting(&facts.id), what);
    }
}

/// S5: the claims of a later bid have higher ordinals than those of the earlier ones.
fn ordinals(facts: &Facts, found: &mut Findings) {
    for pair in facts.rows.windows(2) {
        let [earlier, later] = pair else { continue };
        if later.epochs.0 <= earlier.epochs.1 {
            let (first, last) = (later.epochs.0, earlier.epochs.1);
            let what = format!("bid {} begins with epoch {first}, after {last}", later.bid);
            found.violated(Invariant::S5, At::posting(&facts.id), what);
        }
    }
}

/// L3: each posting of the feed has a bid, or somebody said why not.
fn not_lost(facts: &Facts, found: &mut Findings) {
    if !facts.in_feed {
        return;
    }
    found.looked(Invariant::L3, "postings of the feed", 1);
    if facts.rows.is_empty() {
        found.looked(Invariant::L3, "explained without a bid", u64::from(facts.explained));
        if !facts.explained {
            let what = format!("{} was in the feed, and nobody says what became of it", facts.id);
            found.violated(Invariant::L3, At::posting(&facts.id), what);
        }
    }
}

/// Which posting of the feed an id of no posting was written for.
pub(super) type Written = HashMap<PostingId, PostingId>;

/// S3: rows and requests are under the one identity of their posting, and under no way in which a feed writes it.
fn one_identity(postings: &Postings, record: &Record, written: &Written, found: &mut Findings) {
    found.looked(Invariant::S3, "identities in use", postings.facts.len() as u64);
    for facts in postings.strangers() {
        let (requests, rows) = (facts.sent.len(), facts.rows.len());
        let what = match written.get(&facts.id) {
            Some(meant) => {
                format!("{rows} bids and {requests} requests are under {}, which is {meant}", facts.id)
            }
            None => format!("{rows} bids and {requests} requests are under {}, which no feed had", facts.id),
        };
        found.violated(Invariant::S3, At::posting(&facts.id), what);
        // What stands under several identities is bid on once for each.
        if let Some(meant) = written.get(&facts.id)
            && accepted(facts, record)
            && postings.of(meant).is_some_and(|meant| accepted(meant, record))
        {
            let what = format!("{meant} was bid on twice, once as {}", facts.id);
            found.violated(Invariant::S1, At::posting(&facts.id), what);
        }
    }
}

fn accepted(facts: &Facts, record: &Record) -> bool {
    facts.sent.iter().any(|index| record.sent[*index].accepted.is_some())
}
