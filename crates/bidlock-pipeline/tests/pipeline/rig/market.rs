//! A marketplace that answers by script.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use bidlock_ledger::PostingId;
use bidlock_market::{
    Answer, Approval, Capabilities, LookUpError, LostCause, Marketplace, RemoteBid, Submission,
    WithdrawAnswer,
};
use tokio::sync::{oneshot, watch};

/// What happens to one submission.
#[derive(Debug)]
pub enum Step {
    /// Says this. Only `Accepted` puts a bid on the marketplace's list.
    Say(Answer),
    /// Has the bid, and says this all the same.
    AcceptBut(Answer),
    /// Waits until the test lets go, then goes on with the step.
    Held(oneshot::Receiver<()>, Box<Step>),
}

impl Step {
    /// A step that waits, and what lets it go.
    pub fn held(self) -> (Step, oneshot::Sender<()>) {
        let (release, held) = oneshot::channel();
        (Step::Held(held, Box::new(self)), release)
    }
}

/// Accepts whatever no script speaks of, also a second bid; one that honours keys answers a repeated one as before.
#[derive(Debug)]
pub struct Market {
    pub via: String,
    pub capabilities: Capabilities,
    pub time_limit: Duration,
    state: Mutex<State>,
    received: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    steps: HashMap<String, VecDeque<Step>>,
    seen: Vec<Submission>,
    remote: Vec<(PostingId, RemoteBid)>,
    look_ups: VecDeque<Result<Vec<RemoteBid>, LookUpError>>,
    withdrawals: VecDeque<WithdrawAnswer>,
    withdrawn: Vec<String>,
}

impl Default for Market {
    fn default() -> Market {
        let capabilities = Capabilities {
            refuses_duplicates: false,
            looks_up: true,
            honours_idempotency_key: false,
            approval: Approval::NotNeeded,
            sends: true,
        };
        Market {
            via: "scripted".to_owned(),
            capabilities,
            time_limit: Duration::from_secs(10),
            state: Mutex::default(),
            received: watch::Sender::new(0),
        }
    }
}

impl Market {
    /// One that recognises a request by its key.
    pub fn that_honours_keys() -> Market {
        let market = Market::default();
        let capabilities = Capabilities { honours_idempotency_key: true, ..market.capabilities };
        Market { capabilities, ..market }
    }

    pub fn with_time_limit(time_limit: Duration) -> Market {
        Market { time_limit, ..Market::default() }
    }

    /// The next submission for this posting gets this.
    pub fn next(&self, posting: &str, step: Step) {
        self.state.lock().unwrap().steps.entry(posting.to_owned()).or_default().push_back(step);
    }

    pub fn say(&self, posting: &str, answer: Answer) {
        self.next(posting, Step::Say(answer));
    }

    /// The next submission waits; dropping or using the sender lets it go on with the step.
    pub fn hold(&self, posting: &str, step: Step) -> oneshot::Sender<()> {
        let (step, release) = step.held();
        self.next(posting, step);
        release
    }

    /// The next look-up gets this instead of the truth.
    pub fn next_look_up(&self, answer: Result<Vec<RemoteBid>, LookUpError>) {
        self.state.lock().unwrap().look_ups.push_back(answer);
    }

    /// The next withdrawal gets this; without one, it is done.
    pub fn next_withdrawal(&self, answer: WithdrawAnswer) {
        self.state.lock().unwrap().withdrawals.push_back(answer);
    }

    /// Puts a bid on the list that came another way.
    pub fn has(&self, posting: &PostingId, bid: RemoteBid) {
        self.state.lock().unwrap().remote.push((posting.clone(), bid));
    }

    /// What the client decided.
    pub fn set_status(&self, external_ref: &str, status: &str) {
        for (_, bid) in &mut self.state.lock().unwrap().remote {
            if bid.external_ref == external_ref {
                bid.status = status.to_owned();
            }
        }
    }

    /// Every submission, in order.
    pub fn seen(&self) -> Vec<Submission> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How many submissions came for one posting.
    pub fn seen_for(&self, posting: &str) -> usize {
        self.seen().iter().filter(|s| s.posting.posting() == posting).count()
    }

