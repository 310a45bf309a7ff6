//! Rows of the table `bids` and what they mean.

use std::{str::FromStr, time::Duration};

use bidlock_postgres::{
    Argument, Error, Result,
    tokio_postgres::{
        Row,
        types::{FromSql, ToSql, Type},
    },
};
use uuid::Uuid;

use crate::{
    Bid, BidId, BidState, ClaimId, Claimant, Currency, Epoch, Money, Payload, PostingId, WallTime,
    state::Guard, store::UnknownCause,
};

/// A column of a row, of a type that the statement fixes.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(Error::unreadable)
}

/// The whole row, in the order of `columns.sql`, from this column on.
pub(super) fn bid(row: &Row, at: usize, now_ms: i64) -> Result<Bid> {
    let state = state(column(row, at + 3)?)?;
    Ok(Bid {
        id: BidId(column(row, at)?),
        posting: PostingId::new(column::<String>(row, at + 1)?, column::<String>(row, at + 2)?)
            .map_err(Error::unreadable)?,
        state,
        rebid_allowed: column(row, at + 4)?,
        claim_id: ClaimId(column(row, at + 5)?),
        epoch: Epoch(column(row, at + 6)?),
        claimant: Claimant { holder: column(row, at + 7)?, instance: column(row, at + 8)? },
        claim_remaining: remaining(state, now_ms, column(row, at + 9)?),
        attempts: count(column(row, at + 10)?),
        idempotency_key: column(row, at + 11)?,
        external_ref: column(row, at + 12)?,
        approved_until: column::<Option<i64>>(row, at + 13)?.map(WallTime),
        unknown_cause: word(column(row, at + 14)?, |text| {
            UnknownCause::ALL.into_iter().find(|cause| cause.as_str() == text)
        })?,
        reason: column(row, at + 15)?,
        first_sent_at: column::<Option<i64>>(row, at + 16)?.map(WallTime),
        last_sent_at: column::<Option<i64>>(row, at + 26)?.map(WallTime),
        created_at: WallTime(column(row, at + 17)?),
        updated_at: WallTime(column(row, at + 18)?),
        events: count(column(row, at + 19)?),
        payload: Payload {
            amount: money(column(row, at + 20)?, column(row, at + 21)?)?,
            posting_url: column(row, at + 22)?,
            via: column(row, at + 23)?,
            evaluation: column(row, at + 24)?,
            proposal: column(row, at + 25)?,
        },
    })
}

fn money(minor: Option<i64>, currency: Option<&str>) -> Result<Option<Money>> {
    let currency = word(currency, |text| Currency::new(text).ok())?;
    Ok(minor.zip(currency).map(|(minor, currency)| Money { minor, currency }))
}

/// What is left of a claim: zero once expired, nothing to say in states without a running claim.
pub(super) fn remaining(state: BidState, now_ms: i64, until_ms: i64) -> Option<Duration> {
    let left = u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0);
    state.has_running_claim().then(|| Duration::from_millis(left))
}

pub(super) fn state(text: &str) -> Result<BidState> {
    BidState::from_str(text).map_err(Error::unreadable)
}

/// A count that fits: the schema's integers have a sign.
pub(super) fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A word of one of our own enums; an unknown one means that a newer bidlock wrote it.
pub(super) fn word<T>(text: Option<&str>, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::unreadable(format!("`{text}` is not a word that this version of bidlock knows"))),
    }
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

/// Milliseconds as the schema keeps them: at most some ten thousand years, so that sums do not overflow.
pub(super) fn millis(duration: Duration) -> i64 {
    const MOST: i64 = i64::MAX / 1_024;
    i64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}

/// An array argument; its type follows from the elements'.
pub(super) trait Element: ToSql + Sync + Sized {
    const ARRAY: Type;
}

macro_rules! elements {
    ($($element:ty => $array:ident;)*) => {
        $(impl Element for $element { const ARRAY: Type = Type::$array; })*
    };
}

elements! {
    &str => TEXT_ARRAY;
    Option<&str> => TEXT_ARRAY;
    String => TEXT_ARRAY;
    Option<String> => TEXT_ARRAY;
    i64 => INT8_ARRAY;
    Option<i64> => INT8_ARRAY;
    Uuid => UUID_ARRAY;
    Option<Uuid> => UUID_ARRAY;
    bool => BOOL_ARRAY;
    &[u8] => BYTEA_ARRAY;
}

pub(super) fn array<T: Element>(values: &Vec<T>) -> Argument<'_> {
    (values, T::ARRAY)
}
