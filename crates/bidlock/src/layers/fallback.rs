//! Goes over to a second engine while the first is away, and back when it has been well for a while.
//!
//! The primary is a network engine such as Redis, the secondary the database lock beside the ledger that all scanners
//! share: with Redis down, bidding goes on while the ledger is up. A change is logged once, as a warning under the
//! target `bidlock::audit`, told to an observer, and kept in [`Fallback::changes`]; [`Fallback::status`] is its health
//! state.
//!
//! # When
//!
//! The primary is *away* when a call to it fails with [`Unavailable`](ErrorKind::Unavailable),
//! [`Busy`](ErrorKind::Busy), [`Poisoned`](ErrorKind::Poisoned) (out of memory, disk full) or
//! [`Unfit`](ErrorKind::Unfit) (it has become a replica, or permits us nothing any more). Passing errors are for a
//! [`Retry`](super::retry::Retry) around the primary to try again. Every other error is passed on: another engine does
//! not mend what is ours. The way back is slow, so that nothing flaps: see [`HEALTHY_PROBES`] and [`MIN_DWELL`].
//!
//! # What holds, and what does not
//!
//! - A lease is renewed and released where it was granted, also after a change. While its engine is away it can't be
//!   renewed, and ends at its deadline unless the engine is back before. What could not be released there, or may have
//!   been granted there by a call whose answer was lost, is released when the engine is back.
//! - Waiters are told to ask again at a change, and queue in the other engine.
//! - Each process changes for itself, by what it sees. So while processes differ, and for leases granted before a
//!   change, **two scanners can hold one key, one in each engine**. That costs work that is done twice; the ledger's
//!   claim keeps a second bid out, as it does for every lock.
//! - Fencing tokens are the server's time in microseconds in both engines. Over a change they go back by as much as
//!   the two servers' clocks are apart, at the most.
//! - While the primary is away, which ledger its locks serve is [`Unknown`](LedgerBinding::Unknown). Before going back,
//!   the ledger's id is kept there ([`LockBackend::bind_ledger`]); where another ledger is known there, there is no way
//!   back, and whoever asks from then on is told of it.
//!
//! A secondary that is not shared by all who share the ledger is refused: see [`FallbackBuilder::build`].

mod elsewhere;
mod listing;
mod options;
mod probe;
mod switch;
mod waiter;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

pub use self::options::{FallbackBuilder, HEALTHY_PROBES, MIN_DWELL, PROBE_EVERY};
pub use self::switch::{FallbackChange, FallbackStatus, MAX_CHANGES, Using};

use self::elsewhere::{Abroad, LeftBehind};
use self::options::Timing;
use self::switch::{Switch, Turn};
use self::waiter::FallbackWaiter;
use crate::audit::Actor;
use crate::backend::{
    Acquire, Acquired, Capability, Grant, Health, HeldLock, KeyFilter, LedgerBinding, LockBackend, Page,
    Released, Renewed, Waiter,
};
use crate::clock::Clock;
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::sync::locked;

/// Two engines, of which one is used. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Fallback(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    primary: Arc<dyn LockBackend>,
    secondary: Arc<dyn LockBackend>,
    clock: Arc<dyn Clock>,
    timing: Timing,
    switch: Switch,
    /// What the secondary has granted and still holds.
    abroad: Abroad,
    /// What may still be held in the primary though nobody wants it any more.
    left_behind: LeftBehind,
    /// The last binding that was asked for: the primary must have it before it is used again.
    binding: Mutex<Option<Binding>>,
    /// A task looks after the primary.
    probing: AtomicBool,
}

#[derive(Clone, Debug)]
struct Binding {
    ledger: String,
    memory: Duration,
    replace: bool,
    /// What the primary answered last.
    answer: LedgerBinding,
}

impl Fallback {
    /// The primary, and what stands in for it.
    pub fn builder(primary: Arc<dyn LockBackend>, secondary: Arc<dyn LockBackend>) -> FallbackBuilder {
        FallbackBuilder::new(primary, secondary)
    }

