//! One request: record, decide, record the decision, answer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use hyper::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::watch;
use url::form_urlencoded;

use crate::{
    clock,
    market::{Decision, Market},
    modes::{Modes, Occasion},
    plan::{FOLLOWED_PATH, Plan, Reply},
    record::{Line, Recorded, Recorder, RequestLine, SubmissionSeen},
};

/// The headers that go into the record, beside the mere presence of `authorization`.
const RECORDED_HEADERS: [&str; 4] = ["idempotency-key", "content-type", "user-agent", "via"];

/// A request that was read to its end, or whose body is too long.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// `None`: longer than allowed.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) peer: SocketAddr,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) market: Mutex<Market>,
    pub(crate) modes: RwLock<Arc<Modes>>,
    pub(crate) recorder: Recorder,
    /// Submissions of the whole record that are durable.
    pub(crate) submissions: watch::Sender<u64>,
}

/// What is asked for.
enum Ask {
    Submit(SubmissionSeen),
    LookUp {
        marketplace: String,
        posting: String,
    },
    Withdraw(String),
    Health,
    /// Nothing that can be done.
    Bad(Reply),
}

impl Shared {
    pub(crate) fn modes(&self) -> Arc<Modes> {
        self.modes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn market(&self) -> MutexGuard<'_, Market> {
        // The market is consistent between any two statements that could panic.
        self.market.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request through to its reply.
    pub(crate) async fn handle(&self, received: Received) -> Reply {
        let result = match ask(&received) {
            Ask::Submit(submission) => self.submit(received, submission).await,
            other => self.answer_at_once(received, other).await,
        };
        // Nothing may be accepted off the record.
        result.unwrap_or_else(|why| Reply::refusal(503, "record_failed", &why))
    }

    async fn submit(&self, received: Received, submission: SubmissionSeen) -> Result<Reply, String> {
        let modes = self.modes();
        let (seq, plan, decided, recorded) = self.begin(&received, &submission, &modes);
        recorded.durable().await?;
        self.submissions.send_modify(|n| *n += 1);
        let decision = match decided {
            Some(decision) => decision,
            None => {
                tokio::time::sleep(plan.delay_before).await;
                let (decision, recorded) = self.decide(seq, &submission, &modes, &plan);
                recorded.durable().await?;
                decision
            }
        };
        tokio::time::sleep(plan.delay_after).await;
        Ok(decision.reply)
    }

    /// Records that a submission has arrived; and what was decided about it, unless that is to wait.
    fn begin(
        &self,
        received: &Received,
        submission: &SubmissionSeen,
        modes: &Modes,
    ) -> (u64, Plan, Option<Decision>, Recorded) {
        let mut market = self.market();
        let (seq, now) = (market.next_seq(), clock::now());
        let (nth, nth_of_posting) = market.arrive(submission);
        let on = Occasion {
            marketplace: &submission.marketplace,
            posting: &submission.posting_id,
            nth,
            nth_of_posting,
        };
        let plan = Plan::draw(modes, &on, submission.followed_redirect);
        let mut lines = vec![request_line(received, seq, Some(submission.clone()))];
        let mut decided = None;
        if plan.delay_before.is_zero() {
            // Both lines in one write, so that a bid costs one sync.
            let decision = market.submit(modes, submission, &plan, now);
            lines.push(decision.line(seq, now));
            decided = Some(decision);
        }
        // Still under the lock, so that the record has the order of the decisions.
        (seq, plan, decided, self.recorder.append(&lines))
    }

    fn decide(
        &self,
        seq: u64,
        submission: &SubmissionSeen,
        modes: &Modes,
        plan: &Plan,
    ) -> (Decision, Recorded) {
        let mut market = self.market();
        let now = clock::now();
        let decision = market.submit(modes, submission, plan, now);
        let recorded = self.recorder.append(&[decision.line(seq, now)]);
        (decision, recorded)
    }

    async fn answer_at_once(&self, received: Received, ask: Ask) -> Result<Reply, String> {
        let modes = self.modes();
        let (decision, recorded) = {
            let mut market = self.market();
            let (seq, now) = (market.next_seq(), clock::now());
            let decision = match ask {
                Ask::LookUp { marketplace, posting } => market.look_up(&modes, &marketplace, &posting, now),
                Ask::Withdraw(id) => market.withdraw(&modes, &id),
                Ask::Bad(reply) => Decision::reply(reply),
                Ask::Submit(_) | Ask::Health => {
                    Decision::reply(Reply::json(200, &serde_json::json!({ "status": "ok" })))
                }
            };
            let lines = [request_line(&received, seq, None), decision.line(seq, now)];
            let recorded = self.recorder.append(&lines);
            (decision, recorded)
        };
        recorded.durable().await?;
        Ok(decision.reply)
    }
}

fn ask(received: &Received) -> Ask {
    let path = received.uri.path();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (&received.method, segments.as_slice()) {
        (&Method::POST, ["bids"]) => submission(received, false),
        (&Method::POST, ["followed", "bids"]) if path == FOLLOWED_PATH => submission(received, true),
        (&Method::GET, ["bids"]) => look_up(&received.uri),
        (&Method::POST, ["bids", id, "withdraw"]) => match percent_decode_str(id).decode_utf8() {
            Ok(id) => Ask::Withdraw(id.into_owned()),
            Err(_) => Ask::Bad(Reply::refusal(404, "no_such_bid", "there is no such bid")),
        },
        (&Method::GET, ["healthz"]) => Ask::Health,
        (_, ["bids" | "healthz"] | ["bids", _, "withdraw"]) => {
            Ask::Bad(Reply::refusal(405, "method_not_allowed", "not with this method"))
        }
        // Without a code: an address that is none of the contract's must not look like a refusal of a posting.
        _ => Ask::Bad(Reply::json(404, &serde_json::json!({ "message": "there is nothing here" }))),
    }
}

fn submission(received: &Received, followed_redirect: bool) -> Ask {
    let bad = |message: &str| Ask::Bad(Reply::refusal(400, "bad_request", message));
    let Some(body) = &received.body else {
        return Ask::Bad(Reply::refusal(413, "too_long", "the body is too long"));
    };
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return bad("the body is not JSON");
    };
    let text = |name: &str| {
        json.get(name).and_then(Value::as_str).filter(|t| !t.trim().is_empty()).map(str::to_owned)
    };
    let (Some(marketplace), Some(posting_id)) = (text("marketplace"), text("posting_id")) else {
        return bad("marketplace and posting_id must be texts that are not empty");
    };
    let header = received.headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let in_body = text("idempotency_key");
    if header.is_some() && in_body.is_some() && header != in_body {
        return bad("the header Idempotency-Key and the body's idempotency_key differ");
    }
    let idempotency_key = header.or(in_body);
    Ask::Submit(SubmissionSeen {
        marketplace,
        posting_id,
        bid_id: text("bid_id"),
        idempotency_key,
        followed_redirect,
    })
}

