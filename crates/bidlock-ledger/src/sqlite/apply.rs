//! Applying changes: each rule of the transition table is one guarded `UPDATE`.

use bidlock_sqlite::HostInstant;
use rusqlite::{Connection, OptionalExtension, Params, params, types::ToSql};
use uuid::Uuid;

use super::{events, row, sql};
use crate::{
    Applied, Bid, BidId, BidState, Change, Claimant, Move, NotMoved, PostingId, UnknownCause, alarm,
    line::Line,
    state::{Guard, Rule, rules_for},
    store::Cap,
};

/// Makes one change with its event, or says precisely why not.
pub(super) fn apply(tx: &Connection, now: &HostInstant, change: &Change) -> rusqlite::Result<Applied> {
    if let Some(key) = &change.event_key
        && events::is_known(tx, change.at.bid, key)?
        && let Some(bid) = find(tx, now, change)?
    {
        return Ok(Applied::Already(Box::new(bid)));
    }
    for rule in rules_for(change.action.action()) {
        let Some(bid) = update(tx, now, change, rule)? else { continue };
        events::record(tx, now, &bid, Line::change(change, rule, &bid))?;
        let alarm = match rule.from {
            BidState::NotSubmitted => Some(reopened(tx, now, change, &bid)?),
            _ => None,
        };
        return Ok(Applied::Moved { bid: Box::new(bid), alarm });
    }
    refusal(tx, now, change).map(Applied::Not)
}

/// An earlier bid on the posting that the marketplace has or may have: beside it none is made or sent.
pub(super) fn blocking(
    tx: &Connection,
    now: &HostInstant,
    posting: &PostingId,
    but: Option<BidId>,
) -> rusqlite::Result<Option<Bid>> {
    let but = but.as_ref().map(|id| id.0.as_bytes());
    tx.prepare_cached(&sql::BLOCKING)?
        .query_row(params![posting.marketplace(), posting.posting(), but], |row| row::bid(row, now))
        .optional()
}

fn find(tx: &Connection, now: &HostInstant, change: &Change) -> rusqlite::Result<Option<Bid>> {
    let mut statement = tx.prepare_cached(&sql::BID)?;
    statement.query_row([change.at.bid.0.as_bytes()], |row| row::bid(row, now)).optional()
}

/// The one guarded `UPDATE` of a rule.
fn update(tx: &Connection, now: &HostInstant, change: &Change, rule: &Rule) -> rusqlite::Result<Option<Bid>> {
    let guard = Guarded { tx, now, change, rule };
    match &change.action {
        Move::EnterSubmitting { ttl, cap } => guard.door(None, now.boot_ms_after(*ttl), *cap),
        Move::TakeSending { claimant, ttl, cap } => guard.door(Some(claimant), now.boot_ms_after(*ttl), *cap),
        Move::ConfirmWithdrawn { rebid_allowed: allowed }
        | Move::ResolveNotSubmitted { allow_new_bid: allowed } => guard.run(&sql::ALLOW, &[allowed]),
        Move::Find { external_ref } => guard.run(&sql::FIND, &[external_ref]),
        Move::Accept { external_ref } => guard.run(&sql::ACCEPT, &[external_ref]),
        Move::ResolveSubmitted { external_ref } => guard.run(&sql::ACCEPT, &[external_ref]),
        Move::LoseAnswer { cause } => guard.run(&sql::MOVE, &[&cause.as_str(), &None::<i64>]),
        Move::Import => {
            let cause = UnknownCause::Legacy.as_str();
            guard.run(&sql::MOVE, &[&cause, &None::<i64>])
        }
        Move::Approve { valid_for } => {
            let until = now.wall_ms.saturating_add(row::millis(*valid_for));
            guard.run(&sql::MOVE, &[&None::<&str>, &until])
        }
        Move::AwaitApproval
        | Move::Decline
        | Move::Refuse
        | Move::HandBack
        | Move::Withdraw
        | Move::RefuseWithdrawal
        | Move::Win
        | Move::Lose => guard.run(&sql::MOVE, &[&None::<&str>, &None::<i64>]),
    }
}

struct Guarded<'a> {
    tx: &'a Connection,
    now: &'a HostInstant,
    change: &'a Change,
    rule: &'a Rule,
}

