//! `Modes` from and to the text of `--mode`.

use std::{fmt, str::FromStr, time::Duration};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::{Duplicates, Fault, Keys, Modes, Moment, Rule, Span, When};

/// The most items of one `--mode`; more is a mistake in a script.
const MAX_RULES: usize = 1_000;
/// The longest delay, wait or stale time: a day outlasts any test.
const MAX_SPAN: Duration = Duration::from_secs(24 * 3600);
/// `Retry-After` where none is given.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The state named by a refused withdrawal where none is given.
const DEFAULT_WITHDRAW_STATUS: &str = "won";
/// What would be taken for a separator inside a posting id.
const SEPARATORS: &AsciiSet = &CONTROLS.add(b',').add(b'@').add(b'%').add(b' ');

/// Every mode, for `--help` and for error messages.
pub const MODES_HELP: &str = "\
duplicates=accepted|refused   a second bid on a posting (accepted)
keys=ignored|honoured         a repeated idempotency key: honoured replays the first answer (ignored)
echo-keys=yes|no              look-ups show the idempotency key (yes)
seed=N                        where the drawing of rates starts (0)
reset=WHEN                    the connection is reset after the body was read
500=WHEN  503=WHEN            that status
garbage=WHEN                  200 with an unreadable body
silent=WHEN                   never answers
delay=SPAN | WHEN@SPAN        takes its time, such as 50ms or 50ms..2s
   each of these six also as NAME-before (nothing was accepted) and NAME-after (the bid was accepted)
429=WHEN[@WAIT]               with Retry-After (1s)
307=WHEN                      a redirect; whoever follows it is recorded
400, 401, 402, 403, 404, 410, 422=WHEN   refuses with that status
stale=TIME | WHEN@TIME        look-ups do not show a bid for that long
look-up-500=WHEN              look-ups fail
withdraw-refused=WHEN[@STATE] withdrawals are refused, because the bid is in that state (won)
WHEN: always | a rate from 0 to 1 | first:N | each:N (per posting) | posting:ID (`,`, `@`, `%` as %2C, %40, %25)";

/// One item of `--mode` can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mode `{item}` can't be used: {why}\nmodes, separated by commas:\n{MODES_HELP}")]
pub struct ModesError {
    /// The item as written.
    pub item: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Modes {
    type Err = ModesError;

    fn from_str(text: &str) -> Result<Modes, ModesError> {
        let mut modes = Modes::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            add(&mut modes, item).map_err(|why| ModesError { item: item.to_owned(), why })?;
        }
        Ok(modes)
    }
}

fn add(modes: &mut Modes, item: &str) -> Result<(), String> {
    let (name, value) = item.split_once('=').ok_or("it must be written NAME=VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    match name {
        "duplicates" => {
            modes.duplicates = match value {
                "accepted" | "accept" => Duplicates::Accepted,
                "refused" | "refuse" => Duplicates::Refused,
                _ => return Err("use accepted or refused".to_owned()),
            }
        }
        "keys" => {
            modes.keys = match value {
                "ignored" | "ignore" => Keys::Ignored,
                "honoured" | "honour" | "honored" | "honor" => Keys::Honoured,
                _ => return Err("use ignored or honoured".to_owned()),
            }
        }
        "echo-keys" => {
            modes.hides_keys = match value {
                "yes" => false,
                "no" => true,
                _ => return Err("use yes or no".to_owned()),
            }
        }
        "seed" => modes.seed = value.parse().map_err(|_| "a seed is a whole number".to_owned())?,
        _ if modes.rules.len() >= MAX_RULES => return Err(format!("at most {MAX_RULES} faults are allowed")),
        _ => modes.rules.push(rule(name, value)?),
    }
    Ok(())
}

