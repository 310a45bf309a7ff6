//! What an HTTP status proves about a bid. Pure: no I/O, every status from 100 to 599 in one test table.
//!
//! The rule: an answer proves that nothing was accepted only where the contract says so. Every other
//! status, also one that HTTP itself would read as "not processed", leaves the outcome unknown.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::wire::Said;
use crate::marketplace::{Answer, LookUpError, LostCause, WithdrawAnswer};

/// The longest wait that a marketplace can ask for; a longer one is cut to this. A week: whatever is
/// longer is a mistake in the header, and the posting is stale by then.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is left of an HTTP answer when its body has been read: all that the classification needs.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// From `Retry-After`.
    pub(super) after: Option<Duration>,
    /// What the body says, in the words of the contract where it has them.
    pub(super) said: Said,
}

/// A reply to `POST /bids`.
pub(super) fn submission(reply: Reply) -> Answer {
    let Reply { status, after, said } = reply;
    let detail = said.detail(status);
    let code = said.code(status);
    match status {
        200 | 201 => match said.id {
            Ok(external_ref) => Answer::Accepted { external_ref },
            Err(why) => Answer::Lost {
                cause: LostCause::UnreadableAnswer,
                detail: format!("status {status}, but {why}: {detail}"),
            },
        },
        409 => Answer::Duplicate { detail },
        400 | 422 => Answer::Refused { code, detail },
        404 | 410 if said.is_refusal => Answer::Refused { code, detail },
        // What a server says where there is nothing: it must not cost every posting its bid.
        404 | 405 | 410 => Answer::NotHere { detail },
        401..=403 => Answer::Stop { code, detail },
        429 => Answer::TryLater { after, detail },
        _ => Answer::Lost { cause: lost_cause(status), detail },
    }
}

/// A reply to `POST /bids/{id}/withdraw`.
pub(super) fn withdrawal(reply: Reply) -> WithdrawAnswer {
    let Reply { status, after, said } = reply;
    let detail = said.detail(status);
    match status {
        200 | 204 => WithdrawAnswer::Withdrawn,
        404 | 410 => WithdrawAnswer::NotFound { detail },
        400 | 409 | 422 => {
            WithdrawAnswer::Refused { code: said.code(status), detail, status: said.status.clone() }
        }
        // The account may act again after a person has seen to it; until then nothing has changed.
        401 | 402 | 403 | 429 => WithdrawAnswer::TryLater { after, detail },
        405 | 501 => WithdrawAnswer::Unsupported,
        _ => WithdrawAnswer::Lost { cause: lost_cause(status), detail },
    }
}

/// A reply to `GET /bids` that is not 200.
pub(super) fn failed_look_up(via: &str, reply: Reply) -> LookUpError {
    let Reply { status, after, said } = reply;
    let (via, detail) = (via.to_owned(), said.detail(status));
    match status {
        429 => LookUpError::TryLater { via, after, detail },
        _ => LookUpError::Status { via, status, detail },
    }
}

/// The cause by which a status that proves nothing is told.
fn lost_cause(status: u16) -> LostCause {
    match status {
        // Some kind of yes (202: later; 204: without an id), which leaves open what was accepted.
        200..=299 => LostCause::UnreadableAnswer,
        300..=399 => LostCause::Redirect,
        _ => LostCause::ServerError,
    }
}

/// How long `Retry-After` asks to wait: whole seconds, or a date, which is taken relative to the answer's
/// own `Date`, so that no two clocks are compared. `None` where there is no such header or it can't be read.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = http_date(text)?;
    let sent = http_date(headers.get(DATE)?.to_str().ok()?)?;
    // A date that has passed means "now".
    let wait = Duration::try_from(until.duration_since(sent)).unwrap_or(Duration::ZERO);
    Some(wait.min(MAX_RETRY_AFTER))
}

fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, after: None, said: Said::read(body.as_bytes(), None) }
    }

    /// The name of the variant, and of the cause where it has one.
    fn kind(answer: &Answer) -> String {
        match answer {
            Answer::Accepted { .. } => "accepted".to_owned(),
            Answer::Duplicate { .. } => "duplicate".to_owned(),
            Answer::Refused { .. } => "refused".to_owned(),
            Answer::TryLater { .. } => "try later".to_owned(),
            Answer::Stop { .. } => "stop".to_owned(),
            Answer::NotHere { .. } => "not here".to_owned(),
            Answer::NotSent { .. } => "not sent".to_owned(),
            Answer::Lost { cause, .. } => format!("lost {cause:?}"),
        }
    }

    #[test]
    fn every_status_is_what_the_contract_says_and_lost_where_it_says_nothing() {
        for status in 100..=599_u16 {
            let expected = match status {
                200 | 201 => "accepted",
                202..=299 => "lost UnreadableAnswer",
                300..=399 => "lost Redirect",
                400 | 422 => "refused",
                404 | 405 | 410 => "not here",
                401..=403 => "stop",
                409 => "duplicate",
                429 => "try later",
                _ => "lost ServerError",
            };
            let answer = submission(reply(status, r#"{"id":"b1"}"#));
            assert_eq!(kind(&answer), expected, "{status}");
            // Without a readable id, only 200 and 201 differ.
            let expected = if matches!(status, 200 | 201) { "lost UnreadableAnswer" } else { expected };
            for body in ["", "<html>", "{}", r#"{"id":null}"#, r#"{"id":1.5}"#, r#"{"id":" "}"#] {
                assert_eq!(kind(&submission(reply(status, body))), expected, "{status} {body}");
            }
        }
    }

    #[test]
    fn only_these_statuses_prove_that_nothing_was_accepted() {
        let proofs: Vec<u16> = (100..=599)
            .filter(|status| submission(reply(*status, r#"{"id":"b1"}"#)).proves_not_accepted())
            .collect();
        assert_eq!(proofs, [400, 401, 402, 403, 404, 405, 410, 422, 429]);
    }

    #[test]
    fn only_the_contracts_own_words_make_a_404_a_refusal_of_the_posting() {
        // What frameworks and proxies answer at an address that they do not know.
        for body in [
            "<html>404 Not Found</html>",
            r#"{"detail":"Not Found"}"#,
            r#"{"timestamp":"2026-03-01","status":404,"error":"Not Found","path":"/v2/bids"}"#,
            r#"{"statusCode":404,"message":"Cannot POST /bids","error":"Not Found"}"#,
            r#"{"error":{"code":404,"message":"not found"}}"#,
            r#"{"code":404,"message":"no route"}"#,
            r#"{"code":" "}"#,
        ] {
            for status in [404, 410] {
                assert_eq!(kind(&submission(reply(status, body))), "not here", "{status} {body}");
            }
        }
        let own = r#"{"code":"no_such_posting","message":"it is closed"}"#;
        for (status, expected) in [(404, "refused"), (410, "refused"), (405, "not here")] {
            assert_eq!(kind(&submission(reply(status, own))), expected, "{status}");
        }
    }

    #[test]
    fn every_status_of_a_withdrawal_and_of_a_look_up() {
        for status in 100..=599_u16 {
            let answer = withdrawal(reply(status, r#"{"status":"won"}"#));
            let fits = match status {
                200 | 204 => answer == WithdrawAnswer::Withdrawn,
                404 | 410 => matches!(answer, WithdrawAnswer::NotFound { .. }),
                400 | 409 | 422 => {
                    matches!(&answer, WithdrawAnswer::Refused { status, .. } if status.as_deref() == Some("won"))
                }
                401 | 402 | 403 | 429 => matches!(answer, WithdrawAnswer::TryLater { .. }),
                405 | 501 => answer == WithdrawAnswer::Unsupported,
                _ => matches!(answer, WithdrawAnswer::Lost { .. }),
            };
            assert!(fits, "{status}: {answer:?}");
            let error = failed_look_up("http:x", reply(status, ""));
            assert_eq!(matches!(error, LookUpError::TryLater { .. }), status == 429, "{status}");
        }
    }

    #[test]
    fn a_refusal_carries_the_marketplaces_own_code_and_words() {
        let answer = submission(reply(422, r#"{"code":"BUDGET_TOO_LOW","message":"at least 50"}"#));
        let (code, detail) = ("BUDGET_TOO_LOW".to_owned(), "status 422: at least 50".to_owned());
        assert_eq!(answer, Answer::Refused { code, detail });
        let answer = submission(reply(400, "gone\u{7} fishing"));
        let (code, detail) = ("http_400".to_owned(), "status 400: gone fishing".to_owned());
        assert_eq!(answer, Answer::Refused { code, detail });
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (value, date, expected) in [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("99999999999", None, Some(MAX_RETRY_AFTER.as_secs())),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(date), Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(date), Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
            ("-5", None, None),
            ("soon", Some(date), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers).map(|d| d.as_secs()), expected, "{value} {date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
