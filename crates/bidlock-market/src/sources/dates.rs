//! Dates as feeds write them: RFC 822 with its obsolete zones, RFC 3339, plain dates, epoch numbers, Upwork's
//! "Posted On" form, and words such as "22 minutes ago".

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// Forms without a zone, which count as UTC.
const FORMS: &[&str] = &[
    "%B %d, %Y %H:%M",
    "%b %d, %Y %H:%M",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
];
/// Longest text looked at; the longest date that is read has 60 or so.
const MAX_DATE_BYTES: usize = 120;
/// Epoch numbers from here on are milliseconds: as seconds they would lie after the year 5000.
const EPOCH_MILLIS_FROM: i64 = 100_000_000_000;
/// And from here on microseconds.
const EPOCH_MICROS_FROM: i64 = 100_000_000_000_000;

/// The moment a text names. `now` is what relative words count from.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_DATE_BYTES {
        return None;
    }
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number);
    }
    absolute(text).or_else(|| relative(text, now))
}

/// Seconds, milliseconds or microseconds since 1970, told by their size.
pub(super) fn epoch(number: i64) -> Option<Timestamp> {
    match number {
        // Small numbers are counts or ids, not moments.
        ..1_000_000 => None,
        _ if number < EPOCH_MILLIS_FROM => Timestamp::from_second(number).ok(),
        _ if number < EPOCH_MICROS_FROM => Timestamp::from_millisecond(number).ok(),
        _ => Timestamp::from_microsecond(number).ok(),
    }
}

fn absolute(text: &str) -> Option<Timestamp> {
    static RFC_2822: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if let Ok(timestamp) = RFC_2822.parse_timestamp(text) {
        return Some(timestamp);
    }
    let bare = ["UTC", "GMT", "Z"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text).trim_end();
    let civil = bare.parse::<DateTime>().ok().or_else(|| {
        FORMS.iter().find_map(|form| {
            let broken = jiff::fmt::strtime::parse(form, bare).ok()?;
            broken.to_datetime().or_else(|_| broken.to_date().map(|date| date.at(0, 0, 0, 0))).ok()
        })
    })?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// "Posted 22 minutes ago", "an hour ago", "3d ago", "yesterday", "just now".
fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.to_ascii_lowercase();
    let text = text.trim_start_matches("posted").trim();
    let hours = |hours: i64| now.checked_sub(SignedDuration::from_hours(hours)).ok();
    match text {
        "now" | "just now" | "today" | "moments ago" | "seconds ago" => return Some(now),
        "yesterday" => return hours(24),
        "last week" => return hours(7 * 24),
        "last month" => return hours(30 * 24),
        _ => {}
    }
    let span = text.strip_suffix("ago")?.trim().trim_start_matches("about ").trim_start_matches("over ");
    let split = span.find(|c: char| !c.is_ascii_digit()).unwrap_or(span.len());
    let (count, unit) = match span.split_at(split) {
        ("", words) => (1, words.trim_start_matches("an ").trim_start_matches("a ")),
        (digits, unit) => (digits.parse::<i64>().ok()?, unit.trim_start_matches('+').trim_start()),
    };
    let seconds = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "wk" | "week" | "weeks" => 7 * 86_400,
        "mo" | "month" | "months" => 30 * 86_400,
        "y" | "yr" | "year" | "years" => 365 * 86_400,
        _ => return None,
    };
    now.checked_sub(SignedDuration::from_secs(count.checked_mul(seconds)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_form_is_read() {
        let now: Timestamp = "2024-05-13T12:00:00Z".parse().unwrap();
        let cases = [
            ("Mon, 13 May 2024 09:46:00 +0000", "2024-05-13T09:46:00Z"),
            ("Mon, 13 May 2024 09:46:00 GMT", "2024-05-13T09:46:00Z"),
            ("Mon, 13 May 2024 09:46:00 EST", "2024-05-13T14:46:00Z"),
            ("13 May 24 09:46 PDT", "2024-05-13T16:46:00Z"),
            ("Tue, 13 May 2024 09:46:00 Z", "2024-05-13T09:46:00Z"),
            ("2024-05-13T09:46:00.5Z", "2024-05-13T09:46:00.5Z"),
            ("2024-05-13T11:46:00+02:00", "2024-05-13T09:46:00Z"),
            ("2024-05-13 09:46:00", "2024-05-13T09:46:00Z"),
            ("2024-05-13", "2024-05-13T00:00:00Z"),
            ("May 13, 2024 09:46 UTC", "2024-05-13T09:46:00Z"),
            ("May 13, 2024", "2024-05-13T00:00:00Z"),
            ("1715593560", "2024-05-13T09:46:00Z"),
            ("1715593560000", "2024-05-13T09:46:00Z"),
            ("Posted 22 minutes ago", "2024-05-13T11:38:00Z"),
            ("1 hour ago", "2024-05-13T11:00:00Z"),
            ("an hour ago", "2024-05-13T11:00:00Z"),
            ("3d ago", "2024-05-10T12:00:00Z"),
            ("yesterday", "2024-05-12T12:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, now), Some(expected.parse().unwrap()), "{text}");
        }
        for bad in [
            "",
            "soon",
            "17",
            "ago",
            "99999999999999999999 days ago",
            "9223372036854775807 years ago",
            "32 May 2024",
        ] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }
}
