//! What waits for a connection, and how a batch is worked off: one statement for all that is to be released and
//! acquired, one for all that is to be renewed, sent together.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bidlock_postgres::tokio_postgres::Row;
use bidlock_postgres::tokio_postgres::types::Type;
use bidlock_postgres::{Argument, Effect, Error, ErrorKind, Job, Lane, Reply, Result};
use uuid::Uuid;

use super::statements::{self, column};
use crate::backend::{Acquire, Acquired, Grant, Held, Released, Renewed};
use crate::sync::locked;
use crate::token::{FencingToken, Nonce};

/// How often a key is asked for whose holder changes faster than a statement can see.
const ROUNDS: usize = 16;
/// How many rows one part of a sweep looks at: some milliseconds' work.
const SWEEP_PART: i64 = 2_048;
/// For how long a free row is kept: a clock that is set back by less does not make tokens smaller.
const KEEP_FREE: Duration = Duration::from_secs(3_600);
/// The longest TTL that the arithmetic takes, in microseconds: some thousand years.
const MAX_TTL_US: i64 = i64::MAX / 256;

/// One call.
#[derive(Debug)]
pub(super) enum LockJob {
    Acquire(Vec<Acquire>, Reply<Vec<Acquired>>),
    Renew(Vec<(Grant, Duration)>, Reply<Vec<Renewed>>),
    Release(Vec<Grant>, Reply<Vec<Released>>),
    Sweep,
}

impl Job for LockJob {
    fn weight(&self) -> usize {
        match self {
            LockJob::Acquire(requests, _) => requests.len(),
            LockJob::Renew(grants, _) => grants.len(),
            LockJob::Release(grants, _) => grants.len(),
            LockJob::Sweep => 1,
        }
    }
}

pub(super) async fn work(lane: &mut Lane, jobs: Vec<LockJob>) {
    let (mut acquires, mut renewals, mut releases) = (Calls::new(), Calls::new(), Calls::new());
    let mut sweep = false;
    for job in jobs {
        match job {
            LockJob::Acquire(requests, reply) => acquires.add(requests, reply),
            LockJob::Renew(grants, reply) => renewals.add(grants, reply),
            LockJob::Release(grants, reply) => releases.add(grants, reply),
            LockJob::Sweep => sweep = true,
        }
    }
    for _ in 0..ROUNDS {
        // No key twice in a statement: the later one waits for the next round, in its order.
        let freed = Batch::of(releases.open(|grant| grant.key.as_str()), |grant| (grant, Duration::ZERO));
        let renewed = Batch::of(renewals.open(|(grant, _)| grant.key.as_str()), |(grant, ttl)| (grant, *ttl));
        let wanted = Batch::acquiring(acquires.open(|request| request.key.as_str()));
        let mut statements = Vec::with_capacity(2);
        if !renewed.places.is_empty() {
            statements.push((statements::RENEW, renewed.arguments(false, true)));
        }
        if !(freed.places.is_empty() && wanted.places.is_empty()) {
            statements.push((
                statements::EXCHANGE,
                [freed.arguments(false, false), wanted.arguments(true, true)].concat(),
            ));
        }
        if statements.is_empty() {
            break;
        }
        let mut answers = lane.pipeline(&statements).await.into_iter();
        drop(statements);
        let (freed, renewed, wanted) = (freed.places, renewed.places, wanted.places);
        let mut next =
            || answers.next().unwrap_or_else(|| Err(Error::unreadable("a statement got no answer")));
        if !renewed.is_empty() {
            renewals.settle(&renewed, &next(), read_renewed);
        }
        if !(freed.is_empty() && wanted.is_empty()) {
            let exchanged = next();
            releases.settle(&freed, &exchanged, read_released);
            acquires.settle(&wanted, &exchanged, read_acquired);
        }
    }
    releases.reply();
    renewals.reply();
    acquires.reply();
    if sweep {
        sweep_part(lane).await;
    }
}

