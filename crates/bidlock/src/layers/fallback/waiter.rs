//! A place in the queue of whichever engine is used.

use async_trait::async_trait;
use tokio::sync::watch;

use super::switch::{Turn as Change, Using};
use super::{Fallback, is_away};
use crate::backend::{Acquire, Enlisted, Held, Turn, Waiter};
use crate::error::Result;

/// Tells its owner to ask again when the engine changes, and then queues in the other one.
#[derive(Debug)]
pub(super) struct FallbackWaiter {
    fallback: Fallback,
    request: Acquire,
    place: Place,
    changes: watch::Receiver<Change>,
}

#[derive(Debug)]
enum Place {
    In {
        queue: Waiter,
        at: Change,
    },
    /// The engine has changed, and the owner has been told to ask.
    Left,
}

impl FallbackWaiter {
    pub(super) fn new(fallback: Fallback, request: Acquire, queue: Waiter, at: Change) -> FallbackWaiter {
        let changes = fallback.0.switch.turns();
        FallbackWaiter { fallback, request, place: Place::In { queue, at }, changes }
    }
}

#[async_trait]
impl Enlisted for FallbackWaiter {
    async fn next(&mut self) -> Result<Turn> {
        loop {
            let Place::In { queue, at } = &mut self.place else {
                let (queue, at) = self.fallback.queue(&self.request).await?;
                self.place = Place::In { queue, at };
                continue;
            };
            if *self.changes.borrow_and_update() != *at {
                self.place = Place::Left;
                return Ok(Turn::TryAgain);
            }
            let turn = tokio::select! {
                biased;
                turn = queue.next() => turn,
                _ = self.changes.changed() => continue,
            };
            match turn {
                Ok(Turn::Granted { grant, age, firm_for }) => {
                    if at.using == Using::Secondary {
                        let now = self.fallback.0.clock.now();
                        let until = now.later(self.request.ttl);
                        self.fallback.0.abroad.note(now, std::iter::once((grant.nonce, until)));
                    }
                    return Ok(Turn::Granted { grant, age, firm_for });
                }
                Ok(Turn::TryAgain) => return Ok(Turn::TryAgain),
                Err(error) if at.using == Using::Primary && is_away(&error) => {
                    let at = *at;
                    self.fallback.go_over(at, &error);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn held(&self) -> Option<Held> {
        match &self.place {
            Place::In { queue, .. } => queue.held(),
            Place::Left => None,
        }
    }
}
