//! A posting's identity: which marketplace, and the canonical id there.

use serde::{Deserialize, Serialize};

/// The longest marketplace name, in bytes.
pub const MAX_MARKETPLACE_BYTES: usize = 64;
/// The longest canonical posting id, in bytes. Longer ones are shortened by content key before they get here.
pub const MAX_POSTING_BYTES: usize = 512;

/// One posting of one marketplace, by canonical id. Two sightings of one posting have equal `PostingId`s;
/// making them equal is the work of `bidlock_market::identity`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "RawPostingId")]
pub struct PostingId {
    marketplace: String,
    posting: String,
}

impl PostingId {
    /// Checks and keeps the two parts as they are.
    ///
    /// # Errors
    /// Either part is empty, longer than its bound, or holds a control character.
    pub fn new(
        marketplace: impl Into<String>,
        posting: impl Into<String>,
    ) -> Result<PostingId, InvalidPostingId> {
        let (marketplace, posting) = (marketplace.into(), posting.into());
        check("marketplace", &marketplace, MAX_MARKETPLACE_BYTES)?;
        check("posting id", &posting, MAX_POSTING_BYTES)?;
        Ok(PostingId { marketplace, posting })
    }

    /// The marketplace's name, such as `upwork`.
    pub fn marketplace(&self) -> &str {
        &self.marketplace
    }

    /// The canonical posting id within the marketplace.
    pub fn posting(&self) -> &str {
        &self.posting
    }
}

impl std::fmt::Display for PostingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.marketplace, self.posting)
    }
}

#[derive(Deserialize)]
struct RawPostingId {
    marketplace: String,
    posting: String,
}

impl TryFrom<RawPostingId> for PostingId {
    type Error = InvalidPostingId;

    fn try_from(raw: RawPostingId) -> Result<Self, InvalidPostingId> {
        PostingId::new(raw.marketplace, raw.posting)
    }
}

fn check(part: &'static str, text: &str, most: usize) -> Result<(), InvalidPostingId> {
    if text.trim().is_empty() {
        return Err(InvalidPostingId { part, why: "must not be empty".to_owned() });
    }
    if text.len() > most {
        return Err(InvalidPostingId {
            part,
            why: format!("is {} bytes long; at most {most} are allowed", text.len()),
        });
    }
    if let Some(at) = text.chars().position(char::is_control) {
        return Err(InvalidPostingId { part, why: format!("holds a control character at position {at}") });
    }
    Ok(())
}

/// A part of a posting's identity cannot be used; says which and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} {why}")]
pub struct InvalidPostingId {
    /// `marketplace` or `posting id`.
    pub part: &'static str,
    /// What is wrong with it.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_is_given_and_refuses_what_cannot_be_an_id() {
        let id = PostingId::new("upwork", "job:{1}%2F日本").unwrap();
        assert_eq!((id.marketplace(), id.posting()), ("upwork", "job:{1}%2F日本"));
        for (m, p) in [("", "1"), ("upwork", " "), ("upwork", "a\nb"), ("upwork", &"x".repeat(513))] {
            assert!(PostingId::new(m, p).is_err(), "{m:?} {p:?}");
        }
    }
}
