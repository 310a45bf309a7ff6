//! Text into typed values, with messages that say what is accepted.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::hiding::quoted;

/// Parses `300s`, `24h`, `100ms`, `1h 30m`, `7d`.
///
/// # Errors
/// The text has no unit, is negative, or is no duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    let accepted = "write a number with its unit, such as 100ms, 30s, 5m, 24h or 7d";
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("it is empty; {accepted}"));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) && text != "0" {
        return Err(format!("{} has no unit; {accepted}", quoted(text)));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || format!("{} is not a duration; {accepted}", quoted(text));
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let signed = span
        .to_duration(relative)
        .map_err(|_| format!("{}; months and years have no fixed length", wrong()))?;
    Duration::try_from(signed).map_err(|_| format!("{} is negative; {accepted}", quoted(text)))
}

/// As [`duration`], but a plain number means seconds: what users of the replaced system's variables know.
pub(crate) fn duration_or_seconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<u64>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => duration(text).map_err(|e| format!("{e}, or a plain number of seconds")),
    }
}

/// A duration as a person writes it: `300ms`, `5m`, `1h 30m`.
pub fn show_duration(duration: Duration) -> String {
    /// Nanoseconds and microseconds would only distract.
    const MILLIS_PER_SECOND: u128 = 1_000;
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let (seconds, rest) = (millis / MILLIS_PER_SECOND, millis % MILLIS_PER_SECOND);
    if seconds == 0 {
        return format!("{rest}ms");
    }
    if millis == 86_400 * MILLIS_PER_SECOND {
        return "24h".to_owned();
    }
    let mut parts = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        let of_unit = seconds / length
            % if unit == "d" {
                u128::MAX
            } else if unit == "h" {
                24
            } else {
                60
            };
        if of_unit > 0 {
            parts.push(format!("{of_unit}{unit}"));
        }
    }
    if seconds < 10 && rest > 0 {
        return format!("{}.{}s", seconds, rest / 100);
    }
    parts.truncate(2);
    parts.join(" ")
}

/// A duration in full, so that it reads back as it is: what [`show_duration`] leaves out would be lost.
pub(crate) fn exact_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let (seconds, nanos) = (duration.as_secs(), u64::from(duration.subsec_nanos()));
    let parts = [
        (seconds / 3_600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (nanos / 1_000_000, "ms"),
        (nanos / 1_000 % 1_000, "us"),
        (nanos % 1_000, "ns"),
    ];
    let written = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    written.collect::<Vec<_>>().join(" ")
}

/// The levels of logs, as `log.level` names them; a number from 0 to 5 stands for each as well.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level, or several with what they are for: `info,bidlock=debug`.
///
/// # Errors
/// A part is no level.
pub(crate) fn log_level(text: &str) -> Result<String, String> {
    let is_level = |level: &str| {
        LEVELS.iter().any(|word| word.eq_ignore_ascii_case(level))
            || level.parse::<usize>().is_ok_and(|number| number < LEVELS.len())
    };
    if text.split(',').all(|part| is_level(part.rsplit('=').next().unwrap_or_default().trim())) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not a level; use {}", quoted(text), LEVELS.join(", ")))
}

/// true/1/yes/on or false/0/no/off.
///
/// # Errors
/// The text is none of these.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{} is neither true (1, yes, on) nor false (0, no, off)", quoted(text))),
    }
}

/// A whole number within bounds.
///
/// # Errors
/// The text is no number, or out of bounds.
pub(crate) fn whole(text: &str, least: u64, most: u64) -> Result<u64, String> {
    text.trim()
        .parse::<u64>()
        .ok()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("{} is not a whole number from {least} to {most}", quoted(text)))
}

/// An address to listen at: `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`, or a port alone for this host only.
///
/// # Errors
/// The text is none of these.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        format!(
            "{} is no address to listen at; write 127.0.0.1:9464, or a port alone for this host only",
            quoted(text)
        )
    })
}

/// One of a few words.
///
/// # Errors
/// The text is none of them; names them and the near one.
pub(crate) fn one_of(text: &str, words: &[&'static str]) -> Result<&'static str, String> {
    let asked = text.trim().to_ascii_lowercase();
    words.iter().find(|w| **w == asked).copied().ok_or_else(|| {
        let near = crate::settings::nearest(&asked, words.iter().copied());
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        format!("{} is not one of {}{near}", quoted(text), words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_but_for_the_old_variables() {
        assert_eq!(duration("300s").unwrap(), Duration::from_secs(300));
        assert_eq!(duration("100ms").unwrap(), Duration::from_millis(100));
        assert_eq!(duration("1h 30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(duration("7d").unwrap(), Duration::from_secs(7 * 86_400));
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert_eq!(duration_or_seconds("300").unwrap(), Duration::from_secs(300));
        for bad in ["", "300", "-5s", "soon", "5 parsecs", "1y", "2mo"] {
            let error = duration(bad).unwrap_err();
            assert!(error.contains("such as 100ms"), "{bad}: {error}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        let shown = |ms| show_duration(Duration::from_millis(ms));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(100), "100ms");
        assert_eq!(shown(1_500), "1.5s");
        assert_eq!(shown(300_000), "5m");
        assert_eq!(shown(5_400_000), "1h 30m");
        assert_eq!(shown(86_400_000), "24h");
        assert_eq!(shown(90_061_000), "1d 1h");
        for ms in [100, 1_000, 300_000, 5_400_000] {
            assert_eq!(duration(&shown(ms)).unwrap(), Duration::from_millis(ms));
        }
    }

    #[test]
    fn a_port_alone_is_one_of_this_host() {
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            ("localhost:9464", "127.0.0.1:9464"),
            (" [::1]:0 ", "[::1]:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
        ] {
            assert_eq!(listen_address(text).unwrap(), address.parse().unwrap());
        }
        for bad in ["", "host:9464", "127.0.0.1", "65536", "-1"] {
            assert!(listen_address(bad).unwrap_err().contains("127.0.0.1:9464"), "{bad}");
        }
    }

    #[test]
    fn durations_in_full_read_back() {
        for nanos in [0, 1, 999, 50_000_001, 86_400_000_000_000, 90_061_001_002_003, 31_622_400_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(super::duration(&exact_duration(duration)).unwrap(), duration);
        }
    }
}
