//! What is wrong with the settings, and the way out.

/// Settings that can't be used. The message names the setting and where it was set; it never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// What is wrong, with the setting and the origin of its value.
    pub message: String,
    /// The way out: what to do next.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error without a way out yet.
    pub fn new(message: impl Into<String>) -> ConfigError {
        ConfigError { message: message.into(), hint: None }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ConfigError {
        self.hint = Some(hint.into());
        self
    }

    /// Names the setting whose value is wrong.
    pub(crate) fn because_of(mut self, name: &str) -> ConfigError {
        self.message = format!("{name}: {}", self.message);
        self
    }
}
