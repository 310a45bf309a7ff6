//! Content keys: an identity for postings of sources that give neither an id nor a URL.

use unicode_normalization::UnicodeNormalization;

/// The version of the key's making; part of every key.
pub const VERSION: u32 = 1;

/// A key over the fields that stay the same between sightings of one posting.
///
/// `content:v1:` and the BLAKE3 hash of the marketplace's name and every field, each with its length
/// before it, so that no two lists of fields run together. Blanks and Unicode forms do not count; case
/// does. Guarantee: the same on every machine and in every process. Not guaranteed: that an edited text
/// keeps its key, or that two postings with the very same text get two.
pub fn key(marketplace: &str, fields: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("bidlock content key v{VERSION}").as_bytes());
    for field in std::iter::once(&marketplace).chain(fields) {
        let words: Vec<String> =
            field.nfc().collect::<String>().split_whitespace().map(str::to_owned).collect();
        let text = words.join(" ");
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    format!("content:v{VERSION}:{}", hasher.finalize().to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_has_one_key_and_fields_do_not_run_together() {
        let one = key("board", &["A title", "Some  text\n"]);
        assert_eq!(one, key("board", &[" A title ", "Some text"]));
        // Fixed for good: a change of this line gives every posting of such sources a new key.
        assert_eq!(
            key("board", &["a", "b"]),
            "content:v1:e2fdc6e74bf79cd12dc5d098a8e2e59ab5da77f2f133e16ff5db77c007c41a39"
        );
        for other in [
            key("board", &["A titleSome", "text"]),
            key("board", &["A title Some text"]),
            key("other", &["A title", "Some text"]),
            key("board", &["a title", "Some text"]),
            key("board", &["A title", "Some text", ""]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(crate::canonical("board", &one).unwrap().posting(), one);
    }
}
