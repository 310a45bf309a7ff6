//! Bytes to text: byte order marks, declared encodings, and what happens to bytes that are no text.

use std::borrow::Cow;

use encoding_rs::Encoding;

/// How far into a file an encoding declaration is looked for.
const DECLARATION_BYTES: usize = 1024;

/// The text of a file, with a note where it was not plain UTF-8.
///
/// A byte order mark decides, else an XML or HTML declaration, else UTF-8. Bytes that are no text become
/// U+FFFD; an id that holds one is reported as ambiguous.
pub(super) fn to_text(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    let declared =
        Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or_else(|| declared_encoding(bytes));
    let encoding = declared.unwrap_or(encoding_rs::UTF_8);
    let (text, used, lossy) = encoding.decode(bytes);
    let note = match (used == encoding_rs::UTF_8, lossy) {
        (true, false) => None,
        (_, true) => Some(format!("some bytes are not {}; they read as \u{fffd}", used.name())),
        (false, false) => Some(format!("decoded from {}", used.name())),
    };
    (text, note)
}

/// `encoding="…"` of an XML declaration, or `charset=…` of an HTML head.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    if !head.trim_ascii_start().starts_with(b"<") {
        return None;
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, after) = head.split_once("encoding=").or_else(|| head.split_once("charset="))?;
    let label: String = after
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
        .collect();
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_declarations_decide() {
        assert_eq!(to_text(b"\xef\xbb\xbf[1]"), ("[1]".into(), None));
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("[é]".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(to_text(&utf16).0, "[é]");
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>";
        assert!(to_text(latin).0.contains("<a>é</a>"));
        let (text, note) = to_text(b"[\"\xe9\"]");
        assert!(text.contains('\u{fffd}') && note.is_some());
    }
}
