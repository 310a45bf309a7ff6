//! The record of what an operator forced.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use crate::backend::Released;
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::sync::locked;

/// How many records a manager keeps; the log has them all, this is for showing the last ones.
pub const MAX_AUDIT_RECORDS: usize = 256;

/// Who asks for something that overrides a holder, and why. Both stand in the audit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    who: String,
    reason: String,
}

impl Actor {
    /// An actor with a reason.
    ///
    /// # Errors
    /// Either is blank: an audit record without them says nothing.
    pub fn new(who: impl Into<String>, reason: impl Into<String>) -> Result<Actor> {
        let (who, reason) = (who.into(), reason.into());
        if who.trim().is_empty() || reason.trim().is_empty() {
            let message = "an actor needs a name and a reason";
            return Err(Error::new(ErrorKind::Invalid, "any", "force_release", message)
                .with_hint("say who asks, and why"));
        }
        Ok(Actor { who, reason })
    }

    /// Who asks.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// One forced release.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// The lock.
    pub key: LockKey,
    /// Who asked, and why.
    pub actor: Actor,
    /// What came of it.
    pub released: Released,
    /// When, by this host's wall clock.
    pub at: SystemTime,
}

/// The last [`MAX_AUDIT_RECORDS`] records, newest last.
#[derive(Debug, Default)]
pub(crate) struct AuditTrail(Mutex<VecDeque<AuditRecord>>);

impl AuditTrail {
    /// Logs the record under the target `bidlock::audit`, and keeps it.
    pub(crate) fn record(&self, backend: &'static str, record: AuditRecord) {
        tracing::warn!(
            target: "bidlock::audit",
            backend,
            key = %record.key,
            who = record.actor.who(),
            reason = record.actor.reason(),
            released = ?record.released,
            "lock released by force"
        );
        let mut records = locked(&self.0);
        if records.len() == MAX_AUDIT_RECORDS {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(crate) fn records(&self) -> Vec<AuditRecord> {
        locked(&self.0).iter().cloned().collect()
    }
}
