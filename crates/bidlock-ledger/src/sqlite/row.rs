//! Rows of the table `bids` and what they mean.

use std::{str::FromStr, time::Duration};

use bidlock_sqlite::HostInstant;
use rusqlite::{Row, types::Type};
use uuid::Uuid;

use crate::{
    Bid, BidId, BidState, ClaimId, Claimant, Currency, Epoch, Money, Payload, PostingId, WallTime,
    state::Guard, store::UnknownCause,
};

type Result<T> = rusqlite::Result<T>;

/// The whole row, in the order of `columns.sql`.
pub(super) fn bid(row: &Row<'_>, now: &HostInstant) -> Result<Bid> {
    let state = state(row, 3)?;
    Ok(Bid {
        id: BidId(uuid(row, 0)?),
        posting: PostingId::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?)
            .map_err(|e| unreadable(2, e))?,
        state,
        rebid_allowed: row.get(4)?,
        claim_id: ClaimId(uuid(row, 5)?),
        epoch: Epoch(row.get(6)?),
        claimant: Claimant {
            holder: row.get(7)?,
            instance: row.get::<_, Option<[u8; 16]>>(8)?.map(Uuid::from_bytes),
        },
        claim_remaining: remaining(state, now, uuid(row, 9)?, row.get(10)?),
        attempts: row.get(11)?,
        idempotency_key: uuid(row, 12)?,
        external_ref: row.get(13)?,
        approved_until: row.get::<_, Option<i64>>(14)?.map(WallTime),
        unknown_cause: optional_word(row, 15, |text| {
            UnknownCause::ALL.into_iter().find(|c| c.as_str() == text)
        })?,
        reason: row.get(16)?,
        first_sent_at: row.get::<_, Option<i64>>(17)?.map(WallTime),
        last_sent_at: row.get::<_, Option<i64>>(27)?.map(WallTime),
        created_at: WallTime(row.get(18)?),
        updated_at: WallTime(row.get(19)?),
        events: row.get(20)?,
        payload: Payload {
            amount: money(row, 21)?,
            posting_url: row.get(23)?,
            via: row.get(24)?,
            evaluation: row.get(25)?,
            proposal: row.get(26)?,
        },
    })
}

/// The payload's columns alone, in the order of `earlier_payload.sql`.
pub(super) fn payload(row: &Row<'_>) -> Result<Payload> {
    Ok(Payload {
        amount: money(row, 0)?,
        posting_url: row.get(2)?,
        via: row.get(3)?,
        evaluation: row.get(4)?,
        proposal: row.get(5)?,
    })
}

fn money(row: &Row<'_>, column: usize) -> Result<Option<Money>> {
    let minor: Option<i64> = row.get(column)?;
    let currency = optional_word(row, column + 1, |text| Currency::new(text).ok())?;
    Ok(minor.zip(currency).map(|(minor, currency)| Money { minor, currency }))
}

/// What is left of a claim: zero once expired, nothing to say in states without a running claim.
pub(super) fn remaining(state: BidState, now: &HostInstant, boot: Uuid, until_ms: i64) -> Option<Duration> {
    state.has_running_claim().then(|| now.remaining_until(boot, until_ms).unwrap_or_default())
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

pub(super) fn state(row: &Row<'_>, column: usize) -> Result<BidState> {
    BidState::from_str(row.get_ref(column)?.as_str()?).map_err(|e| unreadable(column, e))
}

/// A word of one of our own enums; an unknown one means that a newer bidlock wrote it.
pub(super) fn optional_word<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(text) => match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(unreadable(column, UnknownWord(text.to_owned()))),
        },
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a word that this version of bidlock knows")]
struct UnknownWord(String);

pub(super) fn unreadable(
    column: usize,
    e: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e))
}

/// The name by which `guard.sql` knows a guard.
pub(super) fn guard_name(guard: Guard) -> &'static str {
    match guard {
        Guard::Claim => "claim",
        Guard::Live => "live",
        Guard::Expired => "expired",
        Guard::ApprovalLive => "approval_live",
        Guard::ApprovalExpired => "approval_expired",
        Guard::WasApproved => "was_approved",
        Guard::NeverApproved => "never_approved",
    }
}

/// Milliseconds as the schema keeps them.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
