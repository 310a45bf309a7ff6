//! [`Outage`]: what is said of an engine that is away. Its beginning, its end, and in between once in a while: a line for
//! each try would bury everything else.

use std::time::Duration;

use bidlock::Moment;

/// How often an outage that lasts is said again.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Since when an engine has been away without a break, and when that was said last.
#[derive(Debug, Default)]
pub struct Outage(Option<(Moment, Moment)>);

impl Outage {
    /// An engine is away. Answers since when, and whether that is to be said now.
    pub fn goes_on(&mut self, now: Moment) -> (Moment, bool) {
        let (since, said) = self.0.unwrap_or((now, now));
        let say = self.0.is_none() || now.since(said) >= SAY_AGAIN_AFTER;
        self.0 = Some((since, if say { now } else { said }));
        (since, say)
    }

    /// Everything answers. Where something did not, since when.
    pub fn ends(&mut self) -> Option<Moment> {
        self.0.take().map(|(since, _)| since)
    }

    /// Something is away.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use bidlock::{Clock, SystemClock};

    use super::*;

    #[test]
    fn an_outage_is_said_when_it_begins_when_it_ends_and_once_a_minute_between() {
        let start = SystemClock.now();
        let at = |seconds| start.later(Duration::from_secs(seconds));
        let mut outage = Outage::default();
        assert_eq!(outage.ends(), None);
        let said: Vec<u64> =
            (0..=130).filter(|second| outage.goes_on(at(*second)) == (start, true)).collect();
        assert_eq!(said, [0, 60, 120]);
        assert!(outage.is_on());
        assert_eq!(outage.ends(), Some(start));
        assert_eq!((outage.is_on(), outage.ends()), (false, None));
        assert_eq!(outage.goes_on(at(131)), (at(131), true), "the next one is another");
    }
}
