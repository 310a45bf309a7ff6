//! Daily caps: counted from midnight UTC, first here to spare rows, then for certain at the door.

use std::sync::PoisonError;

use bidlock_ledger::{WallTime, store::Cap};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use crate::{outcome::DeferReason, pipeline::Pipeline};

impl Pipeline {
    /// The cap in force for a marketplace.
    pub(crate) fn cap_for(&self, marketplace: &str) -> Option<Cap> {
        let Some(limit) = self.options.caps.for_marketplace(marketplace) else {
            self.tell_uncapped(marketplace);
            return None;
        };
        Some(Cap { limit, since: WallTime(start_of_day(self.wall_now()).as_millisecond()) })
    }

    /// Tells once that a marketplace has no cap while others have: its name may be mistyped there.
    fn tell_uncapped(&self, marketplace: &str) {
        let caps = &self.options.caps;
        if caps.per_day.is_empty() {
            return;
        }
        let mut told = self.uncapped.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(marketplace.to_owned()) {
            let mut capped: Vec<&str> = caps.per_day.keys().map(String::as_str).collect();
            capped.sort_unstable();
            tracing::warn!(
                marketplace,
                capped = capped.join(", "),
                "caps.per_day names other marketplaces alone, and no `default`: bids on this one are not limited"
            );
        }
    }

    pub(crate) fn cap_reason(&self, marketplace: &str) -> DeferReason {
        let now = self.wall_now();
        DeferReason::DailyCap {
            marketplace: marketplace.to_owned(),
            limit: self.options.caps.for_marketplace(marketplace).unwrap_or_default(),
            until: start_of_day(now).checked_add(24.hours()).unwrap_or(now),
        }
    }
}

fn start_of_day(now: Timestamp) -> Timestamp {
    // UTC has no gaps: every day has a midnight.
    now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let at: Timestamp = "2026-03-01T23:59:59Z".parse().unwrap();
        assert_eq!(start_of_day(at), "2026-03-01T00:00:00Z".parse().unwrap());
        assert_eq!(start_of_day(start_of_day(at)), start_of_day(at));
    }
}
