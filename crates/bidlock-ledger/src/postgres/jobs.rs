//! What waits for a connection, and how a batch is worked off.

use std::{future::Future, sync::Arc};

use bidlock_postgres::{Effect, Error, ErrorKind, Job, Lane, Reply, Result, Session};
use futures::{FutureExt, future::BoxFuture};

use super::{
    apply,
    claim::{self, Wanted},
    clock::ServerClock,
    health, import, read, sweep,
};
use crate::{Applied, Change, ClaimOutcome, ImportOutcome, NewImport, NewNote, Swept};

/// One call.
#[derive(Debug)]
pub(super) enum LedgerJob {
    Claim(Vec<Wanted>, Reply<Vec<ClaimOutcome>>),
    Import(Vec<NewImport>, Reply<Vec<ImportOutcome>>),
    Apply(Vec<Change>, Reply<Vec<Applied>>),
    Sweep(u32, Reply<Swept>),
    Health(Reply<()>),
    Note(Arc<NewNote>, Reply<bool>),
}

impl Job for LedgerJob {
    fn weight(&self) -> usize {
        match self {
            LedgerJob::Claim(wanted, _) => wanted.len(),
            LedgerJob::Import(bids, _) => bids.len(),
            LedgerJob::Apply(changes, _) => changes.len(),
            LedgerJob::Sweep(..) | LedgerJob::Health(_) | LedgerJob::Note(..) => 1,
        }
    }
}

/// How lanes work off their batches.
pub(super) fn worker(
    clock: Arc<ServerClock>,
) -> impl for<'a> Fn(&'a mut Lane, Vec<LedgerJob>) -> BoxFuture<'a, ()> + Send + Sync + 'static {
    move |lane, jobs| work(Arc::clone(&clock), lane, jobs).boxed()
}

async fn work(clock: Arc<ServerClock>, lane: &mut Lane, jobs: Vec<LedgerJob>) {
    let (mut claims, mut imports, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    let mut alone = Vec::new();
    for job in jobs {
        match job {
            LedgerJob::Claim(wanted, reply) => claims.push((wanted, reply)),
            LedgerJob::Import(bids, reply) => imports.push((bids, reply)),
            LedgerJob::Apply(asked, reply) => changes.push((asked, reply)),
            other => alone.push(other),
        }
    }
    // What is past the door waits for its record: changes first.
    batch(lane, false, changes, |session, all| async move { apply::apply(&session, &all).await }).await;
    let claim = |session: Arc<Session>, all: Arc<[Wanted]>| {
        let clock = Arc::clone(&clock);
        async move { claim::claim(&session, &clock, &all).await }
    };
    batch(lane, true, claims, claim).await;
    let import = |session: Arc<Session>, all: Arc<[NewImport]>| {
        let clock = Arc::clone(&clock);
        async move { import::import(&session, &clock, &all).await }
    };
    batch(lane, true, imports, import).await;
    for job in alone {
        match job {
            LedgerJob::Sweep(limit, reply) => {
                let run = |session: Arc<Session>| async move { sweep::sweep(&session, limit).await };
                reply.send(lane.transact(true, run).await);
            }
            LedgerJob::Health(reply) => {
                let run = |session: Arc<Session>| async move { health::write(&session).await };
                reply.send(lane.transact(true, run).await);
            }
            LedgerJob::Note(note, reply) => {
                let run = |session: Arc<Session>| {
                    let note = Arc::clone(&note);
                    async move { read::write_note(&session, &note).await }
                };
                // Asked again after a lost answer, it would find itself and say that it was late.
                reply.send(lane.transact(false, run).await);
            }
            LedgerJob::Claim(..) | LedgerJob::Import(..) | LedgerJob::Apply(..) => {}
        }
    }
}

/// Runs calls of one kind in one transaction. If that fails by the fault of one of them, each runs alone.
async fn batch<Q: Clone, A, F: Future<Output = Result<Vec<A>>>>(
    lane: &mut Lane,
    repeatable: bool,
    calls: Vec<(Vec<Q>, Reply<Vec<A>>)>,
    run: impl Fn(Arc<Session>, Arc<[Q]>) -> F,
) {
    if calls.is_empty() {
        return;
    }
    let (requests, replies): (Vec<Vec<Q>>, Vec<Reply<Vec<A>>>) = calls.into_iter().unzip();
    let all: Arc<[Q]> = requests.concat().into();
    match lane.transact(repeatable, |session| run(session, Arc::clone(&all))).await {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for (asked, reply) in requests.iter().zip(replies) {
                reply.send(Ok(answers.by_ref().take(asked.len()).collect()));
            }
        }
        Err(error) if replies.len() > 1 && is_of_one(&error) => {
            for (asked, reply) in requests.into_iter().zip(replies) {
                let asked: Arc<[Q]> = asked.into();
                reply.send(lane.transact(repeatable, |session| run(session, Arc::clone(&asked))).await);
            }
        }
        Err(error) => {
            for reply in replies {
                reply.send(Err(error.clone()));
            }
        }
    }
}

/// Faults that one request can bring over the others of its batch.
fn is_of_one(error: &Error) -> bool {
    use ErrorKind as Kind;
    matches!(error.kind(), Kind::Statement | Kind::Invalid | Kind::Corrupt | Kind::Conflict)
        && error.effect() == Effect::NotApplied
}