    /// Looks which engine to begin with: the primary, or the secondary if a passing error keeps the primary from
    /// answering. Not needed; without it the first call looks.
    ///
    /// # Errors
    /// The primary answers, and can't be used as it is configured: that is for a person to mend, not to fall back from.
    /// Or neither engine answers.
    pub async fn start(&self) -> Result<Using> {
        let turn = self.0.switch.turn();
        match self.0.primary.check().await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => {
                self.0.secondary.check().await.map_err(|second| self.neither(second, &error))?;
                self.go_over(turn, &error);
            }
            Err(error) => return Err(error),
        }
        Ok(self.0.switch.turn().using)
    }

    /// Which engine is used, since when, and why.
    pub fn status(&self) -> FallbackStatus {
        self.0.switch.status(self.0.clock.now(), self.names())
    }

    /// The last changes, oldest first, at most [`MAX_CHANGES`].
    pub fn changes(&self) -> Vec<FallbackChange> {
        self.0.switch.changes()
    }

    fn names(&self) -> (&'static str, &'static str) {
        (self.0.primary.capability().name, self.0.secondary.capability().name)
    }

    /// Uses the secondary from now on, unless that was changed since `turn` already.
    fn go_over(&self, turn: Turn, error: &Error) {
        let (_, secondary) = self.names();
        let (now, wall) = (self.0.clock.now(), self.0.clock.wall());
        if self.0.switch.go_over(turn, secondary, error, (now, wall)) {
            probe::watch(&self.0);
        }
    }

    /// Which engine to ask. While it is the secondary, somebody looks after the primary.
    fn turn(&self) -> Turn {
        let turn = self.0.switch.turn();
        if turn.using == Using::Secondary {
            probe::watch(&self.0);
        }
        turn
    }

    /// The secondary's error while the primary is away as well.
    fn neither(&self, error: Error, primary: &Error) -> Error {
        error.also(&format!("and what it stands in for is away: {primary}"))
    }

    fn secondary_failed(&self, error: Error) -> Error {
        match self.0.switch.reason() {
            Some(reason) => error.also(&format!("and what it stands in for is away: {reason}")),
            None => error,
        }
    }

    /// Notes which locks the secondary has granted.
    fn remember(&self, requests: &[Acquire], answers: &[Acquired]) {
        let now = self.0.clock.now();
        let granted = requests.iter().zip(answers).filter_map(|(request, answer)| match answer {
            Acquired::Granted(grant) => Some((grant.nonce, now.later(request.ttl))),
            Acquired::Held(_) => None,
        });
        self.0.abroad.note(now, granted);
    }

    /// Leaves what the primary may hold for the time when it is back.
    fn leave_behind(&self, grants: impl Iterator<Item = Grant>, ttl: Duration) {
        let now = self.0.clock.now();
        self.0.left_behind.note(now, grants.map(|grant| (grant, now.later(ttl))));
    }

    /// The same for requests that the primary may have granted, though its answer was lost.
    fn leave_unknown(&self, requests: &[Acquire], error: &Error) {
        if error.effect() == Effect::Unknown {
            let longest = requests.iter().map(|request| request.ttl).max().unwrap_or_default();
            self.leave_behind(requests.iter().map(grant_of), longest);
        }
    }

    /// Queues in the engine in use.
    async fn queue(&self, request: &Acquire) -> Result<(Waiter, Turn)> {
        let turn = self.turn();
        if turn.using == Using::Primary {
            match self.0.primary.enlist(request).await {
                Ok(waiter) => return Ok((waiter, turn)),
                Err(error) if is_away(&error) => {
                    // Nothing is to stay taken, but an engine that does not answer can't be told.
                    self.leave_unknown(std::slice::from_ref(request), &error);
                    self.go_over(turn, &error);
                }
                Err(error) => return Err(error),
            }
        }
        let turn = self.0.switch.turn();
        let waiter = self.0.secondary.enlist(request).await.map_err(|error| self.secondary_failed(error))?;
        Ok((waiter, turn))
    }
}

/// Whether another engine helps against this error.
fn is_away(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Poisoned | ErrorKind::Unfit)
}

