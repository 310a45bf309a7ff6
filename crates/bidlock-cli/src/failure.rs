//! What the user reads when something went wrong: the thing, where its value came from, the way out.

use crate::exit::Exit;

/// An error at the end of a command.
#[derive(Debug)]
pub(crate) struct CliError {
    /// The exit code.
    pub(crate) code: Exit,
    /// What is wrong, with the thing and the origin of its value named.
    pub(crate) message: String,
    /// The way out: what to do next.
    pub(crate) hint: Option<String>,
    /// The reader of stdout has gone: end without a word.
    pub(crate) closed_pipe: bool,
}

impl CliError {
    /// An error with its exit code.
    pub(crate) fn new(code: Exit, message: impl Into<String>) -> CliError {
        CliError { code, message: message.into(), hint: None, closed_pipe: false }
    }

    /// The command line or the configuration can't be used.
    pub(crate) fn usage(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Usage, message)
    }

    /// Ledger, locks or marketplace can't be used now.
    pub(crate) fn unavailable(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Unavailable, message)
    }

    /// Adds the way out.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    /// Names the setting behind the thing that failed.
    pub(crate) fn because_of(mut self, origin: &str) -> CliError {
        self.message = format!("{origin}: {}", self.message);
        self
    }

    /// The reader of stdout has gone (`bidlock bid list | head`).
    pub(crate) fn closed_pipe() -> CliError {
        CliError { code: Exit::Ok, message: "stdout was closed".to_owned(), hint: None, closed_pipe: true }
    }

    /// As one JSON object, for `--json`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": {
                "code": self.code.name(),
                "exit": self.code.code(),
                "message": self.message,
                "hint": self.hint,
            }
        })
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// A stdout or stderr that fails: a closed pipe is no error, a full disk is.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return CliError::closed_pipe();
        }
        CliError::unavailable(format!("cannot write to stdout: {error}"))
            .hint("check what stdout is redirected to")
    }
}

/// Settings that can't be used.
impl From<bidlock_config::ConfigError> for CliError {
    fn from(error: bidlock_config::ConfigError) -> CliError {
        CliError { hint: error.hint, ..CliError::usage(error.message) }
    }
}

/// The text of an error with those underneath it, each once.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    /// Deeper chains say nothing more to a person.
    const MAX_DEPTH: usize = 8;
    let mut text = error.to_string();
    let mut source = error.source();
    for _ in 0..MAX_DEPTH {
        let Some(next) = source else { break };
        let below = next.to_string();
        if !text.contains(&below) {
            text.push_str(": ");
            text.push_str(&below);
        }
        source = next.source();
    }
    text
}