fn rule(name: &str, value: &str) -> Result<Rule, String> {
    let (when, argument) = match value.split_once('@') {
        Some((when, argument)) => (when, Some(argument)),
        // A bare length of time means "always, this long".
        None if matches!(name, "delay" | "delay-before" | "delay-after" | "stale")
            && self::when(value).is_err() =>
        {
            ("always", Some(value))
        }
        None => (value, None),
    };
    let fault = fault(name, argument)?;
    let takes_argument = matches!(
        fault,
        Fault::Delay(..) | Fault::TooMany { .. } | Fault::StaleLookUp(_) | Fault::WithdrawRefused { .. }
    );
    if argument.is_some() && !takes_argument {
        return Err("nothing can stand behind `@` here".to_owned());
    }
    Ok(Rule { fault, when: self::when(when)? })
}

fn fault(name: &str, argument: Option<&str>) -> Result<Fault, String> {
    let (stem, moment) = match (name.strip_suffix("-before"), name.strip_suffix("-after")) {
        (Some(stem), _) => (stem, Some(Moment::Before)),
        (_, Some(stem)) => (stem, Some(Moment::After)),
        _ => (name, None),
    };
    let at = moment.unwrap_or(Moment::Either);
    let fault = match (stem, moment) {
        ("reset", _) => Fault::Reset(at),
        ("500", _) => Fault::ServerError(at),
        ("503", _) => Fault::Unavailable(at),
        ("garbage", _) => Fault::Garbage(at),
        ("silent", _) => Fault::Silent(at),
        ("delay", _) => Fault::Delay(at, span(argument.ok_or("say how long, such as delay=50ms")?)?),
        ("429", None) => Fault::TooMany { retry_after: argument.map_or(Ok(DEFAULT_RETRY_AFTER), duration)? },
        ("307", None) => Fault::Redirect,
        ("400" | "401" | "402" | "403" | "404" | "410" | "422", None) => {
            Fault::Refuse(stem.parse().map_err(|_| "no such status".to_owned())?)
        }
        ("stale", None) => {
            Fault::StaleLookUp(duration(argument.ok_or("say how long, such as stale=500ms")?)?)
        }
        ("look-up-500", None) => Fault::LookUpError,
        ("withdraw-refused", None) => {
            Fault::WithdrawRefused { status: decoded(argument.unwrap_or(DEFAULT_WITHDRAW_STATUS))? }
        }
        _ => return Err("there is no such mode".to_owned()),
    };
    Ok(fault)
}

fn when(text: &str) -> Result<When, String> {
    let count = |n: &str| n.parse().map_err(|_| format!("`{n}` is no whole number"));
    if text == "always" {
        return Ok(When::Always);
    }
    if let Some(n) = text.strip_prefix("first:") {
        return Ok(When::First(count(n)?));
    }
    if let Some(n) = text.strip_prefix("each:") {
        return Ok(When::Each(count(n)?));
    }
    if let Some(id) = text.strip_prefix("posting:") {
        return Ok(When::Posting(decoded(id)?));
    }
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(When::Rate(rate)),
        _ => Err(format!(
            "`{text}` does not say when: use always, a rate from 0 to 1, first:N, each:N or posting:ID"
        )),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| format!("`{text}` is not UTF-8"))?;
    if decoded.is_empty() {
        return Err("it must not be empty".to_owned());
    }
    Ok(decoded.into_owned())
}

