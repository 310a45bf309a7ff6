//! The parts of an amount as it is written: numbers, words, symbols and marks.
//!
//! One separator followed by exactly three digits: a comma, an apostrophe or a blank parts thousands (`1,200`
//! is 1200); a point may do either, so such a number can't be read (`1.200`), unless what stands before it
//! can't be a group of thousands (`0.125`, `1234.567`). JSON numbers are not text: their point is a point.

use super::currencies::is_symbol;

/// One part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Plain decimal text; `None` where it can't be told what number is meant.
    Number(Option<String>),
    Word(&'a str),
    /// A currency's symbol, with the letters before a `$`: `US$`.
    Symbol(&'a str),
    /// Any other character but a blank.
    Mark(char),
}

/// A part, and whether it stands right behind the one before it.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) part: Part<'a>,
    pub(super) glued: bool,
}

/// All parts of a text, in order.
pub(super) fn parts(text: &str) -> Vec<Placed<'_>> {
    let mut found: Vec<Placed<'_>> = Vec::new();
    let mut rest = text;
    let mut glued = false;
    while let Some(c) = rest.chars().next() {
        if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
            glued = false;
            continue;
        }
        let run = |part: &str, of: fn(char) -> bool| part.find(|c| !of(c)).unwrap_or(part.len());
        let (len, part) = if c.is_ascii_digit() {
            let len = number_len(rest);
            // "$.50": a point without a whole number before it, not the point of "Rs.".
            let pointed = glued
                && matches!(found.last(), Some(Placed { part: Part::Mark('.'), .. }))
                && !matches!(found.iter().nth_back(1), Some(Placed { part: Part::Word(_), .. }));
            (len, Part::Number(if pointed { None } else { decimal(&rest[..len]) }))
        } else if c.is_alphabetic() {
            let len = run(rest, char::is_alphabetic);
            let scales = glued
                && matches!(found.last(), Some(Placed { part: Part::Number(_), .. }))
                && matches!(&rest[..len], "k" | "K" | "m" | "M");
            if rest[len..].starts_with('$') && !scales {
                (len + 1, Part::Symbol(&rest[..=len]))
            } else {
                (len, Part::Word(&rest[..len]))
            }
        } else if is_symbol(c) {
            (c.len_utf8(), Part::Symbol(&rest[..c.len_utf8()]))
        } else {
            (c.len_utf8(), Part::Mark(c))
        };
        found.push(Placed { part, glued });
        rest = &rest[len..];
        glued = true;
    }
    found
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// How far the number at the start of a text goes: digits, and separators with digits right behind them. A
/// blank belongs to it only between groups of thousands.
fn number_len(text: &str) -> usize {
    let digits = |at: usize| text[at..].bytes().take_while(u8::is_ascii_digit).count();
    let mut group = digits(0);
    let mut len = group;
    while let Some(separator) = text[len..].chars().next() {
        let joins = matches!(separator, '.' | ',' | '\'' | '’') || is_blank(separator);
        if !joins {
            break;
        }
        let next = digits(len + separator.len_utf8());
        if next == 0 || (is_blank(separator) && (next != 3 || group > 3)) {
            break;
        }
        group = next;
        len += separator.len_utf8() + next;
    }
    len
}

/// A written number as plain decimal text: a point before the decimals, nothing else. `None` where its
/// separators make no number, or may mean two.
fn decimal(written: &str) -> Option<String> {
    let groups: Vec<&str> = written.split(|c: char| !c.is_ascii_digit()).collect();
    let marks: Vec<char> = written.chars().filter(|c| !c.is_ascii_digit()).collect();
    let (Some(last), Some(first)) = (groups.last(), groups.first()) else { return None };
    let Some((mark, before)) = marks.split_last() else { return Some(written.to_owned()) };
    let is_group = |group: &&str, sizes: &[usize]| sizes.contains(&group.len());
    // Two between separators: lakhs and crores.
    let grouped = |groups: &[&str]| {
        let (Some((first, middle)), Some(last)) = (groups.split_first(), groups.last()) else { return false };
        is_group(first, &[1, 2, 3])
            && !first.starts_with('0')
            && is_group(last, &[3])
            && middle.iter().all(|group| is_group(group, &[2, 3]))
    };
    let all_same = before.iter().all(|other| other == mark);
    let may_be_point = matches!(mark, '.' | ',');
    if before.is_empty() && may_be_point {
        if last.len() != 3 || first.len() > 3 || *first == "0" {
            return Some(format!("{first}.{last}"));
        }
        return if *mark == ',' && grouped(&groups) { Some(groups.concat()) } else { None };
    }
    if all_same {
        return if grouped(&groups) { Some(groups.concat()) } else { None };
    }
    let whole = &groups[..groups.len() - 1];
    let one_kind = before.iter().all(|other| before.first() == Some(other));
    let decimals = may_be_point && one_kind && !before.contains(mark) && grouped(whole);
    if decimals { Some(format!("{}.{last}", whole.concat())) } else { None }
}
