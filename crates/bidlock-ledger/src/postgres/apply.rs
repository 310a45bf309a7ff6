//! Applying changes: each rule of the transition table is one guarded `UPDATE`, and a batch of changes runs as few
//! statements as there are kinds of them.

use std::collections::HashMap;

use bidlock_postgres::{
    Argument, Error, Result, Session, pipelined,
    tokio_postgres::{Row, types::Type},
};
use futures::FutureExt;
use uuid::Uuid;

use super::{
    events,
    groups::{self, Group, Kind, group},
    read,
    row::{self, array, column},
    sql,
};
use crate::{
    Applied, Bid, BidEvent, BidId, BidState, Change, Move, NotMoved, alarm,
    line::Line,
    state::{Guard, Rule, rules_for},
};

/// How every transaction of the ledger begins, whatever the database's default is.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Makes changes in one transaction, each with its event, or says precisely why not. Two changes of one bid run in
/// the order in which they came, and so do two by which the marketplace has bids on one posting; all others run together.
pub(super) async fn apply(session: &Session, changes: &[Change]) -> Result<Vec<Applied>> {
    let mut answers = HashMap::new();
    let waves = waves(changes, &siblings(session, changes).await?);
    for (at, wave) in waves.iter().enumerate() {
        let ran = run(session, changes, wave, at == 0).await?;
        let reopened = ran.moved.iter().any(|(_, rule, _)| rule.from == BidState::NotSubmitted);
        let is_last = at + 1 == waves.len();
        if is_last && !reopened {
            // The last events and the commit travel together. After a failed statement the commit is none.
            let (written, committed) =
                futures::join!(events::insert(session, &ran.events), session.run("COMMIT"));
            written.and(committed)?;
        } else {
            events::insert(session, &ran.events).await?;
        }
        for (index, rule, bid) in ran.moved {
            let alarm = match rule.from {
                BidState::NotSubmitted => Some(self::reopened(session, &changes[index], &bid).await?),
                _ => None,
            };
            answers.insert(index, Applied::Moved { bid: Box::new(bid), alarm });
        }
        answers.extend(ran.not_moved);
        if is_last && reopened {
            session.run("COMMIT").await?;
        }
    }
    let lost = || Error::unreadable("a change got no answer");
    (0..changes.len()).map(|index| answers.remove(&index).ok_or_else(lost)).collect()
}

/// Of the bids that changes would make the marketplace's, those that are on one posting, under a number for each. One
/// statement does not see what it does itself: which row has a name by now, and which one takes the posting.
async fn siblings(session: &Session, changes: &[Change]) -> Result<HashMap<BidId, usize>> {
    let named = changes.iter().filter(|change| groups::looks_at_names(&change.action));
    let bids: Vec<Uuid> = named.map(|change| change.at.bid.0).collect();
    if bids.len() < 2 {
        return Ok(HashMap::new());
    }
    let mut siblings = HashMap::new();
    for (number, row) in session.query(&sql::SIBLINGS, &[array(&bids)]).await?.iter().enumerate() {
        siblings.extend(column::<Vec<Uuid>>(row, 0)?.into_iter().map(|bid| (BidId(bid), number)));
    }
    Ok(siblings)
}

/// Changes by their places in the list, such that no wave has two of one bid, nor two that look at each other's names.
fn waves(changes: &[Change], siblings: &HashMap<BidId, usize>) -> Vec<Vec<usize>> {
    let (mut of_bid, mut of_posting) = (HashMap::<BidId, usize>::new(), HashMap::<usize, usize>::new());
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let bid = change.at.bid;
        let posting = siblings.get(&bid).filter(|_| groups::looks_at_names(&change.action));
        let before = of_bid.get(&bid).max(posting.and_then(|posting| of_posting.get(posting)));
        let wave = before.map_or(0, |before| before + 1);
        of_bid.insert(bid, wave);
        of_posting.extend(posting.map(|posting| (*posting, wave)));
        if wave == waves.len() {
            waves.push(Vec::new());
        }
        waves[wave].push(index);
    }
    waves
}