impl Guarded<'_> {
    /// Runs a statement whose arguments are the guard's seven, the state, the reason, and `more`.
    fn run(&self, query: &str, more: &[&dyn ToSql]) -> rusqlite::Result<Option<Bid>> {
        let bytes =
            (self.change.at.bid.0.as_bytes(), self.change.at.claim.0.as_bytes(), self.now.boot_id.as_bytes());
        let first: [&dyn ToSql; 9] = [
            bytes.0,
            &self.rule.from.as_str(),
            bytes.1,
            &row::guard_name(self.rule.guard),
            bytes.2,
            &self.now.boot_ms,
            &self.now.wall_ms,
            &self.rule.to.as_str(),
            &self.change.reason,
        ];
        self.query(query, rusqlite::params_from_iter(first.iter().chain(more)))
    }

    fn door(
        &self,
        taker: Option<&Claimant>,
        until_ms: i64,
        cap: Option<Cap>,
    ) -> rusqlite::Result<Option<Bid>> {
        let new_claim = taker.map(|_| Uuid::new_v4());
        self.query(
            &sql::DOOR,
            params![
                self.change.at.bid.0.as_bytes(),
                self.rule.from.as_str(),
                self.change.at.claim.0.as_bytes(),
                row::guard_name(self.rule.guard),
                self.now.boot_id.as_bytes(),
                self.now.boot_ms,
                self.now.wall_ms,
                self.rule.to.as_str(),
                new_claim.as_ref().map(Uuid::as_bytes),
                taker.map(|c| c.holder.as_str()),
                taker.and_then(|c| c.instance.as_ref()).map(Uuid::as_bytes),
                until_ms,
                self.change.reason,
                cap.map(|c| i64::try_from(c.limit).unwrap_or(i64::MAX)),
                cap.map(|c| c.since.0),
            ],
        )
    }

    fn query(&self, query: &str, params: impl Params) -> rusqlite::Result<Option<Bid>> {
        self.tx.prepare_cached(query)?.query_row(params, |row| row::bid(row, self.now)).optional()
    }
}

/// Why no rule hit, from the row as it is in this transaction.
fn refusal(tx: &Connection, now: &HostInstant, change: &Change) -> rusqlite::Result<NotMoved> {
    let Some(bid) = find(tx, now, change)? else { return Ok(NotMoved::NoSuchBid(change.at.bid)) };
    let rule = rules_for(change.action.action()).find(|rule| rule.from == bid.state);
    if rule.is_some_and(|rule| rule.to == BidState::Submitting)
        && bid.claim_id == change.at.claim
        && let Some(other) = blocking(tx, now, &bid.posting, Some(bid.id))?
    {
        return Ok(NotMoved::WrongState(Box::new(other)));
    }
    let is_find = matches!(change.action, Move::Find { .. });
    if let (Some(_), Some(external_ref)) = (rule, change.action.external_ref())
        && bid.claim_id == change.at.claim
        && let Some(other) = tx
            .prepare_cached(&sql::FOUND_ELSEWHERE)?
            .query_row(params![bid.id.0.as_bytes(), external_ref, is_find], |row| row::bid(row, now))
            .optional()?
    {
        return Ok(NotMoved::WrongState(Box::new(other)));
    }
    let bid = Box::new(bid);
    Ok(match rule.map(|rule| rule.guard) {
        _ if bid.claim_id != change.at.claim => NotMoved::StaleClaim(bid),
        None => NotMoved::WrongState(bid),
        Some(Guard::Live) if bid.claim_remaining.is_some_and(|left| !left.is_zero()) => {
            NotMoved::CapReached(bid)
        }
        Some(Guard::ApprovalLive) if bid.approved_until.is_some_and(|until| until.0 > now.wall_ms) => {
            NotMoved::CapReached(bid)
        }
        Some(_) => NotMoved::Expired(bid),
    })
}

/// A "not submitted" was wrong. A later bid on the posting that has not been sent yet is declined in this
/// same transaction, so that it never is; one that was sent is a duplicate. Says what a person must know.
fn reopened(tx: &Connection, now: &HostInstant, change: &Change, bid: &Bid) -> rusqlite::Result<String> {
    let posting = &bid.posting;
    if !bid.rebid_allowed {
        return Ok(alarm::reopened(bid));
    }
    let later = tx
        .prepare_cached(&sql::LIVE_BID)?
        .query_row(params![posting.marketplace(), posting.posting()], |row| row::bid(row, now))
        .optional()?;
    let Some(later) = later else { return Ok(alarm::duplicate(bid, None)) };
    let aside = Change {
        at: later.claim_ref(),
        action: Move::Decline,
        reason: Some(alarm::reason_to_decline(bid)),
        event_key: None,
        ..change.clone()
    };
    Ok(match apply(tx, now, &aside)? {
        Applied::Moved { .. } => alarm::later_declined(bid, &later),
        _ => alarm::duplicate(bid, Some(&later)),
    })
}
