//! What the marketplace knows: its bids, and what it decides. No I/O and no clock of its own.

use std::{collections::HashMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    modes::{Duplicates, Fault, Keys, Modes, Occasion},
    plan::{Instead, Plan, Reply, first_hit},
    record::{AcceptedBid, AnswerLine, Line, SubmissionSeen},
};

/// The most bids that are remembered; the next one is answered with 503. Some gigabytes, and five times
/// the largest soak test.
const MAX_BIDS: usize = 5_000_000;

/// What was decided about a request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) reply: Reply,
    pub(crate) fault: Option<String>,
    pub(crate) accepted: Option<AcceptedBid>,
    pub(crate) replayed: Option<String>,
    pub(crate) duplicate_of: Option<String>,
    pub(crate) withdrawn: Option<String>,
}

impl Decision {
    pub(crate) fn reply(reply: Reply) -> Decision {
        Decision { reply, fault: None, accepted: None, replayed: None, duplicate_of: None, withdrawn: None }
    }

    fn instead(instead: Instead) -> Decision {
        Decision { fault: Some(instead.fault), ..Decision::reply(instead.reply) }
    }

    pub(crate) fn line(&self, seq: u64, at: Timestamp) -> Line {
        Line::Answer(AnswerLine {
            seq,
            at,
            answer: self.reply.word(),
            fault: self.fault.clone(),
            accepted: self.accepted.clone(),
            replayed: self.replayed.clone(),
            duplicate_of: self.duplicate_of.clone(),
            withdrawn: self.withdrawn.clone(),
        })
    }
}

/// The marketplace.
#[derive(Debug, Default)]
pub(crate) struct Market {
    bids: Vec<StoredBid>,
    by_id: HashMap<String, usize>,
    by_key: HashMap<String, usize>,
    postings: HashMap<(String, String), PostingState>,
    requests: u64,
    submissions: u64,
}

#[derive(Debug)]
struct StoredBid {
    bid: AcceptedBid,
    at: Timestamp,
    withdrawn: bool,
}

#[derive(Debug, Default)]
struct PostingState {
    submissions: u64,
    look_ups: u64,
    withdrawals: u64,
    bids: Vec<usize>,
}

impl Market {
    /// Takes up a line of an earlier run.
    pub(crate) fn restore(&mut self, line: Line) {
        match line {
            Line::Start { .. } => {}
            Line::Request(request) => {
                self.requests = self.requests.max(request.seq);
                if let Some(submission) = request.submission {
                    self.arrive(&submission);
                }
            }
            Line::Answer(answer) => {
                if let Some(bid) = answer.accepted {
                    self.store(bid, answer.at);
                }
                if let Some(at) = answer.withdrawn.and_then(|id| self.by_id.get(&id).copied()) {
                    self.bids[at].withdrawn = true;
                }
            }
        }
    }

    /// The number of the next request.
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Submissions so far.
    pub(crate) fn submissions(&self) -> u64 {
        self.submissions
    }

    /// Counts a submission; answers with how many there were before, in all and for its posting.
    pub(crate) fn arrive(&mut self, submission: &SubmissionSeen) -> (u64, u64) {
        let posting = self.postings.entry(key(submission)).or_default();
        let before = (self.submissions, posting.submissions);
        posting.submissions += 1;
        self.submissions += 1;
        before
    }

    /// Decides about a submission that has arrived.
    pub(crate) fn submit(
        &mut self,
        modes: &Modes,
        submission: &SubmissionSeen,
        plan: &Plan,
        now: Timestamp,
    ) -> Decision {
        if let Some(instead) = &plan.before {
            return Decision::instead(instead.clone());
        }
        let decision = self.accept(modes, submission, now);
        match &plan.after {
            // The proper answer is lost, but what was decided stays decided.
            Some(Instead { fault, reply }) => {
                Decision { reply: reply.clone(), fault: Some(fault.clone()), ..decision }
            }
            None => decision,
        }
    }

    fn accept(&mut self, modes: &Modes, submission: &SubmissionSeen, now: Timestamp) -> Decision {
        let first = submission.idempotency_key.as_ref().and_then(|k| self.by_key.get(k).copied());
        if let (Keys::Honoured, Some(first)) = (modes.keys, first) {
            let id = self.bids[first].bid.id.clone();
            return Decision { replayed: Some(id.clone()), ..Decision::reply(accepted(&id)) };
        }
        if modes.duplicates == Duplicates::Refused
            && let Some(live) = self.live(submission)
        {
            let message = "you have a bid on this posting";
            let body = json!({ "code": "duplicate_bid", "message": message, "id": live });
            return Decision {
                duplicate_of: Some(live.to_owned()),
                ..Decision::reply(Reply::json(409, &body))
            };
        }
        if self.bids.len() >= MAX_BIDS {
            return Decision::reply(Reply::refusal(503, "full", "the sandbox remembers no more bids"));
        }
        let bid = AcceptedBid {
            id: format!("sb-{}", self.bids.len() + 1),
            marketplace: submission.marketplace.clone(),
            posting_id: submission.posting_id.clone(),
            idempotency_key: submission.idempotency_key.clone(),
        };
        self.store(bid.clone(), now);
        let reply = accepted(&bid.id);
        Decision { accepted: Some(bid), ..Decision::reply(reply) }
    }

