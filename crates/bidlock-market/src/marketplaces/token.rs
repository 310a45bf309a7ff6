//! A bearer token: read once, shown never.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

/// The longest token file that is read, in bytes; a longer file is no token.
const MAX_TOKEN_BYTES: u64 = 16 * 1024;

/// What is shown in place of the token.
const HIDDEN: &str = "[token]";
/// A token from this length on is looked for in ids too. Shorter ones can be guessed anyway, and hiding
/// them would make ids of bids unequal that are equal.
const MIN_SECRET_BYTES: usize = 8;

/// A bearer token for a marketplace. `Debug` hides it, and there is no `Display`.
#[derive(Clone)]
pub struct Token {
    text: String,
    header: HeaderValue,
}

impl Token {
    /// Takes the token itself; white space around it is dropped.
    ///
    /// # Errors
    /// It is empty, or can't stand in a header.
    pub fn new(text: &str) -> Result<Token, TokenError> {
        Token::check(text, "the token")
    }

    /// Reads the token from a file that holds nothing else.
    ///
    /// # Errors
    /// The file can't be read, or holds no token.
    pub fn from_file(path: &Path) -> Result<Token, TokenError> {
        let unreadable = |why: String| TokenError::Unreadable { path: path.to_owned(), why };
        let length = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
        if length > MAX_TOKEN_BYTES {
            return Err(unreadable(format!("is {length} bytes long, and a token at most {MAX_TOKEN_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
        Token::check(&text, &format!("the token in {}", path.display()))
    }

    /// Reads the token from an environment variable.
    ///
    /// # Errors
    /// The variable is not set, or holds no token.
    pub fn from_variable(name: &str) -> Result<Token, TokenError> {
        let text = std::env::var(name).map_err(|_| TokenError::NotSet { name: name.to_owned() })?;
        Token::check(&text, &format!("the token in the variable {name}"))
    }

    fn check(text: &str, which: &str) -> Result<Token, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Invalid { which: which.to_owned(), why: "is empty" });
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Invalid {
                which: which.to_owned(),
                why: "holds blanks, line breaks or other characters that a header can't carry",
            });
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| TokenError::Invalid { which: which.to_owned(), why: "can't stand in a header" })?;
        header.set_sensitive(true);
        Ok(Token { text: text.to_owned(), header })
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// `text` without the token, should a marketplace have echoed it; also as JSON writes it.
    pub(super) fn hide_in(&self, text: &str) -> String {
        let hidden = text.replace(&self.text, HIDDEN);
        let escaped = self.text.replace('\\', r"\\").replace('"', "\\\"");
        let slashes = escaped.replace('/', r"\/");
        hidden.replace(&slashes, HIDDEN).replace(&escaped, HIDDEN)
    }

    /// The same for an id or a state, which are compared as well as shown: what is too short to be a
    /// secret stays, since it may stand in an id by chance.
    pub(super) fn hide_in_id(&self, id: &str) -> String {
        if self.text.len() < MIN_SECRET_BYTES { id.to_owned() } else { self.hide_in(id) }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// There is no token to use. Never shows what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read.
    #[error("the token file {} can't be used: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The variable is not set, or is not text.
    #[error("the variable {name} is to hold the marketplace's token, but is not set")]
    NotSet {
        /// The variable.
        name: String,
    },
    /// What was read is no token.
    #[error("{which} {why}")]
    Invalid {
        /// Which token.
        which: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "hunter2\n").unwrap();
        let token = Token::from_file(&path).unwrap();
        assert_eq!(token.header().to_str().unwrap(), "Bearer hunter2");
        assert!(!format!("{token:?} {:?}", token.header()).contains("hunter2"));
        assert_eq!(token.hide_in("bad token hunter2!"), "bad token [token]!");
        assert_eq!(token.hide_in_id("bid-hunter2"), "bid-hunter2");
        let token = Token::new(r#"a/b"c\d+hunter2"#).unwrap();
        assert_eq!(
            token.hide_in(r#"{"x":"a\/b\"c\\d+hunter2"} a/b\"c\\d+hunter2"#),
            r#"{"x":"[token]"} [token]"#
        );
        assert_eq!(token.hide_in_id(r#"bid-a/b"c\d+hunter2"#), "bid-[token]");
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", " \n", "hunter2 hunter2", "hunter2\r\nX-Evil: 1", "hünter2"] {
            let path = dir.path().join("token");
            std::fs::write(&path, text).unwrap();
            let error = Token::from_file(&path).unwrap_err().to_string();
            assert!(error.contains("token") && !error.contains("nter2"), "{error}");
        }
        std::fs::write(dir.path().join("long"), "x".repeat(20_000)).unwrap();
        assert!(Token::from_file(&dir.path().join("long")).is_err());
        assert!(Token::from_file(&dir.path().join("absent")).unwrap_err().to_string().contains("absent"));
        assert!(matches!(Token::from_variable("BIDLOCK_NOT_SET"), Err(TokenError::NotSet { .. })));
    }
}
