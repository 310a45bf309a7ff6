//! The marketplace of the simulation. It keeps a record of each request before it answers; requests travel by
//! themselves, so that one may arrive after its sender has died.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bidlock_ledger::{BidId, PostingId};
use bidlock_market::{
    Answer, Approval, Capabilities, LookUpError, LostCause, Marketplace, RemoteBid, Submission,
    WithdrawAnswer,
};
use futures::FutureExt;
use jiff::Timestamp;
use rand::Rng;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    body::Body,
    history::{Happening, Millis},
    plan::{MarketKind, TIME_LIMIT},
    sabotage::Sabotage,
    world::{EPOCH, State, World},
};

/// As it names itself in the ledger.
const VIA: &str = "simulated";
/// How long a request may sit in a proxy.
const LONGEST_DELAY: Millis = 30_000;

/// What the marketplace has.
#[derive(Debug)]
pub(crate) struct Market {
    kind: MarketKind,
    pub(crate) requests: usize,
    pub(crate) bids: Vec<Kept>,
}

/// A bid that the marketplace accepted.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) external_ref: String,
    pub(crate) posting: PostingId,
    /// The bid in the ledger that it was sent for.
    pub(crate) bid: BidId,
    pub(crate) status: &'static str,
    key: Uuid,
    pub(crate) at: Millis,
}

/// What becomes of one submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Clean,
    /// It arrives, and its answer is lost in this way.
    AnswerLost(LostCause),
    /// It never arrives, and nobody can tell.
    RequestLost,
    /// It arrives after so long.
    Delayed(Millis),
    /// It does not leave.
    NotSent,
    /// The marketplace says this instead of looking at it.
    Says(Saying),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saying {
    ServerError,
    TryLater(Option<Millis>),
    Refused,
    Stop,
}

impl Course {
    fn draw(state: &mut State) -> (Course, &'static str) {
        let dice = &mut state.dice;
        let course = match dice.random_range(0..13) {
            0 => Course::AnswerLost(LostCause::Timeout),
            1 => Course::AnswerLost(LostCause::ConnectionLost),
            2 => Course::AnswerLost(LostCause::Redirect),
            3 => Course::AnswerLost(LostCause::UnreadableAnswer),
            4 => Course::AnswerLost(LostCause::ServerError),
            5 => Course::RequestLost,
            6 | 7 => Course::Delayed(dice.random_range(500..LONGEST_DELAY)),
            8 => Course::NotSent,
            9 => Course::Says(Saying::ServerError),
            10 => {
                let pauses = [None, Some(700), Some(3_000), Some(12_000)];
                Course::Says(Saying::TryLater(pauses[dice.random_range(0..pauses.len())]))
            }
            11 => Course::Says(Saying::Refused),
            _ if dice.random_ratio(1, 6) => Course::Says(Saying::Stop),
            _ => Course::Delayed(dice.random_range(1..TIME_LIMIT.as_millis() as Millis)),
        };
        let kind = match course {
            Course::Clean => "",
            Course::AnswerLost(_) => "market_answer_lost",
            Course::RequestLost => "market_request_lost",
            Course::Delayed(_) => "market_request_late",
            Course::NotSent => "market_not_reached",
            Course::Says(Saying::ServerError) => "market_server_error",
            Course::Says(Saying::TryLater(_)) => "market_try_later",
            Course::Says(Saying::Refused) => "market_refused",
            Course::Says(Saying::Stop) => "market_account_refused",
        };
        (course, kind)
    }
}

impl Market {
    pub(crate) fn new(kind: MarketKind) -> Market {
        Market { kind, requests: 0, bids: Vec::new() }
    }

    /// What an honest marketplace does with a submission.
    fn take(&mut self, submission: &Submission, now: Millis) -> (Option<String>, Answer) {
        let same_key = |bid: &&Kept| bid.key == submission.idempotency_key;
        if self.kind.honours_key
            && let Some(known) = self.bids.iter().find(same_key)
        {
            return (None, Answer::Accepted { external_ref: known.external_ref.clone() });
        }
        let standing = |bid: &Kept| bid.posting == submission.posting && bid.status != "withdrawn";
        if self.kind.refuses_duplicates && self.bids.iter().any(standing) {
            return (None, Answer::Duplicate { detail: "you have a bid".to_owned() });
        }
        let external_ref = format!("m{}", self.bids.len() + 1);
        self.bids.push(Kept {
            external_ref: external_ref.clone(),
            posting: submission.posting.clone(),
            bid: BidId(submission.bid_id),
            status: "active",
            key: submission.idempotency_key,
            at: now,
        });
        (Some(external_ref.clone()), Answer::Accepted { external_ref })
    }