fn look_up(uri: &Uri) -> Ask {
    let query: BTreeMap<_, _> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
    match (query.get("marketplace"), query.get("posting_id")) {
        (Some(marketplace), Some(posting)) => {
            Ask::LookUp { marketplace: marketplace.to_string(), posting: posting.to_string() }
        }
        _ => Ask::Bad(Reply::refusal(400, "bad_request", "ask with marketplace and posting_id")),
    }
}

fn request_line(received: &Received, seq: u64, submission: Option<SubmissionSeen>) -> Line {
    let mut headers: BTreeMap<String, String> = RECORDED_HEADERS
        .iter()
        .filter_map(|name| {
            let value = received.headers.get(*name)?;
            Some(((*name).to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        })
        .collect();
    if received.headers.contains_key("authorization") {
        headers.insert("authorization".to_owned(), "present".to_owned());
    }
    Line::Request(RequestLine {
        seq,
        at: clock::now(),
        peer: received.peer.to_string(),
        method: received.method.to_string(),
        path: received.uri.path().to_owned(),
        query: received.uri.query().unwrap_or_default().to_owned(),
        headers,
        body: received
            .body
            .as_ref()
            .map_or_else(|| "(too long)".to_owned(), |body| String::from_utf8_lossy(body).into_owned()),
        submission,
    })
}
