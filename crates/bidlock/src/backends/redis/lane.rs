//! A lane: calls that come while others are under way share the next round trip.
//!
//! A caller that finds the lane free sends at once, on its own task: one task alone has the latency of a plain call.
//! If others were about of late, it first lets the tasks that are ready say what they want. Whatever comes while
//! enough calls are under way goes together when the first of them comes back. So many tasks have few script calls
//! between them, and nothing is waited for by the clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::faults::{Fault, odd_answer};
use crate::error::ErrorKind;
use crate::sync::locked;

/// How many calls of one kind are under way at a time: while the server works on one, the next is on its way.
const MAX_UNDER_WAY: usize = 2;
/// The most requests that share a round trip, unless one caller brings more.
const MAX_SHARED: usize = 256;
/// How many requests may wait: more means that the server is far behind.
const MAX_QUEUED: usize = 65_536;

/// Sends requests, and answers each.
type Send<R, A> = Box<dyn Fn(Vec<R>) -> BoxFuture<'static, Result<Vec<A>, Fault>> + std::marker::Send + Sync>;

pub(super) struct Lane<R, A> {
    send: Send<R, A>,
    state: Mutex<State<R, A>>,
}

struct State<R, A> {
    under_way: usize,
    /// The last call was shared, or somebody waits: company is likely.
    company: bool,
    queued: usize,
    queue: VecDeque<Queued<R, A>>,
}

struct Queued<R, A> {
    requests: Vec<R>,
    answer: oneshot::Sender<Result<Vec<A>, Fault>>,
}

impl<R, A> Lane<R, A>
where
    R: Clone + std::marker::Send + Sync + 'static,
    A: std::marker::Send + 'static,
{
    pub(super) fn new<F>(send: impl Fn(Vec<R>) -> F + std::marker::Send + Sync + 'static) -> Arc<Lane<R, A>>
    where
        F: Future<Output = Result<Vec<A>, Fault>> + std::marker::Send + 'static,
    {
        let state = State { under_way: 0, company: false, queued: 0, queue: VecDeque::new() };
        Arc::new(Lane { send: Box::new(move |requests| Box::pin(send(requests))), state: Mutex::new(state) })
    }

    /// Sends the requests, alone or with others, and answers them in order. Dropping the future leaves what has been
    /// sent to its fate, and takes back what has not.
    pub(super) async fn call(self: &Arc<Self>, requests: &[R]) -> Result<Vec<A>, Fault> {
        let answered = match self.enter(requests)? {
            Entry::Alone(_slot) => return (self.send)(requests.to_vec()).await,
            Entry::First(slot, answered) => {
                tokio::task::yield_now().await;
                // The slot's end sends what is there by now, on a task of its own.
                drop(slot);
                answered
            }
            Entry::Queued(answered) => answered,
        };
        answered.await.unwrap_or_else(|_| {
            let message = "the runtime that would have sent this has ended";
            Err(Fault::new(ErrorKind::Unavailable, message).maybe_applied())
        })
    }

    fn enter(self: &Arc<Self>, requests: &[R]) -> Result<Entry<R, A>, Fault> {
        let mut state = locked(&self.state);
        let free = state.under_way < MAX_UNDER_WAY;
        if free && !state.company {
            state.under_way += 1;
            return Ok(Entry::Alone(Slot(Arc::clone(self))));
        }
        if state.queued + requests.len() > MAX_QUEUED {
            let message = format!("{MAX_QUEUED} requests wait for the server already");
            return Err(Fault::new(ErrorKind::Busy, message).hint("ask with fewer tasks"));
        }
        state.company = true;
        let (answer, answered) = oneshot::channel();
        state.queued += requests.len();
        state.queue.push_back(Queued { requests: requests.to_vec(), answer });
        if free {
            state.under_way += 1;
            return Ok(Entry::First(Slot(Arc::clone(self)), answered));
        }
        Ok(Entry::Queued(answered))
    }

    /// What goes next, or nothing, and then the slot is given back.
    fn next(&self) -> Vec<Queued<R, A>> {
        let mut state = locked(&self.state);
        let (mut batch, mut count) = (Vec::new(), 0);
        while let Some(first) = state.queue.front() {
            let more = first.requests.len();
            if count > 0 && count + more > MAX_SHARED {
                break;
            }
            let Some(queued) = state.queue.pop_front() else { break };
            state.queued -= more;
            if !queued.answer.is_closed() {
                count += more;
                batch.push(queued);
            }
        }
        if batch.is_empty() {
            state.under_way -= 1;
        } else {
            state.company = batch.len() > 1 || !state.queue.is_empty();
        }
        batch
    }

    /// Sends what waited.
    async fn go(slot: Slot<R, A>, batch: Vec<Queued<R, A>>) {
        // As long as need be and no longer: room for the most would be a large allocation for each call.
        let mut requests = Vec::with_capacity(batch.iter().map(|queued| queued.requests.len()).sum());
        let mut callers = Vec::with_capacity(batch.len());
        for queued in batch {
            callers.push((queued.requests.len(), queued.answer));
            requests.extend(queued.requests);
        }
        let count = requests.len();
        let answers = match (slot.0.send)(requests).await {
            Ok(answers) if answers.len() == count => Ok(answers),
            Ok(_) => Err(odd_answer("a script")),
            Err(fault) => Err(fault),
        };
        drop(slot);
        match answers {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (count, answer) in callers {
                    // A caller that has left does not hear it.
                    let _ = answer.send(Ok(answers.by_ref().take(count).collect()));
                }
            }
            Err(fault) => {
                for (_, answer) in callers {
                    let _ = answer.send(Err(fault.clone()));
                }
            }
        }
    }
}

/// How a caller comes into a lane.
enum Entry<R, A>
where
    R: Clone + std::marker::Send + Sync + 'static,
    A: std::marker::Send + 'static,
{
    /// Nobody else is about.
    Alone(Slot<R, A>),
    /// The first of several, as it seems: its slot is for whoever comes in a moment as well.
    First(Slot<R, A>, oneshot::Receiver<Result<Vec<A>, Fault>>),
    /// Behind others.
    Queued(oneshot::Receiver<Result<Vec<A>, Fault>>),
}

impl<R, A> std::fmt::Debug for Lane<R, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lane")
    }
}

/// The right to have a call under way. When it ends, however it ends, what waited goes next.
struct Slot<R, A>(Arc<Lane<R, A>>)
where
    R: Clone + std::marker::Send + Sync + 'static,
    A: std::marker::Send + 'static;

impl<R, A> Drop for Slot<R, A>
where
    R: Clone + std::marker::Send + Sync + 'static,
    A: std::marker::Send + 'static,
{
    fn drop(&mut self) {
        loop {
            let batch = self.0.next();
            if batch.is_empty() {
                return;
            }
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => {
                    // The slot goes on to what is sent next, also if that is dropped before it starts.
                    runtime.spawn(Lane::go(Slot(Arc::clone(&self.0)), batch));
                    return;
                }
                // No runtime, nobody to send it: the callers hear of it by the drop of their channels.
                Err(_) => drop(batch),
            }
        }
    }
}

#[cfg(test)]
mod tests;
