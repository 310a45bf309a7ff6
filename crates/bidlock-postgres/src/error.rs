//! Faults: what broke, where, whether it may have been applied, and the way out.

use std::{error::Error as _, sync::Arc};

use tokio_postgres::error::SqlState;

/// The result of an operation on PostgreSQL.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether an operation that failed may nevertheless have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    NotApplied,
    /// The answer was lost: it may have been applied, or may still be.
    Unknown,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server can't be reached, restarts, or did not answer in time.
    Unavailable,
    /// The server has no connection left, or conflicts with others did not end.
    Busy,
    /// The transaction met another one (a deadlock, a serialization failure) and was undone: run it again.
    Conflict,
    /// The server's disk is full or failing.
    Poisoned,
    /// The place can't be used as it is: credentials, permissions, a standby, a server that is too old, a URL.
    Unfit,
    /// Tables are missing or are not ours.
    Corrupt,
    /// A value that PostgreSQL can't keep.
    Invalid,
    /// A statement failed otherwise: a fault of bidlock's own, or of a changed schema.
    Statement,
}

/// A fault of PostgreSQL. Never holds a password.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    effect: Effect,
    place: Arc<str>,
    message: String,
    hint: Option<&'static str>,
    state: Option<SqlState>,
}

impl Error {
    /// A fault that changed nothing.
    pub fn new(kind: ErrorKind, place: &Arc<str>, message: impl Into<String>) -> Error {
        let place = Arc::clone(place);
        Error { kind, effect: Effect::NotApplied, place, message: message.into(), hint: None, state: None }
    }

    /// What was read makes no sense to this version of bidlock.
    pub fn unreadable(what: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Corrupt, &"a row".into(), what.to_string())
    }

    /// The way out.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    /// Whether it may have been applied.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Error {
        self.effect = effect;
        self
    }

    /// What the driver or the server said. A connection that broke leaves the effect unknown; an error that the
    /// server reports means that the transaction was undone.
    pub(crate) fn of(place: &Arc<str>, error: &tokio_postgres::Error) -> Error {
        let Some(db) = error.as_db_error() else { return Error::of_connection(place, error) };
        let (kind, hint) = meaning(db.code());
        let detail = db.detail().map(|d| format!("; {d}")).unwrap_or_default();
        let mut message = format!("{}{detail} [SQLSTATE {}]", db.message(), db.code().code());
        if *db.code() == SqlState::READ_ONLY_SQL_TRANSACTION {
            message = format!("the server is read-only, as a standby is: {message}");
        }
        // Shutting down, the server may have committed before it said so.
        let effect = match kind {
            ErrorKind::Unavailable => Effect::Unknown,
            _ => Effect::NotApplied,
        };
        let fault = Error::new(kind, place, message).with_effect(effect);
        Error { hint, state: Some(db.code().clone()), ..fault }
    }

    fn of_connection(place: &Arc<str>, error: &tokio_postgres::Error) -> Error {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        if message.contains("peer certificate") {
            let message = format!("the server's certificate is not trusted here: {message}");
            return Error::new(ErrorKind::Unfit, place, message).with_hint(
                "name the host as its certificate does, and the file of its authority by `?sslrootcert=PATH` in the URL",
            );
        }
        Error::new(ErrorKind::Unavailable, place, message)
            .with_effect(Effect::Unknown)
            .with_hint("is PostgreSQL running there, and can it be reached from here?")
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether it may have been applied all the same.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The URL, without its password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What broke, without place and hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The way out, where there is one to name.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// The server's five characters, if it was the server that complained.
    pub fn sql_state(&self) -> Option<&str> {
        self.state.as_ref().map(SqlState::code)
    }

    /// Whether the session that met it is of no further use.
    pub(crate) fn ends_session(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable)
            || self.state.as_ref() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        self.hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for Error {}

/// Kind and way out of a SQLSTATE. By code where one code has a cause of its own, else by class.
fn meaning(code: &SqlState) -> (ErrorKind, Option<&'static str>) {
    use ErrorKind as K;
    let exact = match code.code() {
        // A unique violation too: the other one's row was not in the snapshot, and is in the next.
        "40001" | "40P01" | "23505" => Some((K::Conflict, None)),
        "28P01" | "28000" => {
            Some((K::Unfit, Some("check user and password in the URL, and the server's pg_hba.conf")))
        }
        "3D000" => Some((K::Unfit, Some("create the database, or name another one in the URL"))),
        "42501" => {
            let hint = "grant the user CREATE on the database for the first start, and afterwards USAGE on the \
                        schema `bidlock` with all its tables, again when `bidlock migrate up` has added one";
            Some((K::Unfit, Some(hint)))
        }
        "25006" => {
            let hint = "name the primary; with several hosts in the URL, add target_session_attrs=read-write";
            Some((K::Unfit, Some(hint)))
        }
        "53300" => {
            let hint =
                "raise max_connections, put a pooler such as pgbouncer in front, or start fewer scanners";
            Some((K::Busy, Some(hint)))
        }
        "53100" => Some((K::Poisoned, Some("make room on the server's disk"))),
        "58030" => Some((K::Poisoned, Some("mend the server's disk"))),
        "57014" | "55P03" => {
            Some((K::Busy, Some("another session holds what is needed, or a time limit is set")))
        }
        "57P01" | "57P02" | "57P03" | "57P05" => {
            Some((K::Unavailable, Some("the server restarts or ends sessions; try again")))
        }
        "42P01" | "3F000" => {
            Some((K::Corrupt, Some("`bidlock migrate up` makes the schema; was it deleted meanwhile?")))
        }
        "22021" | "22P05" => Some((K::Invalid, Some("PostgreSQL keeps no NUL characters in texts"))),
        _ => None,
    };
    exact.unwrap_or_else(|| match &code.code()[..2] {
        "08" => (K::Unavailable, None),
        "53" => (K::Busy, Some("the server is out of memory or connections")),
        "58" | "XX" => {
            (K::Poisoned, Some("look into the server's log: its disk or its files may be damaged"))
        }
        _ => (K::Statement, None),
    })
}
