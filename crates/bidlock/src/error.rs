//! What can break in the lock layer. Contention is an outcome, not an error.

/// The result of a lock operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether an operation that failed may nevertheless have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    NotApplied,
    /// It may have been applied: the answer was lost.
    Unknown,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store can't be reached, or did not answer in time; trying again can help.
    Unavailable,
    /// The store is there, but too much wants it at once; trying again can help.
    Busy,
    /// The store's disk is full or failing.
    Poisoned,
    /// The place is unfit to hold locks (a network file system, a directory, no permission).
    Unfit,
    /// The store is not bidlock's, or damaged.
    Corrupt,
    /// What was asked can't be done: an unknown URL scheme, a TTL below the floor, a clean-up without its `force`.
    Invalid,
    /// The process has forked since the manager was made.
    Forked,
    /// The manager has been shut down.
    ShutDown,
    /// A fault of bidlock itself.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [ErrorKind; 9] = [
        ErrorKind::Unavailable,
        ErrorKind::Busy,
        ErrorKind::Poisoned,
        ErrorKind::Unfit,
        ErrorKind::Corrupt,
        ErrorKind::Invalid,
        ErrorKind::Forked,
        ErrorKind::ShutDown,
        ErrorKind::Internal,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Busy => "busy",
            ErrorKind::Poisoned => "poisoned",
            ErrorKind::Unfit => "unfit",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Forked => "forked",
            ErrorKind::ShutDown => "shut_down",
            ErrorKind::Internal => "internal",
        }
    }
}

/// A fault of the lock layer: what was being done, on which backend, and whether it may have been applied.
#[derive(Debug, thiserror::Error)]
#[error("{operation} ({backend} locks): {message}{}", hint.map(|h| format!(" ({h})")).unwrap_or_default())]
pub struct Error {
    kind: ErrorKind,
    effect: Effect,
    backend: &'static str,
    operation: &'static str,
    message: String,
    hint: Option<&'static str>,
    retried: bool,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A fault that changed nothing.
    pub fn new(
        kind: ErrorKind,
        backend: &'static str,
        operation: &'static str,
        message: impl Into<String>,
    ) -> Error {
        Error {
            kind,
            effect: Effect::NotApplied,
            backend,
            operation,
            message: message.into(),
            hint: None,
            retried: false,
            source: None,
        }
    }

    /// The way out, for a person.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    /// Says that the operation may have been applied.
    #[must_use]
    pub fn maybe_applied(mut self) -> Error {
        self.effect = Effect::Unknown;
        self
    }

    /// Says that a layer has asked as often as it was told to; see [`Error::was_retried`].
    #[must_use]
    pub fn retried(mut self) -> Error {
        self.retried = true;
        self
    }

    /// Adds what else went wrong to the message.
    #[must_use]
    pub(crate) fn also(mut self, what: &str) -> Error {
        self.message.push_str("; ");
        self.message.push_str(what);
        self
    }

    /// The fault underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// What broke, without operation, engine and way out: for callers who name the place themselves.
    pub fn message(&self) -> &str {
        &self.message
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

    /// Which backend: the URL's scheme, such as `sqlite`.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// Which operation: the method's name, such as `try_lock`.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// Whether asking again can help: the error is a passing one, not one that lasts until somebody mends something.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Busy)
    }

    /// Whether a layer below has asked again already, as often as it was told to. Whoever sees this does not ask
    /// again at once, so that layers of retries never multiply; whoever waits for an engine to come back may.
    pub fn was_retried(&self) -> bool {
        self.retried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_the_way_out() {
        let error = Error::new(ErrorKind::Unfit, "sqlite", "connect", "/mnt/x is on a network file system")
            .with_hint("put it on a local disk");
        assert_eq!(
            error.to_string(),
            "connect (sqlite locks): /mnt/x is on a network file system (put it on a local disk)"
        );
        assert_eq!((error.effect(), error.is_retryable()), (Effect::NotApplied, false));
        let error = Error::new(ErrorKind::Unavailable, "sqlite", "try_lock", "gone").maybe_applied();
        assert_eq!((error.effect(), error.is_retryable()), (Effect::Unknown, true));
    }
}
