//! What the modes hold for one request: drawn before anything is done, from the request alone.

use std::time::Duration;

use serde_json::json;

use crate::modes::{Fault, Modes, Moment, Occasion, draw};

/// Where a redirect leads: to a path of the sandbox of its own, so that the record shows who followed.
pub(crate) const FOLLOWED_PATH: &str = "/followed/bids";

/// What the client gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// An answer.
    Http { status: u16, body: String, header: Option<(&'static str, String)> },
    /// A TCP reset.
    Reset,
    /// Nothing, for as long as it waits.
    Silent,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Reply {
        Reply::Http { status, body: body.to_string(), header: None }
    }

    pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Reply {
        Reply::json(status, &json!({ "code": code, "message": message }))
    }

    /// The word for it in the record.
    pub(crate) fn word(&self) -> String {
        match self {
            Reply::Http { status, .. } => status.to_string(),
            Reply::Reset => "reset".to_owned(),
            Reply::Silent => "silent".to_owned(),
        }
    }
}

/// A fault that takes the place of the proper answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instead {
    pub(crate) fault: String,
    pub(crate) reply: Reply,
}

/// What the modes hold for one submission.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// To wait between recording the request and deciding about it.
    pub(crate) delay_before: Duration,
    /// Answered without accepting anything.
    pub(crate) before: Option<Instead>,
    /// Answered in place of the proper answer, after accepting.
    pub(crate) after: Option<Instead>,
    /// To wait between deciding and answering.
    pub(crate) delay_after: Duration,
}

impl Plan {
    /// Draws the plan for one submission: of the faults that answer, the first that hits.
    pub(crate) fn draw(modes: &Modes, on: &Occasion<'_>, followed_redirect: bool) -> Plan {
        let mut plan = Plan::default();
        for rule in &modes.rules {
            let name = rule.fault.name();
            if !rule.when.hits(modes.seed, &name, on) {
                continue;
            }
            let (moment, reply) = match &rule.fault {
                Fault::Delay(moment, span) => {
                    let wait = span.on(modes.seed, &name, on);
                    match side(*moment, modes, &name, on) {
                        Moment::After => plan.delay_after += wait,
                        _ => plan.delay_before += wait,
                    }
                    continue;
                }
                // Otherwise whoever follows would run in a circle.
                Fault::Redirect if followed_redirect => continue,
                fault => match instead(fault) {
                    Some(answer) => answer,
                    None => continue,
                },
            };
            if plan.before.is_some() || plan.after.is_some() {
                continue;
            }
            let answer = Instead { fault: name.clone(), reply };
            match side(moment, modes, &name, on) {
                Moment::After => plan.after = Some(answer),
                _ => plan.before = Some(answer),
            }
        }
        plan
    }
}

/// The first rule of a kind that hits, for look-ups and withdrawals.
pub(crate) fn first_hit<'a, T>(
    modes: &'a Modes,
    on: &Occasion<'_>,
    pick: impl Fn(&'a Fault) -> Option<T>,
) -> Option<T> {
    modes.rules.iter().find_map(|rule| {
        let picked = pick(&rule.fault)?;
        rule.when.hits(modes.seed, &rule.fault.name(), on).then_some(picked)
    })
}

fn side(moment: Moment, modes: &Modes, fault: &str, on: &Occasion<'_>) -> Moment {
    match moment {
        Moment::Either if draw(modes.seed, &format!("side of {fault}"), on) < 0.5 => Moment::Before,
        Moment::Either => Moment::After,
        fixed => fixed,
    }
}

/// What a fault answers, and when; `None` for those that concern other requests.
fn instead(fault: &Fault) -> Option<(Moment, Reply)> {
    Some(match fault {
        Fault::Reset(moment) => (*moment, Reply::Reset),
        Fault::Silent(moment) => (*moment, Reply::Silent),
        Fault::ServerError(moment) => {
            (*moment, Reply::refusal(500, "internal_error", "something went wrong"))
        }
        Fault::Unavailable(moment) => (*moment, Reply::refusal(503, "unavailable", "down for maintenance")),
        Fault::Garbage(moment) => {
            (*moment, Reply::Http { status: 200, body: "<html>Thank you!</html>".to_owned(), header: None })
        }
        Fault::TooMany { retry_after } => {
            let seconds = retry_after.as_millis().div_ceil(1_000).to_string();
            let body = json!({ "code": "too_many_requests", "message": "slow down" }).to_string();
            (Moment::Before, Reply::Http { status: 429, body, header: Some(("retry-after", seconds)) })
        }
        Fault::Redirect => {
            let header = Some(("location", FOLLOWED_PATH.to_owned()));
            (Moment::Before, Reply::Http { status: 307, body: String::new(), header })
        }
        Fault::Refuse(status) => {
            let (code, message) = match status {
                400 => ("bad_request", "the bid can't be read"),
                401 => ("unauthorized", "who are you?"),
                402 => ("allowance_empty", "no bids are left"),
                403 => ("forbidden", "the account is limited"),
                404 => ("no_such_posting", "there is no such posting"),
                410 => ("closed", "the posting is closed"),
                _ => ("invalid", "the bid is not acceptable"),
            };
            (Moment::Before, Reply::refusal(*status, code, message))
        }
        Fault::Delay(..) | Fault::StaleLookUp(_) | Fault::LookUpError | Fault::WithdrawRefused { .. } => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(modes: &str, nth: u64) -> Plan {
        let on = Occasion { marketplace: "m", posting: "p", nth, nth_of_posting: nth };
        Plan::draw(&modes.parse().unwrap(), &on, false)
    }

    #[test]
    fn the_first_answering_fault_that_hits_wins_and_delays_add_up() {
        let drawn =
            plan("delay-before=10ms,404=first:1,reset-after=always,delay-before=5ms,delay-after=1ms", 0);
        assert_eq!(drawn.before.unwrap().fault, "404");
        assert_eq!(drawn.after, None);
        assert_eq!((drawn.delay_before.as_millis(), drawn.delay_after.as_millis()), (15, 1));
        let drawn = plan("404=first:1,reset-after=always", 1);
        assert_eq!((drawn.before, drawn.after.unwrap().reply), (None, Reply::Reset));
    }

    #[test]
    fn without_a_side_both_are_drawn() {
        let sides = (0..200).filter(|n| plan("reset=always", *n).before.is_some()).count();
        assert!((60..140).contains(&sides), "{sides}");
    }

    #[test]
    fn a_short_wait_is_rounded_up_to_a_second() {
        let Reply::Http { header, .. } = plan("429=always@1500ms", 0).before.unwrap().reply else { panic!() };
        assert_eq!(header.unwrap().1, "2");
    }
}
