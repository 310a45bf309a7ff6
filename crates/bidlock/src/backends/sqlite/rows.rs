//! The statements, each a function on an open transaction. SQL stands in the `.sql` files.

use bidlock_canary::{Canary, removed};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use uuid::Uuid;

use bidlock_sqlite::HostInstant;

use crate::backend::{Acquire, Acquired, Grant, Held, HeldLock, KeyFilter, Page, Released, Renewed};
use crate::key::LockKey;
use crate::token::{FencingToken, Nonce};

const FIND: &str = statement(include_str!("find.sql"));
const FORCE_RELEASE: &str = statement(include_str!("force_release.sql"));
const GRANT: &str = statement(include_str!("grant.sql"));
const INSPECT: &str = statement(include_str!("inspect.sql"));
const MINT: &str = statement(include_str!("mint.sql"));
const RELEASE: &str = statement(include_str!("release.sql"));
const RENEW: &str = statement(include_str!("renew.sql"));
const SWEEP: &str = statement(include_str!("sweep_part.sql"));
const SWEEP_END: &str = statement(include_str!("sweep_end.sql"));

/// How many rows one part of a sweep looks at: a fraction of a millisecond's work.
const SWEEP_PART: i64 = 512;

struct Found {
    holder: String,
    nonce: [u8; 16],
    token: FencingToken,
    boot_id: Uuid,
    deadline_ms: i64,
}

pub(super) fn make_schema(conn: &mut Connection, now: HostInstant) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.execute_batch(include_str!("schema.sql"))?;
    tx.execute(include_str!("sweep_all.sql"), params![now.boot_id.as_bytes(), now.boot_ms])?;
    tx.commit()
}

pub(super) fn acquire(
    tx: &Transaction<'_>,
    now: HostInstant,
    request: &Acquire,
) -> rusqlite::Result<Acquired> {
    let granted = |token| {
        Acquired::Granted(Grant {
            key: request.key.clone(),
            holder: request.holder.clone(),
            nonce: request.nonce,
            token,
        })
    };
    let micros = now.wall_ms.saturating_mul(1_000);
    // A loser's attempt must not write: a transaction of losers needs no sync of the disk.
    let free = tx.prepare_cached(GRANT)?.execute(params![
        request.key.as_str(),
        request.holder.as_str(),
        request.nonce.to_bytes(),
        micros,
        now.boot_id.as_bytes(),
        now.boot_ms,
        now.boot_ms_after(request.ttl),
    ])?;
    if free == 1 {
        return tx.prepare_cached(MINT)?.query_row([micros], |row| Ok(granted(token(row, 0)?)));
    }
    // Somebody holds it; in the same transaction, so the row is there and live.
    let found = find(tx, &request.key)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    if found.nonce == request.nonce.to_bytes() {
        move_deadline(tx, now, &request.key, request.nonce, request.ttl)?;
        return Ok(granted(found.token));
    }
    let remaining = now.remaining_until(found.boot_id, found.deadline_ms).unwrap_or_default();
    Ok(Acquired::Held(Held { holder: found.holder, remaining }))
}

pub(super) fn renew(
    tx: &Transaction<'_>,
    now: HostInstant,
    grant: &Grant,
    ttl: std::time::Duration,
) -> rusqlite::Result<Renewed> {
    Ok(match move_deadline(tx, now, &grant.key, grant.nonce, ttl)? {
        true => Renewed::Renewed,
        false => Renewed::Lost,
    })
}

pub(super) fn release(tx: &Transaction<'_>, now: HostInstant, grant: &Grant) -> rusqlite::Result<Released> {
    if removed(Canary::AnyRelease) {
        return force_release(tx, now, &grant.key);
    }
    let freed = tx.prepare_cached(RELEASE)?.execute(params![
        grant.key.as_str(),
        grant.nonce.to_bytes(),
        now.boot_id.as_bytes(),
        now.boot_ms
    ])?;
    if freed == 1 {
        return Ok(Released::Released);
    }
    // Whoever asks for the key, or a sweep, takes an expired row out.
    Ok(match find(tx, &grant.key)? {
        Some(found) if now.remaining_until(found.boot_id, found.deadline_ms).is_some() => Released::Stolen,
        _ => Released::Expired,
    })
}

