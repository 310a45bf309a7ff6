//! A made-up run, put together piece by piece, and checked as a real one.

use std::path::Path;

use bidlock_ledger::{
    Action, Bid, BidEvent, BidId, BidState, ClaimId, Claimant, Epoch, Payload, PostingId, WallTime,
    bid::LedgerId, chain,
};
use bidlock_sandbox::record::Line;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    checker::{Checked, Finding, Invariant, Verdict, check},
    fault::{FaultKind, Place, Target},
    history::{
        Begun, Entry, Exited, FORMAT, FaultLine, FeedLine, LeaseLine, LeaseStep, LedgerLine, Lines, Outcome,
        ReplyLost, Role, RunFolder, Started, What,
    },
    plan::{Engines, Plan},
};

/// The wall clock at the beginning.
const WALL_MS: i64 = 1_800_000_000_000;
/// The n-th request comes from this port and n.
pub(crate) const PORT: u16 = 40_000;
/// What is [`violated`] in a run that is clean.
pub(crate) const NOTHING: [&str; 0] = [];
/// When everything is over, and when the last scan begins.
pub(crate) const QUIET_MS: u64 = 20_000;
pub(crate) const LAST_SCAN_MS: u64 = 40_000;

/// A run that is being made up.
pub(crate) struct Run {
    pub(crate) engines: Engines,
    twins: bool,
    history: Vec<Entry>,
    feed: Vec<FeedLine>,
    sandbox: Vec<Value>,
    bids: Vec<Row>,
    requests: u64,
    faults: u32,
    /// How the marketplace behaves.
    pub(crate) market: &'static str,
    /// Notes that the history was spared.
    pub(crate) notes_left_out: u64,
    /// The marketplace turns the next request away, because it has this bid.
    pub(crate) turned_away_for: Option<&'static str>,
    /// How long after a request its answer is written.
    pub(crate) answer_ms: i64,
}

/// A bid that is being made up.
pub(crate) struct Row {
    pub(crate) bid: Bid,
    events: Vec<BidEvent>,
}

pub(crate) fn posting(n: u32) -> PostingId {
    PostingId::new("meadow", format!("MD-{n}")).unwrap()
}

impl Run {
    /// Two scanners, one worker, nothing else.
    pub(crate) fn new() -> Run {
        Run::of(false)
    }

    /// The same, and both scanners go by one name.
    pub(crate) fn with_twins() -> Run {
        Run::of(true)
    }

    fn of(twins: bool) -> Run {
        let mut run = Run {
            twins,
            engines: Engines::RedisAndPostgres,
            history: Vec::new(),
            feed: Vec::new(),
            sandbox: Vec::new(),
            bids: Vec::new(),
            requests: 0,
            faults: 0,
            market: "duplicates=accepted",
            notes_left_out: 0,
            turned_away_for: None,
            answer_ms: 10,
        };
        for (holder, role) in
            [("scanner-1.1", Role::Scanner), ("scanner-2.1", Role::Scanner), ("worker-1.1", Role::Worker)]
        {
            run.starts(0, holder, role);
        }
        run
    }

    pub(crate) fn add(&mut self, at_ms: u64, what: What) {
        self.history.push(Entry { at_ms, what });
    }

    pub(crate) fn starts(&mut self, at_ms: u64, holder: &str, role: Role) {
        let process = holder.rsplit_once('.').unwrap().0.to_owned();
        let (holder, binary) = (holder.to_owned(), "bidlock".to_owned());
        let goes_by = self.twins.then(|| "scanner-twin".to_owned()).filter(|_| role == Role::Scanner);
        self.add(at_ms, What::ProcessStarted(Started { process, holder, goes_by, role, pid: 7, binary }));
    }

    /// The answer to the last request of this process is lost on its way.
    pub(crate) fn loses_reply(&mut self, at_ms: u64, process: &str, place: Place, port: u16) {
        self.add(at_ms, What::ReplyLost(ReplyLost { process: process.to_owned(), place, port }));
    }

