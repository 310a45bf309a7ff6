//! The server's own conditional commands, where it has them: Redis from 8.4, Valkey from 8.1 and 9.
//!
//! They compare a lock's whole value, and cost the server a fraction of a script. What they don't answer with yes (the
//! lock is another's, has gone, or somebody waits for it) a script looks at again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use redis::{Cmd, Pipeline, Value};

use super::faults::Fault;
use super::link::Link;
use crate::error::ErrorKind;

/// What a server can.
#[derive(Debug, Default)]
pub(super) struct Natives {
    delete: Option<Delete>,
    renew: bool,
    /// The user may not, or the command has another name.
    refused: AtomicBool,
}

/// The command that deletes a key with this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delete {
    /// `DELEX key IFEQ value`, Redis.
    Delex,
    /// `DELIFEQ key value`, Valkey.
    Delifeq,
}

impl Natives {
    /// By the versions that `INFO` names; a Valkey names the Redis that it resembles as well.
    pub(super) fn of(redis: &str, valkey: &str) -> Natives {
        let version = |text: &str| {
            let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
        };
        let (delete, renew) = if valkey.is_empty() {
            let new = version(redis) >= (8, 4);
            (new.then_some(Delete::Delex), new)
        } else {
            ((version(valkey) >= (9, 0)).then_some(Delete::Delifeq), version(valkey) >= (8, 1))
        };
        Natives { delete, renew, refused: AtomicBool::new(false) }
    }

    pub(super) fn can_delete(&self) -> bool {
        self.delete.is_some() && !self.refused.load(Relaxed)
    }

    pub(super) fn can_renew(&self) -> bool {
        self.renew && !self.refused.load(Relaxed)
    }

    /// The command that deletes this key if it has this value.
    pub(super) fn delete(&self, key: &str, value: &str) -> Option<Cmd> {
        let mut cmd = Cmd::new();
        match self.delete? {
            Delete::Delex => cmd.arg("DELEX").arg(key).arg("IFEQ").arg(value),
            Delete::Delifeq => cmd.arg("DELIFEQ").arg(key).arg(value),
        };
        Some(cmd)
    }
}

/// The command that gives this key a full TTL if it has this value.
pub(super) fn renewal(key: &str, value: &str, ttl_ms: u64) -> Cmd {
    let mut cmd = Cmd::new();
    cmd.arg("SET").arg(key).arg(value).arg("IFEQ").arg(value).arg("PX").arg(ttl_ms);
    cmd
}

/// Sends such commands in one go. The answers say for which the value was that one; all no where the server does not
/// want them, and there is nothing to send.
pub(super) async fn send(link: &Link, natives: &Natives, cmds: Vec<Option<Cmd>>) -> Result<Vec<bool>, Fault> {
    let mut pipeline = Pipeline::with_capacity(cmds.len());
    let sent: Vec<bool> = cmds.iter().map(Option::is_some).collect();
    for cmd in cmds.into_iter().flatten() {
        pipeline.add_command(cmd);
    }
    if pipeline.is_empty() {
        return Ok(vec![false; sent.len()]);
    }
    let mut answers = match link.query_all(&pipeline).await {
        Ok(answers) => answers,
        Err(fault) if fault.kind() == ErrorKind::Unavailable => return Err(fault),
        Err(fault) => {
            // For good where it is a matter of rights or names; out of memory passes.
            if matches!(fault.kind(), ErrorKind::Unfit | ErrorKind::Internal) {
                natives.refused.store(true, Relaxed);
            }
            Vec::new()
        }
    }
    .into_iter();
    let yes = |answer: Option<Value>| matches!(answer, Some(Value::Int(1) | Value::Okay));
    Ok(sent.into_iter().map(|sent| sent && yes(answers.next())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_commands() {
        for (redis, valkey, delete, renew) in [
            ("5.0.14", "", None, false),
            ("8.2.3", "", None, false),
            ("8.4.0", "", Some(Delete::Delex), true),
            ("10.0.0", "", Some(Delete::Delex), true),
            ("7.2.4", "8.0.1", None, false),
            ("7.2.4", "8.1.1", None, true),
            ("7.2.4", "9.0.0", Some(Delete::Delifeq), true),
            ("odd", "", None, false),
        ] {
            let natives = Natives::of(redis, valkey);
            assert_eq!((natives.delete, natives.renew), (delete, renew), "{redis} {valkey}");
        }
    }
}
