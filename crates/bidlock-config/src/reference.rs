//! The file that holds every setting with its default and its meaning.

/// `bidlock.reference.toml`. A test holds it against the table of settings.
pub const REFERENCE: &str = include_str!("../../../bidlock.reference.toml");

/// [`REFERENCE`] with every setting as a comment: a file to start from that changes nothing.
pub fn commented_reference() -> String {
    let is_setting = |line: &str| !line.is_empty() && !line.starts_with(['#', '[']);
    let mut text = String::with_capacity(REFERENCE.len() + 256);
    for line in REFERENCE.lines() {
        if is_setting(line) {
            text.push_str("# ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}
