//! What can break in a ledger. Contention and duplicates are outcomes, not errors.

/// The result of a ledger call.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// Whether an operation that failed may nevertheless have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    NotApplied,
    /// The change may or may not be durable: read again by claim id before anything follows from it.
    Unknown,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The ledger can't be reached or opened now; trying again can help.
    Unavailable,
    /// Another process kept the write lock longer than the patience.
    Busy,
    /// The disk is full or failing: the ledger counts as poisoned, nothing may be sent.
    Poisoned,
    /// The schema is older than this binary: `bidlock migrate up`.
    SchemaBehind,
    /// The schema is newer than this binary: upgrade the binary.
    SchemaNewer,
    /// The place is unfit to hold a ledger (a network file system, a directory, no permission).
    Unfit,
    /// The file is not a ledger, or damaged.
    Corrupt,
    /// What was asked can't be done (an unknown bid, a filter that names nothing).
    Invalid,
    /// A fault of bidlock itself.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [ErrorKind; 9] = [
        ErrorKind::Unavailable,
        ErrorKind::Busy,
        ErrorKind::Poisoned,
        ErrorKind::SchemaBehind,
        ErrorKind::SchemaNewer,
        ErrorKind::Unfit,
        ErrorKind::Corrupt,
        ErrorKind::Invalid,
        ErrorKind::Internal,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Busy => "busy",
            ErrorKind::Poisoned => "poisoned",
            ErrorKind::SchemaBehind => "schema_behind",
            ErrorKind::SchemaNewer => "schema_newer",
            ErrorKind::Unfit => "unfit",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Internal => "internal",
        }
    }
}

/// A ledger fault: what was being done, where, whether it may have been applied.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}{}", hint.map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct LedgerError {
    kind: ErrorKind,
    effect: Effect,
    operation: &'static str,
    message: String,
    hint: Option<&'static str>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LedgerError {
    /// A fault that changed nothing.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> LedgerError {
        LedgerError {
            kind,
            effect: Effect::NotApplied,
            operation,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// The way out, for a person.
    pub fn with_hint(mut self, hint: &'static str) -> LedgerError {
        self.hint = Some(hint);
        self
    }

    /// The change may have been applied.
    pub fn maybe_applied(mut self) -> LedgerError {
        self.effect = Effect::Unknown;
        self
    }

    /// The fault underneath.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LedgerError {
        self.source = Some(source.into());
        self
    }

    /// The way out, where the place that failed knows one; [`Display`](std::fmt::Display) shows it in brackets.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether it may have been applied all the same.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether asking again can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Busy)
    }
}