    /// The references that withdrawals named.
    pub fn withdrawn(&self) -> Vec<String> {
        self.state.lock().unwrap().withdrawn.clone()
    }

    /// Waits until so many submissions have come.
    pub async fn wait_for(&self, submissions: usize) {
        super::soon(self.received.subscribe().wait_for(|n| *n >= submissions)).await.unwrap();
    }

    fn accept(&self, submission: &Submission) -> String {
        let mut state = self.state.lock().unwrap();
        let key = Some(submission.idempotency_key.to_string());
        let known = state.remote.iter().find(|(_, bid)| bid.idempotency_key == key);
        if let (true, Some((_, bid))) = (self.capabilities.honours_idempotency_key, known) {
            return bid.external_ref.clone();
        }
        let external_ref = format!("x{}", state.remote.len() + 1);
        let bid = RemoteBid {
            external_ref: external_ref.clone(),
            posting_id: submission.posting.posting().to_owned(),
            idempotency_key: key,
            status: "active".to_owned(),
            created_at: None,
        };
        state.remote.push((submission.posting.clone(), bid));
        external_ref
    }

    fn carry_out(&self, step: Step, submission: &Submission) -> Answer {
        match step {
            Step::Say(Answer::Accepted { .. }) => Answer::Accepted { external_ref: self.accept(submission) },
            Step::Say(answer) => answer,
            Step::AcceptBut(answer) => {
                self.accept(submission);
                answer
            }
            Step::Held(..) => unreachable!("a held step is let go first"),
        }
    }
}

#[async_trait]
impl Marketplace for Market {
    fn via(&self) -> &str {
        &self.via
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }

    async fn submit(&self, submission: &Submission) -> Answer {
        let step = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(submission.clone());
            state.steps.get_mut(submission.posting.posting()).and_then(VecDeque::pop_front)
        };
        self.received.send_modify(|n| *n += 1);
        let mut step = step.unwrap_or_else(|| Step::Say(accepted()));
        while let Step::Held(release, then) = step {
            // A dropped sender lets go as well.
            let _ = release.await;
            step = *then;
        }
        self.carry_out(step, submission)
    }

    async fn look_up(&self, posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError> {
        let mut state = self.state.lock().unwrap();
        if let Some(scripted) = state.look_ups.pop_front() {
            return scripted;
        }
        Ok(state.remote.iter().filter(|(p, _)| p == posting).map(|(_, bid)| bid.clone()).collect())
    }

    async fn withdraw(&self, external_ref: &str) -> WithdrawAnswer {
        let mut state = self.state.lock().unwrap();
        state.withdrawn.push(external_ref.to_owned());
        state.withdrawals.pop_front().unwrap_or(WithdrawAnswer::Withdrawn)
    }
}

/// A bid on posting 1 as the marketplace shows it.
pub fn remote(external_ref: &str, key: Option<String>) -> RemoteBid {
    RemoteBid {
        external_ref: external_ref.to_owned(),
        posting_id: "1".to_owned(),
        idempotency_key: key,
        status: "active".to_owned(),
        created_at: Some(super::now()),
    }
}

pub fn accepted() -> Answer {
    Answer::Accepted { external_ref: String::new() }
}

pub fn lost(cause: LostCause) -> Answer {
    Answer::Lost { cause, detail: "the answer was lost".to_owned() }
}

pub fn later(after: Duration) -> Answer {
    Answer::TryLater { after: Some(after), detail: "slow down".to_owned() }
}

pub fn not_sent() -> Answer {
    Answer::NotSent { detail: "connection refused".to_owned() }
}

pub fn refused() -> Answer {
    Answer::Refused { code: "closed".to_owned(), detail: "the posting is closed".to_owned() }
}

pub fn duplicate() -> Answer {
    Answer::Duplicate { detail: "you have a bid".to_owned() }
}

pub fn not_here() -> Answer {
    Answer::NotHere { detail: "POST http://m.example/typo/bids was answered with status 404".to_owned() }
}

pub fn stop() -> Answer {
    Answer::Stop { code: "http_402".to_owned(), detail: "no bids are left".to_owned() }
}