/// What one wave came to. Its events are not written yet.
struct Ran {
    moved: Vec<(usize, &'static Rule, Bid)>,
    events: Vec<BidEvent>,
    not_moved: Vec<(usize, Applied)>,
}

/// Locks the rows and runs the guarded updates: one message there, one back.
async fn run(session: &Session, changes: &[Change], wave: &[usize], begin: bool) -> Result<Ran> {
    let groups = group(changes, wave);
    let bids: Vec<Uuid> = wave.iter().map(|&index| changes[index].at.bid.0).collect();
    let of = |wanted: fn(&Group<'_>) -> bool| -> Vec<Uuid> {
        groups.iter().filter(|group| wanted(group)).flat_map(|group| group.bids.clone()).collect()
    };
    let (siblings, capped) =
        (of(|group| group.kind != Kind::Move), of(|group| group.kind == Kind::CappedDoor));
    let lock_cap = [array(&capped)];
    let lock_bids = [array(&bids), array(&siblings)];
    let arguments: Vec<Vec<Argument<'_>>> = groups.iter().map(Group::arguments).collect();
    let mut statements = Vec::new();
    if begin {
        statements.push(async { session.run(BEGIN).await.map(|()| Vec::new()) }.boxed());
    }
    if !capped.is_empty() {
        statements.push(session.query(&sql::LOCK_CAP, &lock_cap).boxed());
    }
    statements.push(session.query(&sql::LOCK_BIDS, &lock_bids).boxed());
    let before = statements.len();
    for (group, arguments) in groups.iter().zip(&arguments) {
        statements.push(session.query(group.kind.statement(), arguments).boxed());
    }
    let answers = pipelined(statements).await;
    let rows = first_error(answers)?.into_iter().skip(before).flatten().collect::<Vec<Row>>();
    let (moved, events) = read_moved(changes, &rows)?;
    let rest: Vec<usize> =
        wave.iter().copied().filter(|index| moved.iter().all(|(other, ..)| other != index)).collect();
    let not_moved = refusals(session, changes, &rest).await?;
    Ok(Ran { moved, events, not_moved })
}

/// Of a failed transaction the first error is the cause: the others only say that it has failed.
pub(super) fn first_error<T>(answers: Vec<Result<T>>) -> Result<Vec<T>> {
    answers.into_iter().collect()
}

type Moved = Vec<(usize, &'static Rule, Bid)>;

fn read_moved(changes: &[Change], rows: &[Row]) -> Result<(Moved, Vec<BidEvent>)> {
    let (mut moved, mut lines) = (Vec::new(), Vec::new());
    for found in rows {
        let row = MovedRow::read(found)?;
        let index = usize::try_from(row.ordinal).unwrap_or(usize::MAX);
        let change = changes.get(index).ok_or_else(|| Error::unreadable("an ordinal that was not sent"))?;
        let rule = rules_for(change.action.action())
            .find(|rule| rule.from == row.from && rule.to == row.bid.state)
            .ok_or_else(|| Error::unreadable("a move that is not in the table"))?;
        let line = Line::change(change, rule, &row.bid);
        lines.push(events::event(row.previous, row.now_ms, &row.bid, line));
        moved.push((index, rule, row.bid));
    }
    Ok((moved, lines))
}

/// What `moved.sql` answers.
pub(super) struct MovedRow<'a> {
    pub(super) ordinal: i64,
    pub(super) now_ms: i64,
    pub(super) previous: Option<&'a [u8]>,
    pub(super) from: BidState,
    pub(super) bid: Bid,
}

impl MovedRow<'_> {
    pub(super) fn read(row: &Row) -> Result<MovedRow<'_>> {
        let now_ms = column(row, 1)?;
        Ok(MovedRow {
            ordinal: column(row, 0)?,
            now_ms,
            previous: column(row, 2)?,
            from: row::state(column(row, 3)?)?,
            bid: row::bid(row, 4, now_ms)?,
        })
    }
}

