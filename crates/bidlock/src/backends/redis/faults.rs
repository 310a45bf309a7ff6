//! What Redis and the client say when something breaks, put into words that name the cause and the way out.

use redis::RedisError;

use super::NAME;
use crate::error::{Effect, Error, ErrorKind};

/// A fault before it is known which operation it ends; cloned for all callers that shared a round trip.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    kind: ErrorKind,
    pub(super) effect: Effect,
    message: String,
    hint: Option<&'static str>,
    source: Option<RedisError>,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Fault {
        Fault { kind, effect: Effect::NotApplied, message: message.into(), hint: None, source: None }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: &'static str) -> Fault {
        self.hint = Some(hint);
        self
    }

    #[must_use]
    pub(super) fn maybe_applied(mut self) -> Fault {
        self.effect = Effect::Unknown;
        self
    }

    /// While a connection is made nothing has been asked for yet.
    #[must_use]
    pub(super) fn not_applied(mut self) -> Fault {
        self.effect = Effect::NotApplied;
        self
    }

    pub(super) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(super) fn into_error(self, operation: &'static str) -> Error {
        let mut error = Error::new(self.kind, NAME, operation, self.message);
        if let Some(hint) = self.hint {
            error = error.with_hint(hint);
        }
        if let Some(source) = self.source {
            error = error.with_source(source);
        }
        if self.effect == Effect::Unknown { error.maybe_applied() } else { error }
    }
}

/// An answer that no script of ours gives.
pub(super) fn odd_answer(what: &str) -> Fault {
    Fault::new(ErrorKind::Internal, format!("the server's answer to {what} makes no sense")).maybe_applied()
}

/// How a code in the server's answer is to be read. A script's error carries the code of the command inside it, on
/// older servers somewhere in the text.
struct Meaning {
    /// In the answer's code or text.
    sign: &'static str,
    kind: ErrorKind,
    cause: &'static str,
    hint: &'static str,
}

const MEANINGS: &[Meaning] = &[
    Meaning {
        sign: "WRONGPASS",
        kind: ErrorKind::Unfit,
        cause: "refuses the user name or password",
        hint: "set user and password in the URL, or REDIS_PASSWORD, to what the server knows",
    },
    Meaning {
        sign: "NOAUTH",
        kind: ErrorKind::Unfit,
        cause: "wants a password",
        hint: "set REDIS_PASSWORD, or write redis://:PASSWORD@HOST",
    },
    Meaning {
        sign: "AUTH",
        kind: ErrorKind::Unfit,
        cause: "refuses the log-in",
        hint: "a user name is set that the server does not have, or a password that it does not want",
    },
    Meaning {
        sign: "NOPERM",
        kind: ErrorKind::Unfit,
        cause: "does not permit this user what locks need",
        hint: "grant the user the rights listed in docs/backends/redis.md, `ACL SETUSER`",
    },
    // Inside a script, from Redis 7.2 on.
    Meaning {
        sign: "ACL failure in script",
        kind: ErrorKind::Unfit,
        cause: "does not permit this user what locks need",
        hint: "grant the user the rights listed in docs/backends/redis.md, `ACL SETUSER`",
    },
    Meaning {
        sign: "can't run this command",
        kind: ErrorKind::Unfit,
        cause: "does not permit this user what locks need",
        hint: "grant the user the rights listed in docs/backends/redis.md, `ACL SETUSER`",
    },
    Meaning {
        sign: "can't access",
        kind: ErrorKind::Unfit,
        cause: "does not permit this user what locks need",
        hint: "grant the user the rights listed in docs/backends/redis.md, `ACL SETUSER`",
    },
    Meaning {
        sign: "OOM",
        kind: ErrorKind::Poisoned,
        cause: "is out of memory: `maxmemory` is reached, and nothing may be evicted",
        hint: "raise `maxmemory`, or give locks a server of their own",
    },
    Meaning {
        sign: "MISCONF",
        kind: ErrorKind::Poisoned,
        cause: "takes no writes because it can't save to its disk",
        hint: "see the server's log; free its disk, then `BGSAVE`",
    },
    Meaning {
        sign: "READONLY",
        kind: ErrorKind::Unfit,
        cause: "is a read-only replica",
        hint: "name the master: `INFO replication` on the replica says which it is",
    },
    Meaning {
        sign: "LOADING",
        kind: ErrorKind::Busy,
        cause: "is still loading its data",
        hint: "it takes part in a moment",
    },
    Meaning {
        sign: "BUSY",
        kind: ErrorKind::Busy,
        cause: "is busy with somebody's script",
        hint: "`SCRIPT KILL` ends one that runs away",
    },
    Meaning {
        sign: "MASTERDOWN",
        kind: ErrorKind::Unavailable,
        cause: "is a replica that has lost its master",
        hint: "name the master, or bring it back",
    },
    Meaning {
        sign: "NOREPLICAS",
        kind: ErrorKind::Unavailable,
        cause: "has fewer replicas than `min-replicas-to-write` demands",
        hint: "bring a replica back",
    },
    Meaning {
        sign: "CLUSTERDOWN",
        kind: ErrorKind::Unavailable,
        cause: "is part of a cluster that is down",
        hint: "name a single server",
    },
    Meaning {
        sign: "MOVED",
        kind: ErrorKind::Unfit,
        cause: "is part of a cluster",
        hint: "name a single server",
    },
    Meaning {
        sign: "WRONGTYPE",
        kind: ErrorKind::Corrupt,
        cause: "has one of our keys with another type",
        hint: "something else writes keys that begin with `bidlock`: use another database number",
    },
    Meaning {
        sign: "max number of clients",
        kind: ErrorKind::Busy,
        cause: "has as many clients as it may",
        hint: "raise `maxclients`; bidlock uses one connection a process",
    },
    Meaning {
        sign: "DB index is out of range",
        kind: ErrorKind::Invalid,
        cause: "has no database of that number",
        hint: "set REDIS_DB to one that is there; there are 16 by default",
    },
];