    /// The first bid on the same posting that is not withdrawn.
    fn live(&self, submission: &SubmissionSeen) -> Option<&str> {
        let posting = self.postings.get(&key(submission))?;
        let stored = posting.bids.iter().map(|at| &self.bids[*at]).find(|stored| !stored.withdrawn)?;
        Some(&stored.bid.id)
    }

    fn store(&mut self, bid: AcceptedBid, at: Timestamp) {
        let index = self.bids.len();
        let posting = (bid.marketplace.clone(), bid.posting_id.clone());
        self.postings.entry(posting).or_default().bids.push(index);
        self.by_id.insert(bid.id.clone(), index);
        if let Some(key) = &bid.idempotency_key {
            // The first answer is the one to replay.
            self.by_key.entry(key.clone()).or_insert(index);
        }
        self.bids.push(StoredBid { bid, at, withdrawn: false });
    }

    /// The bids on one posting.
    pub(crate) fn look_up(
        &mut self,
        modes: &Modes,
        marketplace: &str,
        posting: &str,
        now: Timestamp,
    ) -> Decision {
        let empty = json!({ "bids": [] });
        let Some(state) = self.postings.get_mut(&(marketplace.to_owned(), posting.to_owned())) else {
            return Decision::reply(Reply::json(200, &empty));
        };
        let on = Occasion { marketplace, posting, nth: state.look_ups, nth_of_posting: state.look_ups };
        state.look_ups += 1;
        let failing =
            first_hit(modes, &on, |fault| matches!(fault, Fault::LookUpError).then_some(fault.name()));
        if let Some(fault) = failing {
            let reply = Reply::refusal(500, "internal_error", "something went wrong");
            return Decision::instead(Instead { fault, reply });
        }
        let stale = first_hit(modes, &on, |fault| match fault {
            Fault::StaleLookUp(time) => Some(*time),
            _ => None,
        });
        let bids: Vec<Value> = state
            .bids
            .iter()
            .map(|at| &self.bids[*at])
            .filter(|bid| stale.is_none_or(|time| is_visible(bid.at, time, now)))
            .map(|bid| shown(bid, modes.hides_keys))
            .collect();
        Decision::reply(Reply::json(200, &json!({ "bids": bids })))
    }

    /// Withdraws a bid. Doing it again is harmless, and never refused: what is withdrawn stays so.
    pub(crate) fn withdraw(&mut self, modes: &Modes, id: &str) -> Decision {
        let Some(at) = self.by_id.get(id).copied() else {
            return Decision::reply(Reply::refusal(404, "no_such_bid", "there is no such bid"));
        };
        let stored = &mut self.bids[at];
        let (marketplace, posting) = (stored.bid.marketplace.clone(), stored.bid.posting_id.clone());
        let state = self.postings.entry((marketplace.clone(), posting.clone())).or_default();
        let nth = state.withdrawals;
        state.withdrawals += 1;
        let on = Occasion { marketplace: &marketplace, posting: &posting, nth, nth_of_posting: nth };
        let refused = first_hit(modes, &on, |fault| match fault {
            Fault::WithdrawRefused { status } => Some((fault.name(), status)),
            _ => None,
        });
        if let Some((fault, status)) = refused.filter(|_| !stored.withdrawn) {
            let body = json!({ "code": "withdrawal_refused", "message": "too late", "status": status });
            return Decision::instead(Instead { fault, reply: Reply::json(409, &body) });
        }
        let reply = Reply::json(200, &json!({ "id": id, "status": "withdrawn" }));
        let withdrawn = (!stored.withdrawn).then(|| id.to_owned());
        stored.withdrawn = true;
        Decision { withdrawn, ..Decision::reply(reply) }
    }
}

fn key(submission: &SubmissionSeen) -> (String, String) {
    (submission.marketplace.clone(), submission.posting_id.clone())
}

fn accepted(id: &str) -> Reply {
    Reply::json(201, &json!({ "id": id, "status": "active" }))
}

fn is_visible(accepted: Timestamp, stale: Duration, now: Timestamp) -> bool {
    SignedDuration::try_from(stale).is_ok_and(|stale| now.duration_since(accepted) >= stale)
}

fn shown(stored: &StoredBid, hides_key: bool) -> Value {
    let key = if hides_key { None } else { stored.bid.idempotency_key.as_ref() };
    json!({
        "id": stored.bid.id,
        "posting_id": stored.bid.posting_id,
        "idempotency_key": key,
        "status": if stored.withdrawn { "withdrawn" } else { "active" },
        "created_at": stored.at.to_string(),
    })
}
