//! Whether a bid's history could have happened: from event to event along the transition table, by whoever may, at a
//! time when it may be. For checkers of recorded runs; nothing is asked here, and nothing decided.

use crate::{
    bid::{BidEvent, ClaimId, Epoch},
    chain,
    state::{Action, BidState, Guard, IMPORTED, TRANSITIONS},
};

/// How much is known of the times of events.
#[derive(Clone, Copy)]
pub struct Times<'a> {
    /// The TTL of every claim, in milliseconds.
    pub ttl_ms: i64,
    /// How far a time may be off, in milliseconds: the ledger decides by a clock that its events need not show.
    pub slack_ms: i64,
    /// Whether this event's time is one to judge by; not where its writer's clock was moved.
    pub is_known: &'a dyn Fn(&BidEvent) -> bool,
}

impl std::fmt::Debug for Times<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Times").field("ttl_ms", &self.ttl_ms).field("slack_ms", &self.slack_ms).finish()
    }
}

/// Something that cannot have happened by the law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The invariant of the design that is broken: `S2`, `S4`, `S5` or `S7`.
    pub invariant: &'static str,
    /// The event.
    pub seq: u32,
    /// What is wrong with it.
    pub what: String,
}

/// What one bid's events do that they may not. `counted` is how many events the row counts.
///
/// - S7: the hash chain holds; each event is a rule of the table whose guard held; only a person with a reason resolves.
/// - S2: whoever passes the door holds the claim.
/// - S4: a claim changes hands only where one is made; what only a claimant may do is done by the claimant.
/// - S5: a new claim has a higher epoch, and the same claim keeps its own.
///
/// It does not see what two bids on one posting do to each other.
pub fn breaches(events: &[BidEvent], counted: u32, times: &Times<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut add = |invariant, seq, what| found.push(Breach { invariant, seq, what });
    if let Err(broken) = chain::verify(events, counted) {
        add("S7", broken.seq, broken.to_string());
    }
    let mut row: Option<Row> = None;
    for event in events {
        let Some(before) = row else {
            if !begins(event) {
                add("S7", event.seq, format!("no bid begins as {}", told(event)));
            }
            row = Some(Row::begun(event, times));
            continue;
        };
        if !before.allows(event, times) {
            add("S7", event.seq, format!("{} of a bid that is {}", told(event), before));
        }
        if before.claimant != event.actor && is_claimants(event.action) {
            let invariant = if event.to == BidState::Submitting { "S2" } else { "S4" };
            add(
                invariant,
                event.seq,
                format!("{} by {}, and the claim is {}'s", told(event), event.actor, before.claimant),
            );
        }
        let (claimed, changed) = (makes_claim(event.action), event.claim_id != before.claim);
        if changed && !claimed {
            add("S4", event.seq, format!("the claim changed hands by {}", told(event)));
        }
        if (claimed && event.epoch <= before.epoch) || (!changed && event.epoch != before.epoch) {
            let (epoch, earlier) = (event.epoch.0, before.epoch.0);
            add("S5", event.seq, format!("{} has epoch {epoch} after {earlier}", told(event)));
        }
        if is_resolution(event.action) && !(event.actor.starts_with("operator:") && event.reason.is_some()) {
            add("S7", event.seq, format!("{} without a person or a reason, by {}", told(event), event.actor));
        }
        row = Some(before.after(event, times));
    }
    found
}

/// What the events so far have made of a row.
struct Row {
    state: BidState,
    claim: ClaimId,
    epoch: Epoch,
    claimant: String,
    /// Where it can be told.
    claim_until_ms: Option<i64>,
    approved: bool,
    approved_until_ms: Option<i64>,
    /// What is unknown of it is what the replaced system did.
    imported: bool,
}

impl Row {
    fn begun(event: &BidEvent, times: &Times<'_>) -> Row {
        Row {
            state: event.to,
            claim: event.claim_id,
            epoch: event.epoch,
            claimant: event.actor.clone(),
            claim_until_ms: (times.is_known)(event).then_some(event.at.0 + times.ttl_ms),
            approved: false,
            approved_until_ms: None,
            imported: event.action == Some(Action::Import),
        }
    }