/// Puts what the client says into words.
pub(super) fn fault(place: &str, error: RedisError) -> Fault {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let text = error.to_string();
    let is = |meaning: &&Meaning| {
        code == meaning.sign || detail.contains(meaning.sign) || text.contains(meaning.sign)
    };
    if let Some(meaning) = MEANINGS.iter().find(is)
        && !error.is_io_error()
    {
        let fault = Fault::new(meaning.kind, format!("{place} {}", meaning.cause)).hint(meaning.hint);
        // What the server adds to this one explains its protocol to programs, in three lines.
        let source = (meaning.sign != "NOAUTH").then_some(error);
        return Fault { source, ..fault };
    }
    let fault = match error.kind() {
        redis::ErrorKind::Io if text.contains("certificate") => {
            let message = format!("{place} shows a certificate that is not trusted here: {error}");
            Fault::new(ErrorKind::Unfit, message).hint(
                "name the host as its certificate does, and its authority by `?ca_file=PATH` in the URL, or by \
                 SSL_CERT_FILE",
            )
        }
        redis::ErrorKind::Io if error.is_connection_refusal() => {
            Fault::new(ErrorKind::Unavailable, format!("nothing answers at {place}"))
                .hint("is the server up, and are host and port right?")
        }
        redis::ErrorKind::Io if error.is_timeout() => no_answer(place),
        redis::ErrorKind::Io => {
            let message = format!("the connection to {place} broke: {error}");
            Fault::new(ErrorKind::Unavailable, message).maybe_applied()
        }
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
            let message = format!("what answers at {place} does not speak Redis");
            Fault::new(ErrorKind::Unfit, message).hint("is the port right?").maybe_applied()
        }
        redis::ErrorKind::AuthenticationFailed => {
            let message = format!("{place} refuses the log-in");
            Fault::new(ErrorKind::Unfit, message).hint("set user and password in the URL, or REDIS_PASSWORD")
        }
        redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => {
            Fault::new(ErrorKind::Internal, format!("{place} refuses: {error}")).maybe_applied()
        }
        _ => Fault::new(ErrorKind::Internal, format!("the client of {place}: {error}")).maybe_applied(),
    };
    Fault { source: Some(error), ..fault }
}

/// No answer within the time limit.
pub(super) fn no_answer(place: &str) -> Fault {
    Fault::new(ErrorKind::Unavailable, format!("{place} does not answer in time"))
        .hint("it may be paused, overloaded, or cut off from here")
        .maybe_applied()
}