/// Why changes moved nothing, from the rows as they are in this transaction.
async fn refusals(session: &Session, changes: &[Change], rest: &[usize]) -> Result<Vec<(usize, Applied)>> {
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let ordinals: Vec<i64> = rest.iter().map(|&index| i64::try_from(index).unwrap_or(i64::MAX)).collect();
    let bids: Vec<Uuid> = rest.iter().map(|&index| changes[index].at.bid.0).collect();
    let keys: Vec<Option<&str>> = rest.iter().map(|&index| changes[index].event_key.as_deref()).collect();
    let mut answers: Vec<(usize, Applied)> = Vec::with_capacity(rest.len());
    for found in session.query(&sql::REFUSED, &[array(&ordinals), array(&bids), array(&keys)]).await? {
        let index = usize::try_from(column::<i64>(&found, 0)?).unwrap_or(usize::MAX);
        let now_ms: i64 = column(&found, 1)?;
        let bid = row::bid(&found, 3, now_ms)?;
        let answer = match column(&found, 2)? {
            true => Applied::Already(Box::new(bid)),
            false => Applied::Not(match in_the_way(session, &changes[index], &bid).await? {
                Some(other) => NotMoved::WrongState(Box::new(other)),
                None => refusal(&changes[index], bid, now_ms),
            }),
        };
        answers.push((index, answer));
    }
    for &index in rest {
        if answers.iter().all(|(other, _)| *other != index) {
            answers.push((index, Applied::Not(NotMoved::NoSuchBid(changes[index].at.bid))));
        }
    }
    Ok(answers)
}

/// Another bid on the posting, because of which the door is shut or nothing is found for this one.
async fn in_the_way(session: &Session, change: &Change, bid: &Bid) -> Result<Option<Bid>> {
    let rule = rules_for(change.action.action()).find(|rule| rule.from == bid.state);
    let Some(rule) = rule.filter(|_| bid.claim_id == change.at.claim) else { return Ok(None) };
    let rows = match &change.action {
        _ if rule.to == BidState::Submitting => {
            session.query(&sql::BLOCKING, &[(&bid.id.0, Type::UUID)]).await?
        }
        action => {
            let Some(external_ref) = action.external_ref() else { return Ok(None) };
            let is_find = matches!(action, Move::Find { .. });
            let arguments: [Argument<'_>; 3] =
                [(&bid.id.0, Type::UUID), (&external_ref, Type::TEXT), (&is_find, Type::BOOL)];
            session.query(&sql::FOUND_ELSEWHERE, &arguments).await?
        }
    };
    rows.first().map(read::timed_bid).transpose()
}

fn refusal(change: &Change, bid: Bid, now_ms: i64) -> NotMoved {
    let rule = rules_for(change.action.action()).find(|rule| rule.from == bid.state);
    let bid = Box::new(bid);
    match rule.map(|rule| rule.guard) {
        _ if bid.claim_id != change.at.claim => NotMoved::StaleClaim(bid),
        None => NotMoved::WrongState(bid),
        Some(Guard::Live) if bid.claim_remaining.is_some_and(|left| !left.is_zero()) => {
            NotMoved::CapReached(bid)
        }
        Some(Guard::ApprovalLive) if bid.approved_until.is_some_and(|until| until.0 > now_ms) => {
            NotMoved::CapReached(bid)
        }
        Some(_) => NotMoved::Expired(bid),
    }
}

/// A "not submitted" was wrong. A later bid on the posting that has not been sent yet is declined in this same
/// transaction, so that it never is; one that was sent is a duplicate. Says what a person must know.
async fn reopened(session: &Session, change: &Change, bid: &Bid) -> Result<String> {
    let posting = &bid.posting;
    if !bid.rebid_allowed {
        return Ok(alarm::reopened(bid));
    }
    let of_posting: [Argument<'_>; 2] =
        [(&posting.marketplace(), Type::TEXT), (&posting.posting(), Type::TEXT)];
    let later = session.query(&sql::LIVE_BID, &of_posting).await?;
    let Some(later) = later.first().map(read::timed_bid).transpose()? else {
        return Ok(alarm::duplicate(bid, None));
    };
    let aside = [Change {
        at: later.claim_ref(),
        action: Move::Decline,
        reason: Some(alarm::reason_to_decline(bid)),
        event_key: None,
        ..change.clone()
    }];
    let ran = run(session, &aside, &[0], false).await?;
    events::insert(session, &ran.events).await?;
    Ok(match ran.moved.is_empty() {
        false => alarm::later_declined(bid, &later),
        true => alarm::duplicate(bid, Some(&later)),
    })
}