    pub(crate) fn ends(&mut self, at_ms: u64, holder: &str, code: Option<i32>, signal: Option<i32>) {
        self.add(at_ms, What::ProcessExited(Exited { holder: holder.to_owned(), pid: 7, code, signal }));
    }

    pub(crate) fn fault(&mut self, from_ms: u64, to_ms: u64, fault: FaultKind, target: Target) {
        self.fault_of(0, from_ms, to_ms, fault, target);
    }

    /// A fault of this amount, in its own unit.
    pub(crate) fn fault_of(
        &mut self,
        amount: i64,
        from_ms: u64,
        to_ms: u64,
        fault: FaultKind,
        target: Target,
    ) {
        self.faults += 1;
        let id = self.faults;
        let lasts_ms = to_ms - from_ms;
        let line = FaultLine { id, fault, target, lasts_ms, amount, holder: None };
        self.add(from_ms, What::FaultBegins(line));
        self.add(to_ms, What::FaultEnds { id });
    }

    pub(crate) fn lease(&mut self, at_ms: u64, holder: &str, step: LeaseStep) {
        let (holder, key) = (holder.to_owned(), "bidlock:chaos:counter".to_owned());
        self.add(at_ms, What::Lease(LeaseLine { holder, at_us: at_ms * 1_000, key, step }));
    }

    pub(crate) fn outcome(&mut self, at_ms: u64, posting: &PostingId, outcome: &str) {
        self.add(
            at_ms,
            What::Outcome(Outcome {
                holder: "scanner-1.1".to_owned(),
                event: "outcome".to_owned(),
                marketplace: posting.marketplace().to_owned(),
                posting: posting.posting().to_owned(),
                outcome: outcome.to_owned(),
                bid: None,
                state: None,
                reason: None,
            }),
        );
    }

    /// The feed has the posting, written as itself and as `meadow:…`.
    pub(crate) fn appears(&mut self, n: u32) {
        let posting = posting(n);
        let written = vec![posting.posting().to_owned(), format!("meadow:{}", posting.posting())];
        self.feed.push(FeedLine { at_ms: 0, gone_ms: None, posting, written });
    }

    /// A submission reaches the marketplace, and is answered ten milliseconds later.
    pub(crate) fn request(
        &mut self,
        at_ms: i64,
        posting: &PostingId,
        bid: BidId,
        accepted: Option<&str>,
        fault: Option<&str>,
    ) {
        self.requests += 1;
        let seq = self.requests;
        let at = |ms: i64| jiff::Timestamp::from_millisecond(WALL_MS + ms).unwrap();
        let (marketplace, posting_id) = (posting.marketplace(), posting.posting());
        self.sandbox.push(json!({
            "kind": "request", "seq": seq, "at": at(at_ms), "peer": format!("127.0.0.1:{}", u64::from(PORT) + seq), "method": "POST", "path": "/bids",
            "submission": { "marketplace": marketplace, "posting_id": posting_id, "bid_id": bid.to_string(), "idempotency_key": Uuid::nil() },
        }));
        let mut answer =
            json!({ "kind": "answer", "seq": seq, "at": at(at_ms + self.answer_ms), "answer": "201" });
        if let Some(id) = accepted {
            answer["accepted"] = json!({ "id": id, "marketplace": marketplace, "posting_id": posting_id });
        }
        if let Some(fault) = fault {
            answer["fault"] = json!(fault);
        }
        if let Some(first) = self.turned_away_for.take() {
            answer["duplicate_of"] = json!(first);
        }
        self.sandbox.push(answer);
    }