fn span(text: &str) -> Result<Span, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (duration(least)?, duration(most)?);
    if least > most {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok(Span { least, most })
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time; use whole numbers such as 50ms, 2s or 5m");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit_ms).map(Duration::from_millis) {
        Some(duration) if duration <= MAX_SPAN => Ok(duration),
        _ => Err(format!("`{text}` is longer than a day")),
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = vec![
            match self.duplicates {
                Duplicates::Accepted => "duplicates=accepted".to_owned(),
                Duplicates::Refused => "duplicates=refused".to_owned(),
            },
            match self.keys {
                Keys::Ignored => "keys=ignored".to_owned(),
                Keys::Honoured => "keys=honoured".to_owned(),
            },
        ];
        if self.hides_keys {
            items.push("echo-keys=no".to_owned());
        }
        if self.seed != 0 {
            items.push(format!("seed={}", self.seed));
        }
        items.extend(self.rules.iter().map(Rule::to_string));
        f.write_str(&items.join(","))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.fault.name(), self.when)?;
        match &self.fault {
            Fault::Delay(_, span) => write!(f, "@{span}"),
            Fault::TooMany { retry_after: time } | Fault::StaleLookUp(time) => {
                write!(f, "@{}ms", time.as_millis())
            }
            Fault::WithdrawRefused { status } => write!(f, "@{}", utf8_percent_encode(status, SEPARATORS)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Always => f.write_str("always"),
            When::Rate(rate) => write!(f, "{rate}"),
            When::First(n) => write!(f, "first:{n}"),
            When::Each(n) => write!(f, "each:{n}"),
            When::Posting(id) => write!(f, "posting:{}", utf8_percent_encode(id, SEPARATORS)),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least.as_millis(), self.most.as_millis()) {
            (least, most) if least == most => write!(f, "{least}ms"),
            (least, most) => write!(f, "{least}ms..{most}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_mode_is_read_and_written_back() {
        let text = "duplicates=refused,keys=honoured,echo-keys=no,seed=42,reset=0.1,reset-after=always,\
            500-before=first:3,503=each:1,garbage=0.5,silent-after=posting:a%2Cb%40c%25,\
            delay-before=always@50ms..200ms,429=0.25@2000ms,307=always,404=posting:p7,422=1,\
            stale=always@500ms,look-up-500=0.5,withdraw-refused=always@lost";
        let modes: Modes = text.parse().unwrap();
        assert_eq!(modes.to_string(), text);
        assert_eq!(modes.rules[5].when, When::Posting("a,b@c%".to_owned()));
        assert_eq!("".parse::<Modes>().unwrap(), Modes::default());
        assert_eq!(Modes::default().to_string().parse::<Modes>().unwrap(), Modes::default());
    }

    #[test]
    fn a_bare_time_means_always() {
        let modes: Modes = "delay=50ms, stale=2s".parse().unwrap();
        let fifty = Duration::from_millis(50);
        let delay = Fault::Delay(Moment::Either, Span { least: fifty, most: fifty });
        assert_eq!(modes.rules[0], Rule { fault: delay, when: When::Always });
        let stale = Fault::StaleLookUp(Duration::from_secs(2));
        assert_eq!(modes.rules[1], Rule { fault: stale, when: When::Always });
    }

    #[test]
    fn an_error_names_the_item_and_lists_the_modes() {
        for (text, part) in [
            ("reset=0.1,boom=1", "`boom=1` can't be used: there is no such mode"),
            ("reset", "NAME=VALUE"),
            ("reset=1.5", "a rate from 0 to 1"),
            ("reset=-0.1", "a rate from 0 to 1"),
            ("reset=NaN", "a rate from 0 to 1"),
            ("reset=first:x", "no whole number"),
            ("reset=0.1@5s", "behind `@`"),
            ("delay=0.1", "say how long"),
            ("delay=always@5", "50ms, 2s or 5m"),
            ("delay=2s..1s", "ends before it begins"),
            ("delay=99999999999999999999s", "no length of time"),
            ("stale=9999m", "longer than a day"),
            ("404-after=1", "no such mode"),
            ("duplicates=maybe", "accepted or refused"),
            ("404=posting:", "must not be empty"),
            ("seed=x", "whole number"),
        ] {
            let error = text.parse::<Modes>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains("withdraw-refused=WHEN"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_is_stable(text in "[a-z0-9=:@.,%-]{0,40}") {
            if let Ok(modes) = text.parse::<Modes>() {
                prop_assert_eq!(modes.to_string().parse::<Modes>().unwrap(), modes);
            }
        }

        #[test]
        fn any_posting_can_be_named(id in "\\PC{1,20}") {
            let rule = Rule { fault: Fault::Redirect, when: When::Posting(id) };
            let modes = Modes { rules: vec![rule], ..Modes::default() };
            prop_assert_eq!(modes.to_string().parse::<Modes>().unwrap(), modes);
        }
    }
}