    /// What it does when asked to give a bid back, and what of that is heard.
    fn withdraw(&mut self, external_ref: &str, fault: Option<&'static str>) -> WithdrawAnswer {
        let detail = "as the simulation has it".to_owned();
        let Some(bid) = self.bids.iter_mut().find(|bid| bid.external_ref == external_ref) else {
            return WithdrawAnswer::NotFound { detail };
        };
        match fault {
            Some("withdrawal_try_later") => WithdrawAnswer::TryLater { after: None, detail },
            // What is withdrawn stays so.
            Some("withdrawal_refused") if bid.status == "active" => {
                WithdrawAnswer::Refused { code: "http_409".to_owned(), detail, status: None }
            }
            fault => {
                bid.status = "withdrawn";
                match fault {
                    Some("withdrawal_answer_lost") => {
                        WithdrawAnswer::Lost { cause: LostCause::ConnectionLost, detail }
                    }
                    _ => WithdrawAnswer::Withdrawn,
                }
            }
        }
    }

    /// Our bids on a posting.
    fn shown(&self, posting: &PostingId) -> Vec<RemoteBid> {
        let show = |bid: &Kept| RemoteBid {
            external_ref: bid.external_ref.clone(),
            posting_id: posting.posting().to_owned(),
            idempotency_key: self.kind.shows_keys.then(|| bid.key.to_string()),
            status: bid.status.to_owned(),
            created_at: Timestamp::from_millisecond(EPOCH + bid.at.cast_signed()).ok(),
        };
        self.bids.iter().filter(|bid| bid.posting == *posting).map(show).collect()
    }
}

/// One process's way to the marketplace.
#[derive(Debug)]
pub(crate) struct SimMarket(pub(crate) Arc<Body>);

impl SimMarket {
    fn world(&self) -> &Arc<World> {
        &self.0.world
    }

    /// Lets the request go, and says what becomes of it.
    fn depart(&self, submission: &Submission) -> (usize, Course) {
        let mut state = self.world().state();
        let bad = self.world().plan.weather.market.min(1_000);
        let faulty = !state.is_healed() && state.dice.random_ratio(bad, 1_000);
        let (course, kind) = if faulty { Course::draw(&mut state) } else { (Course::Clean, "") };
        if course == Course::NotSent {
            state.fault(kind, Some(self.0.holder.clone()), 0, None);
            return (0, course);
        }
        state.market.requests += 1;
        let request = state.market.requests;
        let (at, holder) = (state.now(), self.0.holder.clone());
        let posting = submission.posting.clone();
        let bid = BidId(submission.bid_id);
        state.history.add(at, Happening::Requested { request, holder: holder.clone(), bid, posting });
        if faulty && self.world().sabotage != Some(Sabotage::SilentAnswerLoss) {
            let lasts = if let Course::Delayed(millis) = course { millis } else { 0 };
            state.fault(kind, Some(holder), lasts, Some(request));
        }
        (request, course)
    }

    /// Sends the request on its way; whoever still waits hears the answer.
    fn send(&self, request: usize, submission: Submission, course: Course) -> oneshot::Receiver<Answer> {
        let (answered, answer) = oneshot::channel();
        let takes = self.world().plan.market.takes;
        let usual = self.world().state().dice.random_range(1..=takes);
        let after = if let Course::Delayed(millis) = course { millis } else { usual };
        let world = Arc::clone(self.world());
        let arrive = async move { arrive(&world, request, &submission, course, answered) };
        self.world().do_later(after, arrive.boxed());
        answer
    }
}