pub(super) fn force_release(
    tx: &Transaction<'_>,
    now: HostInstant,
    key: &LockKey,
) -> rusqlite::Result<Released> {
    let found = tx.prepare_cached(FORCE_RELEASE)?.query_row([key.as_str()], timing).optional()?;
    Ok(found.map_or(Released::Expired, |(boot_id, deadline_ms)| released(now, boot_id, deadline_ms)))
}

pub(super) fn inspect(
    conn: &Connection,
    now: HostInstant,
    filter: &KeyFilter,
    page: &Page,
) -> rusqlite::Result<Vec<HeldLock>> {
    let mut statement = conn.prepare_cached(INSPECT)?;
    let rows = statement.query_map(
        params![
            now.boot_id.as_bytes(),
            now.boot_ms,
            page.after.as_ref().map_or("", LockKey::as_str),
            filter.key.as_ref().map(LockKey::as_str),
            filter.prefix,
            filter.holder,
            i64::try_from(page.bounded_limit()).unwrap_or(i64::MAX),
        ],
        |row| {
            let key: String = row.get(0)?;
            let since = |ms: i64| std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            // A key that does not parse was not written by bidlock: shown to nobody, harmful to nobody.
            Ok(LockKey::parse(&key).ok().map(|key| (key, row)).map(|(key, row)| {
                Ok::<_, rusqlite::Error>(HeldLock {
                    key,
                    holder: row.get(1)?,
                    token: token(row, 2)?,
                    held_for: since(now.boot_ms - row.get::<_, i64>(3)?),
                    remaining: since(row.get::<_, i64>(4)? - now.boot_ms),
                })
            }))
        },
    )?;
    rows.filter_map(Result::transpose).map(|row| row?).collect()
}

/// Goes through the rows after `cursor` and takes the expired ones out; returns where to go on, or the start.
pub(super) fn sweep(tx: &Transaction<'_>, now: HostInstant, cursor: &str) -> rusqlite::Result<String> {
    let end: Option<String> =
        tx.prepare_cached(SWEEP_END)?.query_row(params![cursor, SWEEP_PART], |row| row.get(0))?;
    let Some(end) = end else { return Ok(String::new()) };
    tx.prepare_cached(SWEEP)?.execute(params![cursor, end, now.boot_id.as_bytes(), now.boot_ms])?;
    Ok(end)
}

fn move_deadline(
    tx: &Transaction<'_>,
    now: HostInstant,
    key: &LockKey,
    nonce: Nonce,
    ttl: std::time::Duration,
) -> rusqlite::Result<bool> {
    let changed = tx.prepare_cached(RENEW)?.execute(params![
        key.as_str(),
        nonce.to_bytes(),
        now.boot_id.as_bytes(),
        now.boot_ms,
        now.boot_ms_after(ttl)
    ])?;
    Ok(changed == 1)
}

fn find(tx: &Transaction<'_>, key: &LockKey) -> rusqlite::Result<Option<Found>> {
    tx.prepare_cached(FIND)?
        .query_row([key.as_str()], |row| {
            Ok(Found {
                holder: row.get(0)?,
                nonce: row.get(1)?,
                token: token(row, 2)?,
                boot_id: Uuid::from_bytes(row.get(3)?),
                deadline_ms: row.get(5)?,
            })
        })
        .optional()
}

/// SQLite's integers have a sign; tokens are never negative.
fn token(row: &Row<'_>, index: usize) -> rusqlite::Result<FencingToken> {
    Ok(FencingToken::new(row.get::<_, i64>(index)?.unsigned_abs()))
}

fn timing(row: &Row<'_>) -> rusqlite::Result<(Uuid, i64)> {
    Ok((Uuid::from_bytes(row.get(0)?), row.get(1)?))
}

fn released(now: HostInstant, boot_id: Uuid, deadline_ms: i64) -> Released {
    match now.remaining_until(boot_id, deadline_ms) {
        Some(_) => Released::Released,
        None => Released::Expired,
    }
}

/// The file without its heading: the statement cache hashes the text at each use.
const fn statement(file: &str) -> &str {
    let mut rest = file;
    while let [b'-', b'-', ..] = rest.as_bytes() {
        let mut end = 0;
        while rest.as_bytes()[end] != b'\n' {
            end += 1;
        }
        rest = rest.split_at(end + 1).1;
    }
    rest
}