    /// The marketplace withdraws what it has accepted under this name.
    pub(crate) fn withdraws(&mut self, at_ms: i64, name: &str) {
        self.requests += 1;
        let seq = self.requests;
        let at = jiff::Timestamp::from_millisecond(WALL_MS + at_ms).unwrap();
        let path = format!("/bids/{name}/withdraw");
        self.sandbox.push(json!({
            "kind": "request", "seq": seq, "at": at, "peer": "127.0.0.1:1", "method": "POST", "path": path,
        }));
        self.sandbox.push(json!({
            "kind": "answer", "seq": seq, "at": at, "answer": "200", "withdrawn": name,
        }));
    }

    /// Adds a bid. Oldest first.
    pub(crate) fn row(&mut self, row: Row) {
        self.bids.push(row);
    }

    /// A posting that appears, is bid on by scanner-1 without any trouble, and is accepted under this name.
    pub(crate) fn plain(&mut self, n: u32, at_ms: i64) {
        self.appears(n);
        let row = Row::claimed(n, 1, at_ms, "scanner-1.1").door(at_ms + 10, "scanner-1.1");
        let name = format!("b{n}");
        self.request(at_ms + 20, &row.bid.posting.clone(), row.bid.id, Some(&name), None);
        self.row(row.accept(at_ms + 40, "scanner-1.1", &name));
    }

    /// Writes the files, checks them, and answers with what was found of everything.
    pub(crate) fn check(mut self) -> Checked {
        self.add(QUIET_MS, What::QuietBegins);
        self.add(LAST_SCAN_MS, What::LastScanBegins);
        self.add(LAST_SCAN_MS + 1_000, What::Ended { notes_left_out: self.notes_left_out });
        self.history.sort_by_key(|entry| entry.at_ms);
        let folder = TempDir::new().unwrap();
        self.write(folder.path());
        check(&RunFolder::at(folder.path())).unwrap()
    }

    fn write(&self, folder: &Path) {
        let files = RunFolder::at(folder);
        let begun = Entry { at_ms: 0, what: What::Begun(Box::new(self.begun())) };
        fill(&files.history(), std::iter::once(&begun).chain(&self.history));
        fill(&files.feed(), &self.feed);
        for line in &self.sandbox {
            serde_json::from_value::<Line>(line.clone()).unwrap();
        }
        fill(&files.sandbox(), &self.sandbox);
        let mut lines = vec![LedgerLine::Ledger { id: LedgerId(Uuid::nil()) }];
        for row in &self.bids {
            lines.push(LedgerLine::Bid(Box::new(row.bid.clone())));
            lines.extend(row.events.iter().map(|event| LedgerLine::Event(Box::new(event.clone()))));
        }
        fill(&files.ledger(), &lines);
    }

    fn begun(&self) -> Begun {
        Begun {
            format: FORMAT,
            plan: Plan {
                seed: 7,
                engines: self.engines,
                runs_ms: QUIET_MS,
                postings: 10,
                scanners: 2,
                workers: 1,
                ttl_ms: 1_000,
                time_limit_ms: 400,
                asking: 0,
                twins: false,
                allow_rebid: false,
                market: self.market.to_owned(),
                faults: Vec::new(),
            },
            wall_ms: WALL_MS,
            boot_ns: 0,
            versions: vec![("bidlock".to_owned(), "0.1.0".to_owned())],
            protocol: 1,
            canary: None,
            not_exercised: Vec::new(),
        }
    }
}

fn fill<'a, T: serde::Serialize + 'a>(path: &Path, all: impl IntoIterator<Item = &'a T>) {
    let mut lines = Lines::create(path).unwrap();
    all.into_iter().for_each(|line| lines.add(line).unwrap());
    lines.flush().unwrap();
}