/// The request is there: recorded first, then answered.
fn arrive(
    world: &World,
    request: usize,
    submission: &Submission,
    course: Course,
    answered: oneshot::Sender<Answer>,
) {
    let mut state = world.state();
    let now = state.now();
    let detail = || "as the simulation has it".to_owned();
    let (accepted, answer) = match course {
        Course::RequestLost | Course::NotSent => return drop_unanswered(answered),
        Course::Says(Saying::ServerError) => {
            (None, Answer::Lost { cause: LostCause::ServerError, detail: detail() })
        }
        Course::Says(Saying::TryLater(after)) => {
            let after = after.map(Duration::from_millis);
            (None, Answer::TryLater { after, detail: detail() })
        }
        Course::Says(Saying::Refused) => {
            (None, Answer::Refused { code: "closed".to_owned(), detail: detail() })
        }
        Course::Says(Saying::Stop) => (None, Answer::Stop { code: "http_402".to_owned(), detail: detail() }),
        Course::Clean | Course::AnswerLost(_) | Course::Delayed(_) => state.market.take(submission, now),
    };
    let name = match answer {
        Answer::Accepted { .. } => "accepted",
        Answer::Duplicate { .. } => "duplicate",
        Answer::Refused { .. } => "refused",
        Answer::TryLater { .. } => "try_later",
        Answer::Stop { .. } => "stop",
        _ => "server_error",
    };
    state.history.add(now, Happening::Arrived { request, accepted, answer: name });
    if world.sabotage == Some(Sabotage::MarketForgets) && request.is_multiple_of(10) {
        state.market.bids.pop();
    }
    drop(state);
    match course {
        Course::AnswerLost(LostCause::Timeout) => drop_unanswered(answered),
        // Nobody may wait any more.
        Course::AnswerLost(cause) => drop(answered.send(Answer::Lost { cause, detail: detail() })),
        _ => drop(answered.send(answer)),
    }
}

/// Its sender waits in vain.
fn drop_unanswered(answered: oneshot::Sender<Answer>) {
    drop(answered);
}

#[async_trait]
impl Marketplace for SimMarket {
    fn via(&self) -> &str {
        VIA
    }

    fn capabilities(&self) -> Capabilities {
        let kind = self.world().plan.market;
        Capabilities {
            refuses_duplicates: kind.refuses_duplicates,
            looks_up: kind.looks_up,
            honours_idempotency_key: kind.honours_key,
            approval: if kind.asks_a_person { Approval::ByDefault } else { Approval::NotNeeded },
            sends: true,
        }
    }

    fn time_limit(&self) -> Duration {
        TIME_LIMIT
    }

    async fn submit(&self, submission: &Submission) -> Answer {
        self.0.gate().await;
        let (request, course) = self.depart(submission);
        if course == Course::NotSent {
            self.0.answer().await;
            return Answer::NotSent { detail: "connection refused".to_owned() };
        }
        let answer = self.send(request, submission.clone(), course);
        let heard = async {
            match answer.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        };
        let too_late = Answer::Lost { cause: LostCause::Timeout, detail: "no answer in time".to_owned() };
        // The way back is within the limit.
        let answer = tokio::time::timeout(TIME_LIMIT, heard).await.unwrap_or(too_late);
        self.0.gate().await;
        answer
    }

    async fn look_up(&self, posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError> {
        self.0.gate().await;
        self.0.travel().await;
        let shown = {
            let mut state = self.world().state();
            let bad = self.world().plan.weather.market.min(1_000);
            let faulty = !state.is_healed() && state.dice.random_ratio(bad, 1_000);
            let stale = faulty && state.dice.random_bool(0.5);
            if faulty {
                let kind = if stale { "look_up_stale" } else { "look_up_failed" };
                state.fault(kind, Some(self.0.holder.clone()), 0, None);
            }
            let unreachable =
                || LookUpError::Unreachable { via: VIA.to_owned(), detail: "no answer".to_owned() };
            match (faulty, stale) {
                (true, true) => Ok(Vec::new()),
                (true, false) => Err(unreachable()),
                _ => Ok(state.market.shown(posting)),
            }
        };
        self.0.answer().await;
        shown
    }

    async fn withdraw(&self, external_ref: &str) -> WithdrawAnswer {
        self.0.gate().await;
        self.0.travel().await;
        let answer = {
            let mut state = self.world().state();
            let bad = self.world().plan.weather.market.min(1_000);
            let faulty = !state.is_healed() && state.dice.random_ratio(bad, 1_000);
            let kinds = ["withdrawal_answer_lost", "withdrawal_try_later", "withdrawal_refused"];
            let kind = faulty.then(|| kinds[state.dice.random_range(0..kinds.len())]);
            if let Some(kind) = kind {
                state.fault(kind, Some(self.0.holder.clone()), 0, None);
            }
            state.market.withdraw(external_ref, kind)
        };
        self.0.answer().await;
        answer
    }
}