/// A grant of this request for a release, which compares key and nonce.
fn grant_of(request: &Acquire) -> Grant {
    Grant {
        key: request.key.clone(),
        holder: request.holder.clone(),
        nonce: request.nonce,
        token: crate::token::FencingToken::new(0), // unknown, and nothing compares it
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl LockBackend for Fallback {
    /// The primary's name, and what the engine in use can do.
    fn capability(&self) -> Capability {
        let (primary, secondary) = (self.0.primary.capability(), self.0.secondary.capability());
        let fencing = primary.fencing && secondary.fencing;
        match self.0.switch.turn().using {
            Using::Primary => Capability { fencing, ..primary },
            Using::Secondary => Capability { name: primary.name, fencing, ..secondary },
        }
    }

    async fn try_acquire(&self, requests: &[Acquire]) -> Result<Vec<Acquired>> {
        let turn = self.turn();
        if turn.using == Using::Primary {
            match self.0.primary.try_acquire(requests).await {
                Ok(answers) => return Ok(answers),
                Err(error) if is_away(&error) => {
                    self.leave_unknown(requests, &error);
                    self.go_over(turn, &error);
                }
                Err(error) => return Err(error),
            }
        }
        let answers = self.0.secondary.try_acquire(requests).await;
        let answers = answers.map_err(|error| self.secondary_failed(error))?;
        self.remember(requests, &answers);
        Ok(answers)
    }

    async fn renew(&self, grants: &[Grant], ttl: Duration) -> Result<Vec<Renewed>> {
        let turn = self.turn();
        let (home, abroad) = self.0.abroad.split(grants);
        let mut answers = vec![Renewed::Lost; grants.len()];
        let mut renew_abroad = async |places: &[usize]| -> Result<()> {
            let batch: Vec<Grant> = places.iter().map(|at| grants[*at].clone()).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let renewed = self.0.secondary.renew(&batch, ttl).await?;
            let until = self.0.clock.now().later(ttl);
            let still = batch.iter().zip(&renewed).filter(|(_, found)| **found == Renewed::Renewed);
            self.0.abroad.note(self.0.clock.now(), still.map(|(grant, _)| (grant.nonce, until)));
            places.iter().zip(renewed).for_each(|(at, found)| answers[*at] = found);
            Ok(())
        };
        renew_abroad(&abroad).await?;
        if home.is_empty() {
            return Ok(answers);
        }
        let batch: Vec<Grant> = home.iter().map(|at| grants[*at].clone()).collect();
        match self.0.primary.renew(&batch, ttl).await {
            Ok(renewed) => {
                // A lease that another process was granted by the secondary is found there.
                let lost = |(at, found): (&usize, &Renewed)| (*found == Renewed::Lost).then_some(*at);
                let open: Vec<usize> = home.iter().zip(&renewed).filter_map(lost).collect();
                if let Err(error) = renew_abroad(&open).await {
                    tracing::debug!(%error, "whether the secondary has the lease is not known");
                }
                for (at, found) in home.iter().zip(renewed) {
                    if found == Renewed::Renewed {
                        answers[*at] = found;
                    }
                }
                Ok(answers)
            }
            Err(error) if is_away(&error) => {
                self.go_over(turn, &error);
                renew_abroad(&home).await?;
                let all = answers.iter().all(|found| *found == Renewed::Renewed);
                if all { Ok(answers) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    async fn release(&self, grants: &[Grant]) -> Result<Vec<Released>> {
        let turn = self.turn();
        let (home, abroad) = self.0.abroad.split(grants);
        let mut answers = vec![Released::Expired; grants.len()];
        self.release_at(&*self.0.secondary, grants, &abroad, &mut answers).await?;
        self.0.abroad.forget(abroad.iter().map(|at| grants[*at].nonce));
        if home.is_empty() {
            return Ok(answers);
        }
        let asked = match turn.using {
            Using::Primary => self.release_at(&*self.0.primary, grants, &home, &mut answers).await,
            Using::Secondary => Err(self.still_away("release")),
        };
        // What the primary does not know, another process may have been granted by the secondary.
        let open: Vec<usize> = home.into_iter().filter(|at| answers[*at] != Released::Released).collect();
        if let Err(error) = self.release_at(&*self.0.secondary, grants, &open, &mut answers).await {
            tracing::debug!(%error, "whether the secondary has the lease is not known");
        }
        match asked {
            Ok(()) => Ok(answers),
            Err(error) if is_away(&error) => {
                self.go_over(turn, &error);
                let left = open.into_iter().filter(|at| answers[*at] != Released::Released);
                let left: Vec<Grant> = left.map(|at| grants[at].clone()).collect();
                if left.is_empty() {
                    return Ok(answers);
                }
                self.leave_behind(left.into_iter(), elsewhere::LONGEST_MEMORY);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn store_of(&self, grant: &Grant) -> usize {
        usize::from(self.0.abroad.has(grant.nonce))
    }

    async fn inspect(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.list(filter, page).await
    }

    async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.force(key, by).await
    }

    async fn enlist(&self, request: &Acquire) -> Result<Waiter> {
        let (waiter, turn) = self.queue(request).await?;
        Ok(Waiter::new(FallbackWaiter::new(self.clone(), request.clone(), waiter, turn)))
    }

    async fn bind_ledger(&self, ledger: &str, memory: Duration, replace: bool) -> Result<LedgerBinding> {
        let turn = self.turn();
        self.0.note_binding(ledger, memory, replace);
        if turn.using == Using::Primary {
            match self.0.bind().await {
                Err(error) if is_away(&error) => self.go_over(turn, &error),
                bound => return bound,
            }
        }
        // Made up for before the way back; a probe may have been told of another ledger by then.
        Ok(match locked(&self.0.binding).as_ref().map(|binding| &binding.answer) {
            Some(LedgerBinding::Another(other)) => LedgerBinding::Another(other.clone()),
            Some(LedgerBinding::Unsupported) => LedgerBinding::Unsupported,
            _ => LedgerBinding::Unknown,
        })
    }

    async fn check(&self) -> Result<Health> {
        self.look().await
    }
}

impl Fallback {
    /// Releases these places of the batch in one engine; what it does not hold keeps the answer it has.
    async fn release_at(
        &self,
        engine: &dyn LockBackend,
        grants: &[Grant],
        places: &[usize],
        answers: &mut [Released],
    ) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let batch: Vec<Grant> = places.iter().map(|at| grants[*at].clone()).collect();
        for (at, found) in places.iter().zip(engine.release(&batch).await?) {
            if found != Released::Expired {
                answers[*at] = found;
            }
        }
        Ok(())
    }

    /// For what is not asked of the primary while it is away.
    fn still_away(&self, operation: &'static str) -> Error {
        let reason = self.0.switch.reason().unwrap_or_default();
        let message = format!("the engine that granted this is away: {reason}");
        Error::new(ErrorKind::Unavailable, self.names().0, operation, message)
            .with_hint("it is released when the engine is back, if this process still runs then")
            .retried()
    }
}

impl Inner {
    /// Notes which binding is wanted.
    fn note_binding(&self, ledger: &str, memory: Duration, replace: bool) {
        let mut noted = locked(&self.binding);
        let before = noted.take().filter(|binding| binding.ledger == ledger);
        // What is asked again without `replace` takes back no `replace` that the primary has not heard of yet.
        let pending = before.as_ref().is_some_and(|binding| binding.replace);
        let answer = before.map_or(LedgerBinding::Unknown, |binding| binding.answer);
        *noted = Some(Binding { ledger: ledger.to_owned(), memory, replace: replace || pending, answer });
    }

    /// Keeps the ledger's id in the primary, as it was last asked for.
    async fn bind(&self) -> Result<LedgerBinding> {
        let Some(binding) = locked(&self.binding).clone() else { return Ok(LedgerBinding::Unsupported) };
        let bound = self.primary.bind_ledger(&binding.ledger, binding.memory, binding.replace).await?;
        // Another's id is put aside once, not at each way back.
        if let Some(asked) = &mut *locked(&self.binding)
            && asked.ledger == binding.ledger
        {
            asked.replace = false;
            asked.answer = bound.clone();
        }
        Ok(bound)
    }
}