    fn after(self, event: &BidEvent, times: &Times<'_>) -> Row {
        let approval = event.detail.get("approved_until_ms").and_then(serde_json::Value::as_i64);
        let renews = makes_claim(event.action) || event.action == Some(Action::EnterSubmitting);
        Row {
            state: event.to,
            claim: event.claim_id,
            epoch: event.epoch,
            claimant: if makes_claim(event.action) { event.actor.clone() } else { self.claimant },
            claim_until_ms: match renews {
                true => (times.is_known)(event).then_some(event.at.0 + times.ttl_ms),
                false => self.claim_until_ms,
            },
            approved: self.approved || approval.is_some(),
            approved_until_ms: approval.filter(|_| (times.is_known)(event)).or(self.approved_until_ms),
            imported: match event.to {
                BidState::Unknown => event.action == Some(Action::Import),
                _ => self.imported,
            },
        }
    }

    fn allows(&self, event: &BidEvent, times: &Times<'_>) -> bool {
        let now_ms = event.at.0;
        // What can't be told is not held against anybody.
        let before = |until: Option<i64>| {
            !(times.is_known)(event) || until.is_none_or(|until| now_ms < until + times.slack_ms)
        };
        let after = |until: Option<i64>| {
            !(times.is_known)(event) || until.is_none_or(|until| now_ms + times.slack_ms >= until)
        };
        TRANSITIONS.iter().any(|rule| {
            Some(rule.from) == event.from
                && rule.from == self.state
                && Some(rule.action) == event.action
                && rule.to == event.to
                && match rule.guard {
                    Guard::Claim => true,
                    Guard::Live => before(self.claim_until_ms),
                    Guard::Expired => after(self.claim_until_ms),
                    Guard::ApprovalLive => self.approved && before(self.approved_until_ms),
                    Guard::ApprovalExpired => self.approved && after(self.approved_until_ms),
                    Guard::WasApproved => self.approved && !self.imported,
                    Guard::NeverApproved => !self.approved && !self.imported,
                }
        })
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.state)?;
        match self.claim_until_ms {
            Some(until) if self.state.has_running_claim() => write!(f, " with a claim until {until}"),
            _ => Ok(()),
        }
    }
}

fn begins(event: &BidEvent) -> bool {
    match event.action {
        None => event.to == BidState::Claimed,
        Some(action) => action == Action::Import && IMPORTED.contains(&event.to),
    }
}

fn makes_claim(action: Option<Action>) -> bool {
    matches!(action, Some(Action::TakeOver | Action::TakeSending))
}

/// Done by nobody but the one who has the claim.
fn is_claimants(action: Option<Action>) -> bool {
    use Action::*;
    matches!(action, Some(AwaitApproval | EnterSubmitting | Accept | Refuse | LoseAnswer | HandBack))
}

fn is_resolution(action: Option<Action>) -> bool {
    matches!(action, Some(Action::ResolveSubmitted | Action::ResolveNotSubmitted))
}

