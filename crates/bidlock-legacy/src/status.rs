//! The words of the replaced system, and what they mean here.

use bidlock_ledger::BidState;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// As what a bid of this status begins here. What may have been sent and is not settled, and every word that is not
/// known, is `unknown`: nobody bids on the posting again, and a person or a look-up settles it.
pub fn state_of(status: &str) -> BidState {
    match status.trim().to_ascii_uppercase().as_str() {
        "SUBMITTED" | "ACTIVE" => BidState::Submitted,
        "WON" => BidState::Won,
        "LOST" => BidState::Lost,
        "REJECTED" => BidState::Rejected,
        "WITHDRAWN" => BidState::Withdrawn,
        _ => BidState::Unknown,
    }
}

/// Of several rows on one posting the strongest speaks: the more the marketplace has of a bid, the stronger. A row
/// that may have been sent is stronger than one that is known to be over.
pub fn strength(state: BidState) -> u8 {
    match state {
        BidState::Won => 5,
        BidState::Submitted => 4,
        BidState::Lost => 3,
        BidState::Withdrawn => 0,
        BidState::Rejected => 1,
        _ => 2,
    }
}

/// Whether a row of this status is a live bid: two of them on one posting are a duplicate. A DUPLICATE says of itself
/// that it is none.
pub fn is_live(status: &str) -> bool {
    let word = status.trim().to_ascii_uppercase();
    word != "DUPLICATE"
        && !matches!(state_of(&word), BidState::Rejected | BidState::Withdrawn | BidState::Lost)
}

/// A state of ours as the replaced system says it. What may have been sent is SUBMITTED there: no instance must think
/// that it could be sent again.
pub(crate) fn word_of(state: BidState) -> &'static str {
    match state {
        BidState::Rejected => "REJECTED",
        BidState::Won => "WON",
        BidState::Lost => "LOST",
        BidState::Withdrawn => "WITHDRAWN",
        BidState::Submitted | BidState::Unknown => "SUBMITTED",
        _ => "PENDING",
    }
}

/// A time of the replaced system in milliseconds since 1970: text with or without an offset (then UTC), seconds or
/// milliseconds. `None` where it is none of these.
pub(crate) fn time_ms(text: &str) -> Option<i64> {
    /// Seconds of the year 5138; a larger number is milliseconds.
    const LATEST_S: f64 = 1e11;
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let ms = if number.abs() < LATEST_S { number * 1_000.0 } else { number };
        #[allow(clippy::cast_possible_truncation, reason = "a float saturates, and no such time is near")]
        return number.is_finite().then_some(ms as i64);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_state_and_none_could_be_sent() {
        for (status, state) in [
            ("SUBMITTED", BidState::Submitted),
            ("active", BidState::Submitted),
            (" Won ", BidState::Won),
            ("LOST", BidState::Lost),
            ("rejected", BidState::Rejected),
            ("WITHDRAWN", BidState::Withdrawn),
            ("PENDING", BidState::Unknown),
            ("APPROVED", BidState::Unknown),
            ("DUPLICATE", BidState::Unknown),
            ("EXPIRED", BidState::Unknown),
            ("", BidState::Unknown),
        ] {
            assert_eq!(state_of(status), state, "{status}");
            assert!(bidlock_ledger::state::IMPORTED.contains(&state), "{status}");
        }
    }

    #[test]
    fn the_order_is_won_submitted_lost_unknown_rejected_withdrawn() {
        let order = ["WON", "ACTIVE", "LOST", "PENDING", "REJECTED", "WITHDRAWN"];
        assert!(order.is_sorted_by_key(|status| u8::MAX - strength(state_of(status))));
    }

    #[test]
    fn times_are_read_in_every_form() {
        for text in [
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05Z",
            "2026-01-02 04:04:05+01",
            "2026-01-02 03:04:05.000+00:00",
            "1767323045",
            "1767323045000",
            "1767323045.0",
        ] {
            assert_eq!(time_ms(text), Some(1_767_323_045_000), "{text}");
        }
        for text in ["", "soon", "nan"] {
            assert_eq!(time_ms(text), None, "{text}");
        }
    }
}