/// Calls of one kind with their requests in one list.
struct Calls<Q, A> {
    requests: Vec<Q>,
    answers: Vec<Option<Result<A>>>,
    replies: Vec<(usize, Reply<Vec<A>>)>,
}

impl<Q, A> Calls<Q, A> {
    fn new() -> Calls<Q, A> {
        Calls { requests: Vec::new(), answers: Vec::new(), replies: Vec::new() }
    }

    fn add(&mut self, requests: Vec<Q>, reply: Reply<Vec<A>>) {
        self.replies.push((requests.len(), reply));
        self.answers.extend(requests.iter().map(|_| None));
        self.requests.extend(requests);
    }

    /// What has no answer yet, the first one of each key.
    fn open<'a>(&'a self, key: impl Fn(&'a Q) -> &'a str) -> Vec<(usize, &'a Q)> {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(self.requests.len());
        let mut open = Vec::with_capacity(self.requests.len());
        for (place, request) in self.requests.iter().enumerate() {
            if self.answers[place].is_none() && *first.entry(key(request)).or_insert(place) == place {
                open.push((place, request));
            }
        }
        open
    }

    /// Notes what a statement answered to these requests; what it left out stays open.
    fn settle(
        &mut self,
        places: &[usize],
        rows: &Result<Vec<Row>>,
        read: impl Fn(&[Q], &[usize], &[Row]) -> Result<Vec<(usize, A)>>,
    ) {
        match rows.as_ref().map_err(Clone::clone).and_then(|rows| read(&self.requests, places, rows)) {
            Ok(answers) => {
                answers.into_iter().for_each(|(place, answer)| self.answers[place] = Some(Ok(answer)))
            }
            Err(error) => places.iter().for_each(|&place| self.answers[place] = Some(Err(error.clone()))),
        }
    }

    fn reply(self) {
        let mut answers = self.answers.into_iter();
        for (length, reply) in self.replies {
            let changing = || {
                let message = "the holder changed again and again while it was asked for";
                Err(Error::new(ErrorKind::Busy, &"the locks".into(), message).with_effect(Effect::Unknown))
            };
            let of_call = answers.by_ref().take(length).map(|answer| answer.unwrap_or_else(changing));
            reply.send(of_call.collect());
        }
    }
}

/// The arguments of one statement, column by column.
struct Batch<'a> {
    places: Vec<usize>,
    keys: Vec<&'a str>,
    holders: Vec<&'a str>,
    nonces: Vec<Uuid>,
    ttls_us: Vec<i64>,
}

