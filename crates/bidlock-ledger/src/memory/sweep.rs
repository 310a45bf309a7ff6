//! Sweeping: what expired is moved on, each row with a reason.

use super::{
    clock::StoreTime,
    tables::{Row, Tables},
};
use crate::{
    Action, Swept, WallTime,
    line::{Line, Silence, swept_cause},
    state::Rule,
};

/// What a sweeper does, in this order.
const ACTIONS: [Action; 3] = [Action::SweepSubmitting, Action::SweepClaimed, Action::ExpireApproval];

impl Tables {
    /// Moves at most `limit` expired rows.
    pub(super) fn sweep(&mut self, limit: u32, now: StoreTime) -> Swept {
        let mut swept = Swept::default();
        let mut left = limit as usize;
        for action in ACTIONS {
            for rule in self.law.rules(action) {
                let expired =
                    |(_, row): &(usize, &Row)| row.bid.state == rule.from && row.admits(rule.guard, now);
                let mut places: Vec<usize> =
                    self.rows().iter().enumerate().filter(expired).map(|(at, _)| at).collect();
                places.sort_unstable_by_key(|at| self.row(*at).bid.id);
                places.truncate(left);
                left -= places.len();
                let count = u32::try_from(places.len()).unwrap_or(limit);
                for at in places {
                    move_on(self.row_mut(at), &rule, now);
                }
                match action {
                    Action::SweepSubmitting => swept.unknown += count,
                    Action::SweepClaimed => swept.abandoned += count,
                    _ => swept.approvals_expired += count,
                }
            }
        }
        swept
    }
}

fn move_on(row: &mut Row, rule: &Rule, now: StoreTime) {
    let reason = reason(row, rule.action, now);
    let holder = row.bid.claimant.holder.clone();
    row.bid.state = rule.to;
    row.bid.reason = Some(reason.clone());
    row.bid.unknown_cause = swept_cause(rule).or(row.bid.unknown_cause);
    row.record(now, Line::swept(rule, &holder, reason));
}

fn reason(row: &Row, action: Action, now: StoreTime) -> String {
    let overdue = now.running.saturating_sub(row.claim_until);
    let (last_moved, approved_until) = (shown(row.bid.updated_at), row.bid.approved_until.map(shown));
    let silence = Silence {
        holder: &row.bid.claimant.holder,
        last_moved: &last_moved,
        approved_until: approved_until.as_deref(),
        overdue_ms: i64::try_from(overdue.as_millis()).ok(),
    };
    silence.reason(action)
}

/// A time for people, to the second.
fn shown(at: WallTime) -> String {
    match time::OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000)) {
        Ok(t) => format!("{}T{:02}:{:02}:{:02}Z", t.date(), t.hour(), t.minute(), t.second()),
        Err(_) => format!("{} ms since 1970", at.0),
    }
}
