//! Sweeping: what expired is moved on, each row by its guarded `UPDATE` and with a reason.

use bidlock_postgres::{
    Argument, Error, Result, Session, pipelined,
    tokio_postgres::{Row, types::Type},
};
use futures::FutureExt;
use uuid::Uuid;

use super::{
    apply::{BEGIN, MovedRow, first_error},
    events,
    groups::{Group, Kind},
    row::column,
    sql,
};
use crate::{
    Action, Swept, UnknownCause,
    line::{Line, Silence, swept_cause},
    state::{Rule, rules_for},
};

/// What a sweeper does, in this order.
const ACTIONS: [Action; 3] = [Action::SweepSubmitting, Action::SweepClaimed, Action::ExpireApproval];

/// A row that has expired, locked.
struct Candidate {
    rule: &'static Rule,
    id: Uuid,
    claim: Uuid,
    holder: String,
    overdue_ms: i64,
    last_moved: String,
    approved_until: Option<String>,
}

/// Moves at most `limit` expired rows.
pub(super) async fn sweep(session: &Session, limit: u32) -> Result<Swept> {
    let rules: Vec<&'static Rule> = ACTIONS.into_iter().flat_map(rules_for).collect();
    let most = i64::from(limit);
    let states: Vec<&str> = rules.iter().map(|rule| rule.from.as_str()).collect();
    let arguments: Vec<[Argument<'_>; 2]> =
        states.iter().map(|state| [(state as _, Type::TEXT), (&most as _, Type::INT8)]).collect();
    let mut statements = vec![async { session.run(BEGIN).await.map(|()| Vec::new()) }.boxed()];
    statements.extend(arguments.iter().map(|arguments| session.query(&sql::SWEEP, arguments).boxed()));
    let mut answers = first_error(pipelined(statements).await)?.into_iter().skip(1);
    let mut candidates = Vec::new();
    for rule in rules {
        for row in answers.next().unwrap_or_default() {
            candidates.push(candidate(&row, rule)?);
        }
    }
    candidates.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    if candidates.is_empty() {
        session.run("ROLLBACK").await?;
        return Ok(Swept::default());
    }
    move_on(session, &candidates).await
}

fn candidate(row: &Row, rule: &'static Rule) -> Result<Candidate> {
    Ok(Candidate {
        rule,
        id: column(row, 0)?,
        claim: column(row, 1)?,
        holder: column(row, 2)?,
        overdue_ms: column(row, 3)?,
        last_moved: column(row, 4)?,
        approved_until: column(row, 5)?,
    })
}

async fn move_on(session: &Session, candidates: &[Candidate]) -> Result<Swept> {
    let reasons: Vec<String> = candidates.iter().map(reason).collect();
    let mut group = Group::new(Kind::Move);
    for (index, (found, reason)) in candidates.iter().zip(&reasons).enumerate() {
        group.rule(index, (found.id, found.claim), found.rule);
        group.keys.push(None);
        group.reasons.push(Some(reason));
        group.causes.push(swept_cause(found.rule).map(UnknownCause::as_str));
        group.valid_ms.push(None);
    }
    let rows = session.query(&sql::MOVE, &group.arguments()).await?;
    let mut swept = Swept::default();
    let mut lines = Vec::new();
    for row in &rows {
        let MovedRow { ordinal, now_ms, previous, bid, .. } = MovedRow::read(row)?;
        let of =
            usize::try_from(ordinal).ok().and_then(|index| candidates.get(index).zip(reasons.get(index)));
        let (Candidate { rule, holder, .. }, reason) =
            of.ok_or_else(|| Error::unreadable("an ordinal that was not sent"))?;
        let line = Line::swept(rule, holder, reason.clone());
        lines.push(events::event(previous, now_ms, &bid, line));
        match rule.action {
            Action::SweepSubmitting => swept.unknown += 1,
            Action::SweepClaimed => swept.abandoned += 1,
            _ => swept.approvals_expired += 1,
        }
    }
    let (written, committed) = futures::join!(events::insert(session, &lines), session.run("COMMIT"));
    written.and(committed)?;
    Ok(swept)
}

fn reason(found: &Candidate) -> String {
    let silence = Silence {
        holder: &found.holder,
        last_moved: &found.last_moved,
        approved_until: found.approved_until.as_deref(),
        overdue_ms: Some(found.overdue_ms),
    };
    silence.reason(found.rule.action)
}
