//! What the marketplace's own record says: every submission that reached it, and what became of it.

use std::collections::HashMap;

use bidlock_ledger::{BidId, PostingId};
use bidlock_sandbox::record::{AnswerLine, Line, RequestLine};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::postings::{PostingNo, Postings};
use crate::fault::FaultKind;

/// A submission that reached the marketplace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// When it had been read, in milliseconds since the run began.
    pub at_ms: i64,
    /// Its number in the record.
    pub seq: u64,
    /// What the client calls the bid.
    pub bid: Option<BidId>,
    /// When it was answered; `None` where the marketplace was stopped before.
    pub answered_ms: Option<i64>,
    /// The fault that its answer was.
    pub fault: Option<FaultKind>,
    /// The marketplace's name for the bid that it accepted.
    pub accepted: Option<String>,
    /// It was not accepted because the marketplace has this bid of ours already: it refused a second one, or knew the key of
    /// the first one and gave its answer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub already: Option<String>,
    /// When the bid that was accepted was withdrawn.
    pub withdrawn_ms: Option<i64>,
    /// The idempotency key with which it came.
    #[serde(skip)]
    pub(super) key: Option<Uuid>,
    /// The port from which it came: that of the way's connection.
    #[serde(skip)]
    pub(super) port: Option<u16>,
    /// It came by following a redirect.
    pub followed_redirect: bool,
    /// The posting's number.
    #[serde(skip)]
    posting: PostingNo,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) sent: Vec<Sent>,
    /// How often each fault of the marketplace struck, look-ups and withdrawals included.
    pub(super) faults: HashMap<FaultKind, u64>,
    by_bid: HashMap<BidId, Vec<usize>>,
    open: HashMap<u64, usize>,
    accepted: HashMap<String, usize>,
    wall_ms: i64,
}

impl Record {
    /// Of a run that began at this time of the wall clock.
    pub(super) fn new(wall_ms: i64) -> Record {
        Record { wall_ms, ..Record::default() }
    }

    pub(super) fn hear(&mut self, line: &Line, postings: &mut Postings) {
        match line {
            Line::Start { .. } => {}
            Line::Request(request) => self.request(request, postings),
            Line::Answer(answer) => self.answer(answer),
        }
    }

    fn request(&mut self, request: &RequestLine, postings: &mut Postings) {
        let Some(seen) = &request.submission else { return };
        let Ok(id) = PostingId::new(&seen.marketplace, &seen.posting_id) else { return };
        let posting = postings.number(&id);
        let bid = seen.bid_id.as_deref().and_then(|bid| bid.parse::<BidId>().ok());
        let index = self.sent.len();
        postings.facts[posting].sent.push(index);
        if let Some(bid) = bid {
            self.by_bid.entry(bid).or_default().push(index);
        }
        self.open.insert(request.seq, index);
        self.sent.push(Sent {
            at_ms: request.at.as_millisecond() - self.wall_ms,
            seq: request.seq,
            bid,
            answered_ms: None,
            fault: None,
            accepted: None,
            already: None,
            withdrawn_ms: None,
            key: seen.idempotency_key.as_deref().and_then(|key| key.parse().ok()),
            port: request.peer.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
            followed_redirect: seen.followed_redirect,
            posting,
        });
    }

    fn answer(&mut self, answer: &AnswerLine) {
        let at_ms = answer.at.as_millisecond() - self.wall_ms;
        let fault = answer.fault.as_deref().and_then(FaultKind::of_sandbox);
        if let Some(fault) = fault {
            *self.faults.entry(fault).or_default() += 1;
        }
        if let Some(withdrawn) = &answer.withdrawn
            && let Some(index) = self.accepted.get(withdrawn)
        {
            self.sent[*index].withdrawn_ms = Some(at_ms);
        }
        let Some(index) = self.open.remove(&answer.seq) else { return };
        let sent = &mut self.sent[index];
        (sent.answered_ms, sent.fault) = (Some(at_ms), fault);
        sent.already = answer.duplicate_of.clone().or_else(|| answer.replayed.clone());
        if let Some(bid) = &answer.accepted {
            sent.accepted = Some(bid.id.clone());
            self.accepted.insert(bid.id.clone(), index);
        }
    }

    /// The requests of a bid, in the order of their arrival.
    pub(super) fn of_bid(&self, bid: BidId) -> impl Iterator<Item = &Sent> {
        self.by_bid.get(&bid).into_iter().flatten().map(|index| &self.sent[*index])
    }

    /// The bid of this name, and its posting.
    pub(super) fn accepted_as(&self, name: &str) -> Option<(&Sent, PostingNo)> {
        self.accepted.get(name).map(|index| (&self.sent[*index], self.sent[*index].posting))
    }
}
