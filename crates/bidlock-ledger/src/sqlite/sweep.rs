//! Sweeping: what expired is moved on, each row by its guarded `UPDATE` and with a reason.

use bidlock_sqlite::HostInstant;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{events, row, sql};
use crate::{
    Action, Swept, UnknownCause,
    line::{Line, Silence, swept_cause},
    state::{Rule, rules_for},
};

/// What a sweeper does, in this order.
const ACTIONS: [Action; 3] = [Action::SweepSubmitting, Action::SweepClaimed, Action::ExpireApproval];

/// A row that looked expired.
struct Candidate {
    id: Uuid,
    claim: Uuid,
    holder: String,
    same_boot: bool,
    overdue_ms: i64,
    last_moved: String,
    approved_until: Option<String>,
}

/// Whether anything has expired: cheap, so that an idle fleet does not queue at the write lock.
pub(super) fn is_needed(conn: &Connection, now: &HostInstant) -> rusqlite::Result<bool> {
    for rule in ACTIONS.into_iter().flat_map(rules_for) {
        if !candidates(conn, now, rule, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves at most `limit` expired rows.
pub(super) fn sweep(tx: &Connection, now: &HostInstant, limit: u32) -> rusqlite::Result<Swept> {
    let mut swept = Swept::default();
    let mut left = limit;
    for action in ACTIONS {
        for rule in rules_for(action) {
            for candidate in candidates(tx, now, rule, left)? {
                if !move_on(tx, now, rule, &candidate)? {
                    continue;
                }
                left -= 1;
                match action {
                    Action::SweepSubmitting => swept.unknown += 1,
                    Action::SweepClaimed => swept.abandoned += 1,
                    _ => swept.approvals_expired += 1,
                }
            }
        }
    }
    Ok(swept)
}

fn candidates(
    conn: &Connection,
    now: &HostInstant,
    rule: &Rule,
    limit: u32,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement = conn.prepare_cached(&sql::SWEEP)?;
    let rows = statement.query_map(
        params![rule.from.as_str(), now.boot_id.as_bytes(), now.boot_ms, now.wall_ms, limit],
        |row| {
            Ok(Candidate {
                id: row::uuid(row, 0)?,
                claim: row::uuid(row, 1)?,
                holder: row.get(2)?,
                same_boot: row.get(3)?,
                overdue_ms: row.get(4)?,
                last_moved: row.get(5)?,
                approved_until: row.get(6)?,
            })
        },
    )?;
    rows.collect()
}

fn move_on(tx: &Connection, now: &HostInstant, rule: &Rule, found: &Candidate) -> rusqlite::Result<bool> {
    let reason = reason(rule.action, found);
    let moved = tx
        .prepare_cached(&sql::MOVE)?
        .query_row(
            params![
                found.id.as_bytes(),
                rule.from.as_str(),
                found.claim.as_bytes(),
                row::guard_name(rule.guard),
                now.boot_id.as_bytes(),
                now.boot_ms,
                now.wall_ms,
                rule.to.as_str(),
                reason,
                swept_cause(rule).map(UnknownCause::as_str),
                None::<i64>,
            ],
            |row| row::bid(row, now),
        )
        .optional()?;
    let Some(bid) = moved else { return Ok(false) };
    events::record(tx, now, &bid, Line::swept(rule, &found.holder, reason))?;
    Ok(true)
}

fn reason(action: Action, found: &Candidate) -> String {
    let silence = Silence {
        holder: &found.holder,
        last_moved: &found.last_moved,
        approved_until: found.approved_until.as_deref(),
        overdue_ms: found.same_boot.then_some(found.overdue_ms),
    };
    silence.reason(action)
}