fn told(event: &BidEvent) -> String {
    let action = event.action.map_or("claim", Action::as_str);
    format!("`{action}` to {} at {}", event.to, event.at.0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::bid::{BidId, WallTime};

    const TIMES: Times<'static> = Times { ttl_ms: 1_000, slack_ms: 10, is_known: &|_| true };

    /// Events of one bid, made in order.
    struct Story(Vec<BidEvent>);

    impl Story {
        fn claimed() -> Story {
            let mut story = Story(Vec::new());
            story.push(0, None, BidState::Claimed, "a");
            story
        }

        fn then(mut self, at_ms: i64, action: Action, to: BidState, actor: &str) -> Story {
            self.push(at_ms, Some(action), to, actor);
            self
        }

        fn push(&mut self, at_ms: i64, action: Option<Action>, to: BidState, actor: &str) {
            let last = self.0.last();
            let claims = action.is_none() || makes_claim(action);
            let mut event = BidEvent {
                bid: BidId(Uuid::nil()),
                seq: last.map_or(1, |last| last.seq + 1),
                at: WallTime(at_ms),
                action,
                from: last.map(|last| last.to),
                to,
                claim_id: match last {
                    Some(last) if !claims => last.claim_id,
                    _ => ClaimId(Uuid::from_u128(self.0.len() as u128)),
                },
                epoch: Epoch(last.map_or(0, |last| last.epoch.0) + i64::from(claims)),
                actor: actor.to_owned(),
                reason: actor.starts_with("operator:").then(|| "looked".to_owned()),
                detail: serde_json::json!({}),
                event_key: None,
                hash: String::new(),
            };
            event.hash = chain::link(last.map_or("", |last| &last.hash), &event);
            self.0.push(event);
        }

        fn broken(&self) -> Vec<&'static str> {
            breaches(&self.0, self.0.len() as u32, &TIMES).iter().map(|breach| breach.invariant).collect()
        }
    }

    use Action::*;
    use BidState as S;

    #[test]
    fn a_lawful_life_has_no_breach() {
        let story = Story::claimed()
            .then(1_005, TakeOver, S::Claimed, "b")
            .then(1_010, EnterSubmitting, S::Submitting, "b")
            .then(2_020, SweepSubmitting, S::Unknown, "sweeper")
            .then(2_500, ResolveNotSubmitted, S::NotSubmitted, "operator:eve")
            .then(2_600, Find, S::Submitted, "reconciler:c");
        assert_eq!(story.broken(), [""; 0]);
    }

    #[test]
    fn each_step_outside_of_the_law_is_a_breach() {
        let early = Story::claimed().then(500, TakeOver, S::Claimed, "b");
        assert_eq!(early.broken(), ["S7"], "a running claim is taken over");
        let late = Story::claimed().then(1_500, EnterSubmitting, S::Submitting, "a");
        assert_eq!(late.broken(), ["S7"], "the door after expiry");
        let back = Story::claimed().then(10, EnterSubmitting, S::Submitting, "a").then(
            1_500,
            SweepSubmitting,
            S::Abandoned,
            "sweeper",
        );
        assert_eq!(back.broken(), ["S7"], "back through the door");
        let stranger = Story::claimed().then(10, EnterSubmitting, S::Submitting, "b");
        assert_eq!(stranger.broken(), ["S2"], "the door of another");
        let record = Story::claimed().then(10, EnterSubmitting, S::Submitting, "a").then(
            20,
            Accept,
            S::Submitted,
            "b",
        );
        assert_eq!(record.broken(), ["S4"], "another's answer");
        let machine = Story::claimed()
            .then(10, EnterSubmitting, S::Submitting, "a")
            .then(20, LoseAnswer, S::Unknown, "a")
            .then(30, ResolveNotSubmitted, S::NotSubmitted, "reconciler:b");
        assert_eq!(machine.broken(), ["S7"], "resolved by nobody");
    }

    #[test]
    fn claims_and_epochs_change_together_and_the_chain_is_looked_at() {
        let mut hands = Story::claimed().then(10, EnterSubmitting, S::Submitting, "a");
        hands.0[1].claim_id = ClaimId(Uuid::from_u128(9));
        hands.0[1].hash = chain::link(&hands.0[0].hash, &hands.0[1]);
        assert_eq!(hands.broken(), ["S4"]);
        let mut epoch = Story::claimed().then(1_500, TakeOver, S::Claimed, "b");
        epoch.0[1].epoch = epoch.0[0].epoch;
        epoch.0[1].hash = chain::link(&epoch.0[0].hash, &epoch.0[1]);
        assert_eq!(epoch.broken(), ["S5"]);
        let mut chain = Story::claimed().then(10, EnterSubmitting, S::Submitting, "a");
        chain.0[0].actor = "a, or so".to_owned();
        assert!(chain.broken().contains(&"S7"));
        let begins = Story(vec![BidEvent { to: S::Abandoned, ..Story::claimed().0[0].clone() }]);
        assert!(begins.broken().contains(&"S7"));
    }

    #[test]
    fn a_row_that_an_import_shut_is_not_handed_back() {
        let sent = || Story::claimed().then(10, EnterSubmitting, S::Submitting, "a");
        let lost = sent().then(20, LoseAnswer, S::Unknown, "a").then(30, HandBack, S::Abandoned, "a");
        assert_eq!(lost.broken(), [""; 0]);
        let imported =
            Story::claimed().then(20, Import, S::Unknown, "import").then(30, HandBack, S::Abandoned, "a");
        assert_eq!(
            imported.broken(),
            ["S7"],
            "what its claimant proves says nothing of the replaced system's"
        );
    }

    #[test]
    fn a_time_that_cannot_be_told_is_held_against_nobody() {
        let story = Story::claimed().then(500, TakeOver, S::Claimed, "b");
        let blind = Times { is_known: &|_| false, ..TIMES };
        assert_eq!(breaches(&story.0, 2, &blind), []);
    }
}