impl Row {
    /// A bid on the n-th posting, claimed. `epoch` also tells several bids on one posting apart.
    pub(crate) fn claimed(n: u32, epoch: i64, at_ms: i64, holder: &str) -> Row {
        let id = BidId(Uuid::from_u128(u128::from(n) * 1_000 + epoch as u128));
        let at = WallTime(WALL_MS + at_ms);
        let bid = Bid {
            id,
            posting: posting(n),
            state: BidState::Claimed,
            rebid_allowed: false,
            claim_id: ClaimId(Uuid::from_u128(id.0.as_u128() * 100)),
            epoch: Epoch(epoch),
            claimant: Claimant { holder: holder.to_owned(), instance: None },
            claim_remaining: None,
            attempts: 0,
            payload: Payload {
                amount: None,
                proposal: String::new(),
                posting_url: None,
                via: "http:x".to_owned(),
                evaluation: None,
            },
            idempotency_key: Uuid::nil(),
            external_ref: None,
            approved_until: None,
            unknown_cause: None,
            reason: None,
            first_sent_at: None,
            last_sent_at: None,
            created_at: at,
            updated_at: at,
            events: 0,
        };
        Row { bid, events: Vec::new() }.event(at_ms, None, BidState::Claimed, holder, Value::Null, None)
    }

    pub(crate) fn door(self, at_ms: i64, holder: &str) -> Row {
        self.then(at_ms, Action::EnterSubmitting, BidState::Submitting, holder)
    }

    pub(crate) fn accept(mut self, at_ms: i64, holder: &str, name: &str) -> Row {
        self.bid.external_ref = Some(name.to_owned());
        let detail = json!({ "external_ref": name });
        self.event(at_ms, Some(Action::Accept), BidState::Submitted, holder, detail, None)
    }

    pub(crate) fn lose(self, at_ms: i64, holder: &str, cause: &str) -> Row {
        let detail = json!({ "cause": cause });
        self.event(at_ms, Some(Action::LoseAnswer), BidState::Unknown, holder, detail, None)
    }

    /// A look-up finds it.
    pub(crate) fn find(mut self, at_ms: i64, name: &str) -> Row {
        self.bid.external_ref = Some(name.to_owned());
        let detail = json!({ "external_ref": name });
        self.event(at_ms, Some(Action::Find), BidState::Submitted, "reconciler:desk", detail, None)
    }

    pub(crate) fn take_over(mut self, at_ms: i64, holder: &str) -> Row {
        self.bid.claim_id = ClaimId(Uuid::from_u128(self.bid.claim_id.0.as_u128() + 1));
        self.bid.epoch = Epoch(self.bid.epoch.0 + 1);
        self.then(at_ms, Action::TakeOver, BidState::Claimed, holder)
    }

    pub(crate) fn then(self, at_ms: i64, action: Action, to: BidState, actor: &str) -> Row {
        self.event(at_ms, Some(action), to, actor, Value::Null, None)
    }

    pub(crate) fn event(
        mut self,
        at_ms: i64,
        action: Option<Action>,
        to: BidState,
        actor: &str,
        detail: Value,
        reason: Option<&str>,
    ) -> Row {
        let last = self.events.last();
        let mut event = BidEvent {
            bid: self.bid.id,
            seq: self.bid.events + 1,
            at: WallTime(WALL_MS + at_ms),
            action,
            from: last.map(|last| last.to),
            to,
            claim_id: self.bid.claim_id,
            epoch: self.bid.epoch,
            actor: actor.to_owned(),
            reason: reason.map(str::to_owned),
            detail,
            event_key: None,
            hash: String::new(),
        };
        event.hash = chain::link(last.map_or("", |last| &last.hash), &event);
        self.events.push(event);
        self.bid.events += 1;
        self.bid.state = to;
        self
    }
}

/// What was found of one invariant.
pub(crate) fn of(checked: &Checked, invariant: Invariant) -> &Finding {
    checked.findings.iter().find(|finding| finding.invariant == invariant).unwrap()
}

/// The invariants that do not hold.
pub(crate) fn violated(checked: &Checked) -> Vec<&'static str> {
    checked.violated().map(Invariant::name).collect()
}

/// It was looked at and held.
pub(crate) fn is_proven(checked: &Checked, invariant: Invariant) -> bool {
    of(checked, invariant).verdict == Verdict::Proven
}
