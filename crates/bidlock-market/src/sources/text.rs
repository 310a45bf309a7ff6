//! Text for people: HTML to plain text, entities, and the repair of mojibake. Never used for ids.

use std::borrow::Cow;

use quick_xml::escape::resolve_html5_entity;

/// Longest entity name looked at, `&CounterClockwiseContourIntegral;` being the longest there is.
const MAX_ENTITY_BYTES: usize = 40;
/// Tags that end a line of text.
const BREAKING: &[&str] = &[
    "article",
    "blockquote",
    "br",
    "dd",
    "div",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];
/// Tags whose content is no text.
const HIDDEN: &[&str] = &["script", "style"];

/// Plain text of HTML that may have been escaped twice over, cut at `most` bytes on a character's border.
///
/// Tags go (a `<` that starts no tag stays), entities are decoded, runs of blanks become one, mojibake is
/// repaired where the repair round-trips.
pub(super) fn plain(html: &str, most: usize) -> String {
    // What is kept is a fraction of what is read at worst (tags, blanks), so the input is bounded too.
    let html = cut(html, most.saturating_mul(8));
    let stripped = if html.contains('<') { strip_tags(html) } else { Cow::Borrowed(html) };
    let once = entities(&stripped);
    // Feeds escape twice over: as HTML, and once more for their own text.
    let text = match (&once, once.contains('<') && html.contains("&lt;")) {
        (_, true) => Cow::Owned(entities(&strip_tags(&once)).into_owned()),
        (Cow::Owned(changed), false) if changed.contains('&') => Cow::Owned(entities(changed).into_owned()),
        _ => once,
    };
    let text = repair(&text);
    cut(&squeeze(&text), most).trim_end().to_owned()
}

/// The longest start of `text` of at most `most` bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn strip_tags(html: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    // Once no end is found, there is none further on either: looking again each time would be quadratic.
    let (mut tags_end, mut comments_end) = (true, true);
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        let starts_tag =
            tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        // A comment ends at its own mark: it may hold tags.
        let end = match tag.strip_prefix("<!--") {
            Some(comment) if comments_end => comment.find("-->").map(|end| end + 6),
            None if tags_end => tag.find('>'),
            _ => None,
        };
        match tag.starts_with("<!--") {
            true => comments_end &= end.is_some(),
            false => tags_end &= end.is_some(),
        }
        let (true, Some(end)) = (starts_tag, end) else {
            out.push('<');
            rest = &tag[1..];
            continue;
        };
        let name = tag_name(&tag[1..]);
        if BREAKING.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            out.push('\n');
        }
        rest = &tag[end + 1..];
        if HIDDEN.iter().any(|known| name.eq_ignore_ascii_case(known)) && !tag.starts_with("</") {
            rest = rest.find("</").map_or("", |close| &rest[close..]);
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn tag_name(tag: &str) -> &str {
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    &tag[..tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len())]
}

/// Decodes named and numbered entities once; what is none stays as it is.
pub(super) fn entities(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let name = cut(tail, MAX_ENTITY_BYTES).split_once(';').map(|(name, _)| name);
        match name.and_then(|name| entity(name).map(|decoded| (name, decoded))) {
            Some((name, decoded)) => {
                out.push_str(&decoded);
                rest = &tail[name.len() + 1..];
            }
            None => {
                out.push('&');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What stands for `&name;`.
pub(super) fn entity(name: &str) -> Option<Cow<'static, str>> {
    let Some(number) = name.strip_prefix('#') else { return resolve_html5_entity(name).map(Cow::Borrowed) };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).filter(|c| *c != '\0').map(|c| Cow::Owned(c.to_string()))
}

/// Runs of blanks become one, runs of line ends at most two; other control characters go.
fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut blank, mut lines) = (false, 0);
    for c in text.chars() {
        if c == '\n' {
            lines += 1;
        } else if c.is_whitespace() {
            blank = true;
        } else if !c.is_control() && !matches!(c, '\u{200b}' | '\u{feff}') {
            if !out.is_empty() {
                match lines {
                    0 if blank => out.push(' '),
                    0 => {}
                    1 => out.push('\n'),
                    _ => out.push_str("\n\n"),
                }
            }
            (blank, lines) = (false, 0);
            out.push(c);
        }
    }
    out
}

/// Repairs UTF-8 that was read as Latin-1 or Windows-1252, run by run: only where the characters' bytes are
/// valid UTF-8 again, so text that is fine stays as it is.
pub(super) fn repair(text: &str) -> Cow<'_, str> {
    // Every such sequence starts with one of these.
    if !text.chars().any(|c| ('\u{c2}'..='\u{f4}').contains(&c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut run: Vec<(char, u8)> = Vec::new();
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => run.push((c, byte)),
            None => {
                flush(&mut run, &mut out);
                out.push(c);
            }
        }
    }
    flush(&mut run, &mut out);
    Cow::Owned(out)
}

fn flush(run: &mut Vec<(char, u8)>, out: &mut String) {
    let bytes: Vec<u8> = run.iter().map(|(_, byte)| *byte).collect();
    match std::str::from_utf8(&bytes) {
        Ok(repaired) => out.push_str(repaired),
        Err(_) => out.extend(run.iter().map(|(c, _)| *c)),
    }
    run.clear();
}

/// The byte above ASCII that a wrong reading shows as this character.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0x80..=0xff => u8::try_from(code).ok(),
        0x152..=0x2122 => {
            let mut buffer = [0; 4];
            let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
            match (unmappable, bytes.as_ref()) {
                (false, &[byte]) => Some(byte),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_plain_text() {
        let cases = [
            ("a<br /><br />b &amp; c&nbsp;&nbsp;d", "a\n\nb & c d"),
            ("<p>One</p><p>Two <b>bold</b></p>", "One\n\nTwo bold"),
            ("&lt;p&gt;escaped&lt;/p&gt; twice &amp;amp; over", "escaped\ntwice & over"),
            ("5 < 6 and x > y", "5 < 6 and x > y"),
            ("<script>alert(1)</script>shown<!-- <b>not</b> -->", "shown"),
            ("&#039;quoted&#x27; &unknown; & alone", "'quoted' &unknown; & alone"),
            ("unclosed <b", "unclosed <b"),
        ];
        for (html, text) in cases {
            assert_eq!(plain(html, 1000), text, "{html}");
        }
        assert_eq!(plain("日本語", 7), "日本");
    }

    #[test]
    fn mojibake_is_repaired_only_where_it_round_trips() {
        assert_eq!(repair("youâ\u{80}\u{99}re cafÃ© â€™ 日本 🌟 Â©"), "you’re café ’ 日本 🌟 ©");
        for fine in ["Â", "naïve café", "50 €", "Ünï", "日本"] {
            assert_eq!(repair(fine), fine);
        }
    }
}