impl<'a> Batch<'a> {
    fn of<Q>(open: Vec<(usize, &'a Q)>, of: impl Fn(&'a Q) -> (&'a Grant, Duration)) -> Batch<'a> {
        let each = || open.iter().map(|(_, request)| of(request));
        Batch {
            places: open.iter().map(|(place, _)| *place).collect(),
            keys: each().map(|(grant, _)| grant.key.as_str()).collect(),
            holders: Vec::new(),
            nonces: each().map(|(grant, _)| uuid(grant.nonce)).collect(),
            ttls_us: each().map(|(_, ttl)| micros(ttl)).collect(),
        }
    }

    fn acquiring(open: Vec<(usize, &'a Acquire)>) -> Batch<'a> {
        Batch {
            places: open.iter().map(|(place, _)| *place).collect(),
            keys: open.iter().map(|(_, request)| request.key.as_str()).collect(),
            holders: open.iter().map(|(_, request)| request.holder.as_str()).collect(),
            nonces: open.iter().map(|(_, request)| uuid(request.nonce)).collect(),
            ttls_us: open.iter().map(|(_, request)| micros(request.ttl)).collect(),
        }
    }

    fn arguments(&self, holders: bool, ttls: bool) -> Vec<Argument<'_>> {
        let mut arguments: Vec<Argument<'_>> = vec![(&self.keys, Type::TEXT_ARRAY)];
        if holders {
            arguments.push((&self.holders, Type::TEXT_ARRAY));
        }
        arguments.push((&self.nonces, Type::UUID_ARRAY));
        if ttls {
            arguments.push((&self.ttls_us, Type::INT8_ARRAY));
        }
        arguments
    }
}

fn uuid(nonce: Nonce) -> Uuid {
    Uuid::from_bytes(nonce.to_bytes())
}

fn micros(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_micros()).unwrap_or(MAX_TTL_US).min(MAX_TTL_US)
}

/// To which request a row belongs: ordinals count from one.
fn place(row: &Row, index: usize, places: &[usize]) -> Result<usize> {
    let at = usize::try_from(column::<i64>(row, index)? - 1).ok().and_then(|at| places.get(at));
    at.copied().ok_or_else(|| Error::unreadable("an ordinal that was not sent"))
}

fn read_acquired(requests: &[Acquire], places: &[usize], rows: &[Row]) -> Result<Vec<(usize, Acquired)>> {
    let of_key: HashMap<&str, usize> = places.iter().map(|&at| (requests[at].key.as_str(), at)).collect();
    let mut answers = Vec::with_capacity(places.len());
    for row in rows {
        if let Some(key) = column::<Option<&str>>(row, 2)? {
            let place = of_key.get(key).ok_or_else(|| Error::unreadable("a key that was not sent"))?;
            let request = &requests[*place];
            let token = FencingToken::new(column::<i64>(row, 3)?.unsigned_abs());
            let (key, holder) = (request.key.clone(), request.holder.clone());
            answers.push((*place, Acquired::Granted(Grant { key, holder, nonce: request.nonce, token })));
        } else if let Some(holder) = column::<Option<String>>(row, 4)? {
            let remaining = Duration::from_micros(u64::try_from(column::<i64>(row, 5)?).unwrap_or(0));
            answers.push((place(row, 1, places)?, Acquired::Held(Held { holder, remaining })));
        }
    }
    Ok(answers)
}

fn read_renewed(_: &[(Grant, Duration)], places: &[usize], rows: &[Row]) -> Result<Vec<(usize, Renewed)>> {
    let renewed = rows.iter().map(|row| place(row, 0, places)).collect::<Result<Vec<_>>>()?;
    let mut answers: HashMap<usize, Renewed> = places.iter().map(|&place| (place, Renewed::Lost)).collect();
    answers.extend(renewed.into_iter().map(|place| (place, Renewed::Renewed)));
    Ok(answers.into_iter().collect())
}

fn read_released(_: &[Grant], places: &[usize], rows: &[Row]) -> Result<Vec<(usize, Released)>> {
    let mut answers: HashMap<usize, Released> =
        places.iter().map(|&place| (place, Released::Expired)).collect();
    for row in rows {
        if let Some(freed) = column::<Option<bool>>(row, 0)? {
            let released = if freed { Released::Released } else { Released::Stolen };
            answers.insert(place(row, 1, places)?, released);
        }
    }
    Ok(answers.into_iter().collect())
}

/// Takes out old rows of one part of the table, each part in its turn.
async fn sweep_part(lane: &mut Lane) {
    /// Where the last part ended. One for all databases of a process: each is gone through all the same.
    static CURSOR: Mutex<String> = Mutex::new(String::new());
    let from = locked(&CURSOR).clone();
    let keep = micros(KEEP_FREE);
    let arguments: Vec<Argument<'_>> =
        vec![(&from, Type::TEXT), (&SWEEP_PART, Type::INT8), (&keep, Type::INT8)];
    let swept = lane.pipeline(&[(statements::SWEEP, arguments)]).await.pop();
    match swept.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(rows) => {
            let end = rows.first().and_then(|row| column::<Option<String>>(row, 0).ok().flatten());
            *locked(&CURSOR) = end.unwrap_or_default();
        }
        Err(error) => tracing::debug!(%error, "old leases were not swept; the next round does it"),
    }
}
