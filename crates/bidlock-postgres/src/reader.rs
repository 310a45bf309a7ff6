//! One pipelined connection that all readers of a process share.

use std::{future::Future, sync::Arc};

use tokio::sync::Mutex;

use crate::{ErrorKind, ManualClock, Result, Session, Target};

/// A read is harmless, so it is asked once more over a new connection where the old one turns out to be dead.
const TRIES: usize = 2;

/// The connection for statements that change nothing and stand alone.
#[derive(Debug)]
pub struct Reader {
    target: Target,
    clock: Option<ManualClock>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Reader {
    /// A reader that connects when it is needed, or goes on with a session that is open.
    pub fn new(target: Target, clock: Option<ManualClock>, session: Option<Session>) -> Reader {
        Reader { target, clock, session: Mutex::new(session.map(Arc::new)) }
    }

    /// Reads; a read that loses its connection is asked again.
    ///
    /// # Errors
    /// What the server says, or that it can't be reached.
    pub async fn read<T, F: Future<Output = Result<T>>>(&self, ask: impl Fn(Arc<Session>) -> F) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            let session = self.session().await?;
            match ask(Arc::clone(&session)).await {
                Err(error) if error.ends_session() => {
                    self.discard(&session).await;
                    if tries == TRIES || error.kind() != ErrorKind::Unavailable {
                        return Err(error);
                    }
                }
                answer => return answer,
            }
        }
    }

    async fn session(&self) -> Result<Arc<Session>> {
        let mut place = self.session.lock().await;
        if let Some(session) = place.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::connect(&self.target, self.clock.clone()).await?);
        *place = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn discard(&self, broken: &Arc<Session>) {
        let mut place = self.session.lock().await;
        if place.as_ref().is_some_and(|session| Arc::ptr_eq(session, broken)) {
            *place = None;
        }
    }
}
