//! The scripts: each stands in its `.lua` file, and is called by its digest.

use std::sync::LazyLock;

use redis::{Cmd, Value};

use super::faults::Fault;
use super::link::Link;

/// A script and the digest by which the server knows it.
#[derive(Debug)]
pub(super) struct Lua {
    source: &'static str,
    digest: LazyLock<String>,
}

/// A script of one part or several.
macro_rules! lua {
    ($($part:expr),+) => {
        Lua {
            source: concat!($($part),+),
            digest: LazyLock::new(|| redis::Script::new(concat!($($part),+)).get_hash().to_owned()),
        }
    };
}

static ACQUIRE: Lua = lua!("local in_turn = false\n", include_str!("acquire.lua"));
static ACQUIRE_IN_TURN: Lua =
    lua!("local in_turn = true\n", include_str!("hand_over.lua"), include_str!("acquire.lua"));
pub(super) static BIND_LEDGER: Lua = lua!(include_str!("bind_ledger.lua"));
static ENLIST: Lua =
    lua!("local in_turn = false\n", include_str!("hand_over.lua"), include_str!("enlist.lua"));
static ENLIST_IN_TURN: Lua =
    lua!("local in_turn = true\n", include_str!("hand_over.lua"), include_str!("enlist.lua"));
pub(super) static RELEASE: Lua = lua!(include_str!("hand_over.lua"), include_str!("release.lua"));
pub(super) static RENEW: Lua = lua!(include_str!("renew.lua"));

/// Takes locks; where turns are kept, nobody overtakes who waits.
pub(super) fn acquire(in_turn: bool) -> &'static Lua {
    if in_turn { &ACQUIRE_IN_TURN } else { &ACQUIRE }
}

/// Takes a lock or queues for it; likewise.
pub(super) fn enlist(in_turn: bool) -> &'static Lua {
    if in_turn { &ENLIST_IN_TURN } else { &ENLIST }
}

impl Lua {
    /// A call with so many keys; keys and then arguments are added to it.
    pub(super) fn call(&self, keys: usize) -> Cmd {
        let mut cmd = Cmd::new();
        cmd.arg("EVALSHA").arg(self.digest.as_str()).arg(keys);
        cmd
    }

    /// Runs a call. A server that does not know the script (restarted, or flushed) is sent it with the call.
    pub(super) async fn run(&self, link: &Link, call: Cmd) -> Result<Value, Fault> {
        match link.ask(&call).await {
            Err(error) if error.is_unknown_script() => link.query(&self.with_source(&call)).await,
            answer => answer.map_err(|error| link.fault(error)),
        }
    }

    /// The same call with the script itself in the place of its digest.
    fn with_source(&self, call: &Cmd) -> Cmd {
        let mut cmd = Cmd::new();
        cmd.arg("EVAL").arg(self.source);
        for arg in call.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        }
        cmd
    }
}
