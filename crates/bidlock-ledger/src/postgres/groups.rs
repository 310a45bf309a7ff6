//! Changes in groups: those that one statement makes, as its arguments.

use bidlock_postgres::Argument;
use uuid::Uuid;

use super::{
    row::{self, array},
    sql,
};
use crate::{
    Change, Move, UnknownCause,
    state::{Rule, rules_for},
};

/// The statements that changes are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Move,
    Allow,
    Accept,
    Find,
    Door,
    /// A door whose sends are counted: alone in its statement.
    CappedDoor,
}

impl Kind {
    fn of(action: &Move) -> Kind {
        match action {
            Move::EnterSubmitting { cap, .. } | Move::TakeSending { cap, .. } => {
                if cap.is_some() {
                    Kind::CappedDoor
                } else {
                    Kind::Door
                }
            }
            Move::ConfirmWithdrawn { .. } | Move::ResolveNotSubmitted { .. } => Kind::Allow,
            Move::Find { .. } => Kind::Find,
            Move::Accept { .. } | Move::ResolveSubmitted { .. } => Kind::Accept,
            _ => Kind::Move,
        }
    }

    pub(super) fn statement(self) -> &'static str {
        match self {
            Kind::Move => &sql::MOVE,
            Kind::Allow => &sql::ALLOW,
            Kind::Accept => &sql::ACCEPT,
            Kind::Find => &sql::FIND,
            Kind::Door | Kind::CappedDoor => &sql::DOOR,
        }
    }
}

/// The change makes the bid the marketplace's, unless another bid on the posting has its name.
pub(super) fn looks_at_names(action: &Move) -> bool {
    matches!(Kind::of(action), Kind::Accept | Kind::Find)
}

/// The arguments of one guarded statement, column by column: `$1` to `$8`, and those of its kind.
pub(super) struct Group<'a> {
    pub(super) kind: Kind,
    pub(super) ordinals: Vec<i64>,
    pub(super) bids: Vec<Uuid>,
    pub(super) from: Vec<&'static str>,
    pub(super) claims: Vec<Uuid>,
    pub(super) guards: Vec<&'static str>,
    pub(super) keys: Vec<Option<&'a str>>,
    pub(super) to: Vec<&'static str>,
    pub(super) reasons: Vec<Option<&'a str>>,
    references: Vec<Option<&'a str>>,
    pub(super) causes: Vec<Option<&'static str>>,
    pub(super) valid_ms: Vec<Option<i64>>,
    allowed: Vec<bool>,
    pub(super) new_claims: Vec<Option<Uuid>>,
    pub(super) holders: Vec<Option<&'a str>>,
    pub(super) instances: Vec<Option<Uuid>>,
    pub(super) ttls_ms: Vec<i64>,
    caps: Vec<Option<i64>>,
    since_ms: Vec<Option<i64>>,
}

impl<'a> Group<'a> {
    pub(super) fn new(kind: Kind) -> Group<'a> {
        Group {
            kind,
            ordinals: Vec::new(),
            bids: Vec::new(),
            from: Vec::new(),
            claims: Vec::new(),
            guards: Vec::new(),
            keys: Vec::new(),
            to: Vec::new(),
            reasons: Vec::new(),
            references: Vec::new(),
            causes: Vec::new(),
            valid_ms: Vec::new(),
            allowed: Vec::new(),
            new_claims: Vec::new(),
            holders: Vec::new(),
            instances: Vec::new(),
            ttls_ms: Vec::new(),
            caps: Vec::new(),
            since_ms: Vec::new(),
        }
    }

    /// `$1` to `$6` of a rule, and where it leads.
    pub(super) fn rule(&mut self, index: usize, (bid, claim): (Uuid, Uuid), rule: &Rule) {
        self.ordinals.push(i64::try_from(index).unwrap_or(i64::MAX));
        self.bids.push(bid);
        self.from.push(rule.from.as_str());
        self.claims.push(claim);
        self.guards.push(row::guard_name(rule.guard));
        self.to.push(rule.to.as_str());
    }

    /// A change under one of its rules.
    fn add(&mut self, index: usize, change: &'a Change, rule: &Rule) {
        self.rule(index, (change.at.bid.0, change.at.claim.0), rule);
        self.keys.push(change.event_key.as_deref());
        self.reasons.push(change.reason.as_deref());
        let (mut cause, mut valid_ms) = (None, None);
        match &change.action {
            Move::EnterSubmitting { ttl, cap } | Move::TakeSending { ttl, cap, .. } => {
                let taker = match &change.action {
                    Move::TakeSending { claimant, .. } => Some(claimant),
                    _ => None,
                };
                self.new_claims.push(taker.map(|_| Uuid::new_v4()));
                self.holders.push(taker.map(|taker| taker.holder.as_str()));
                self.instances.push(taker.and_then(|taker| taker.instance));
                self.ttls_ms.push(row::millis(*ttl));
                self.caps.push(cap.map(|cap| i64::try_from(cap.limit).unwrap_or(i64::MAX)));
                self.since_ms.push(cap.map(|cap| cap.since.0));
            }
            Move::ConfirmWithdrawn { rebid_allowed: allowed }
            | Move::ResolveNotSubmitted { allow_new_bid: allowed } => self.allowed.push(*allowed),
            Move::LoseAnswer { cause: lost } => cause = Some(lost.as_str()),
            Move::Import => cause = Some(UnknownCause::Legacy.as_str()),
            Move::Approve { valid_for } => valid_ms = Some(row::millis(*valid_for)),
            _ => {}
        }
        self.references.push(change.action.external_ref());
        self.causes.push(cause);
        self.valid_ms.push(valid_ms);
    }

    /// `$1` to `$8`.
    pub(super) fn common(&self) -> Vec<Argument<'_>> {
        vec![
            array(&self.ordinals),
            array(&self.bids),
            array(&self.from),
            array(&self.claims),
            array(&self.guards),
            array(&self.keys),
            array(&self.to),
            array(&self.reasons),
        ]
    }

    pub(super) fn arguments(&self) -> Vec<Argument<'_>> {
        let mut arguments = self.common();
        match self.kind {
            Kind::Move => arguments.extend([array(&self.causes), array(&self.valid_ms)]),
            Kind::Allow => arguments.push(array(&self.allowed)),
            Kind::Accept | Kind::Find => arguments.push(array(&self.references)),
            Kind::Door | Kind::CappedDoor => arguments.extend([
                array(&self.new_claims),
                array(&self.holders),
                array(&self.instances),
                array(&self.ttls_ms),
                array(&self.caps),
                array(&self.since_ms),
            ]),
        }
        arguments
    }
}

pub(super) fn group<'a>(changes: &'a [Change], wave: &[usize]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for &index in wave {
        let change = &changes[index];
        let kind = Kind::of(&change.action);
        let mut alone = None;
        for rule in rules_for(change.action.action()) {
            let known = match kind {
                Kind::CappedDoor => alone,
                kind => groups.iter().position(|group| group.kind == kind),
            };
            let at = known.unwrap_or_else(|| {
                groups.push(Group::new(kind));
                groups.len() - 1
            });
            alone = Some(at);
            groups[at].add(index, change, rule);
        }
    }
    groups
}
