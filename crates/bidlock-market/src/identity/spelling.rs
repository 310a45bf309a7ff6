//! What programs and people put around and into an id on its way: quotes, `="…"`, thousands separators,
//! characters that nobody sees. For marketplaces whose ids have a known form, so that nothing real is lost.

use unicode_normalization::UnicodeNormalization;

/// Marks that spreadsheets, lists and people put before an id: quotes, `="`, a number sign.
const BEFORE: &[char] = &['"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', '=', '#', '<'];
/// Marks that are left behind an id when it is taken out of a list or a sentence.
const BEHIND: &[char] = &['"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', ',', ';', '>'];
/// What separates thousands, somewhere.
const SEPARATORS: &[char] = &[',', '.', '\'', '’', '_', ' ', '\u{a0}', '\u{2009}', '\u{202f}'];
/// Digits in one group of thousands.
const GROUP: usize = 3;

/// The text without marks around it, invisible characters in it, and thousands separators.
pub(super) fn cleaned(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_ignorable(*c)).collect();
    let bare = visible
        .trim_start_matches(|c: char| c.is_whitespace() || BEFORE.contains(&c))
        .trim_end_matches(|c: char| c.is_whitespace() || BEHIND.contains(&c));
    ungrouped(bare).unwrap_or_else(|| bare.to_owned())
}

/// A whole number written in groups of thousands, without what separates them.
fn ungrouped(text: &str) -> Option<String> {
    let separator = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| SEPARATORS.contains(c))?;
    // The fraction that tables write behind whole numbers stays for the rules on floats.
    let (whole, fraction) = match text.rsplit_once('.') {
        Some((whole, zeros)) if separator != '.' && !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => {
            (whole, &text[whole.len()..])
        }
        _ => (text, ""),
    };
    let groups: Vec<&str> = whole.split(separator).collect();
    let digits = |group: &&str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let (first, others) = groups.split_first()?;
    // `31.000` may be 31 with a fraction; two points are none.
    let enough = if separator == '.' { 2 } else { 1 };
    (digits(first)
        && first.len() <= GROUP
        && others.len() >= enough
        && others.iter().all(|group| digits(group) && group.len() == GROUP))
    .then(|| groups.concat() + fraction)
}

/// Whether somewhere in the text stands a number of at least `least` digits: in one run, or as all that
/// the text holds besides marks. Digits of every script and width count.
pub(super) fn holds_digits(text: &str, least: usize) -> bool {
    let (mut run, mut all, mut letters) = (0, 0, false);
    for c in text.nfkc().filter(|c| !is_ignorable(*c)) {
        if c.is_numeric() {
            run += 1;
            all += 1;
            if run >= least {
                return true;
            }
        } else {
            run = 0;
            letters |= c.is_alphabetic();
        }
    }
    !letters && all >= least
}

/// Characters that are drawn as nothing (Unicode's Default_Ignorable_Code_Point).
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_around_and_inside_go_and_nothing_else() {
        for (text, clean) in [
            ("=\"17\"", "17"),
            ("'17", "17"),
            ("“17”,", "17"),
            ("#17;", "17"),
            ("1\u{200b}7\u{ad}\u{feff}", "17"),
            ("31,000,017", "31000017"),
            ("31,000,017.0", "31000017.0"),
            ("31.000.017", "31000017"),
            ("31 000 017", "31000017"),
            ("31\u{202f}000\u{202f}017", "31000017"),
            ("31.000", "31.000"),
            ("3,1000", "3,1000"),
            ("1234,567", "1234,567"),
            ("1,234.567", "1,234.567"),
            ("a,b", "a,b"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cleaned(text), clean, "{text:?}");
        }
    }

    #[test]
    fn a_number_is_seen_in_any_digits() {
        for text in ["job 1234567", "1234-567", "１２３４５６７", "x١٢٣٤٥٦٧", "12345678"] {
            assert!(holds_digits(text, 7), "{text}");
        }
        for text in ["job 123456", "a1234-567", ""] {
            assert!(!holds_digits(text, 7), "{text}");
        }
    }
}
