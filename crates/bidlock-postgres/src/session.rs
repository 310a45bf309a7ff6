//! One connection.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::timeout;
use tokio_postgres::{
    Client, Row,
    types::{ToSql, Type},
};

use crate::{Effect, Error, ErrorKind, Result, Target};

/// The oldest server that is supported.
pub const OLDEST_SERVER: u32 = 13;
/// How long a server may take to answer before it counts as away: longer than a checkpoint's stall.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long connecting may take in all, with TLS and authentication, over all hosts.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// A clock that tests move: sets what the SQL function `bidlock.now_ms()` returns. Milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl Default for ManualClock {
    fn default() -> ManualClock {
        // Any fixed day will do; 2026-01-01 reads well in failures.
        ManualClock(Arc::new(AtomicI64::new(1_767_225_600_000)))
    }
}

impl ManualClock {
    /// A clock that stands still.
    pub fn new() -> ManualClock {
        ManualClock::default()
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// What it shows.
    pub fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn statement(&self) -> String {
        format!("SET bidlock.clock_ms = {}", self.now_ms())
    }
}

/// One argument of a statement with its type: nothing is asked of the server about a statement beforehand.
pub type Argument<'a> = (&'a (dyn ToSql + Sync), Type);

/// One connection. Dropping it ends the connection, and what is unfinished on it is undone.
#[derive(Debug)]
pub struct Session {
    client: Client,
    place: Arc<str>,
    version: u32,
    clock: Option<ManualClock>,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// The server can't be reached, refuses the user, or is too old.
    pub async fn connect(target: &Target, clock: Option<ManualClock>) -> Result<Session> {
        let place = target.place();
        let connector = target.trust.connector().map_err(|e| Error::new(ErrorKind::Unfit, place, e))?;
        let connecting = target.config.connect(connector);
        let (client, connection) = timeout(CONNECT_PATIENCE, connecting)
            .await
            .map_err(|_| {
                let message = format!("no connection within {} s", CONNECT_PATIENCE.as_secs());
                Error::new(ErrorKind::Unavailable, place, message)
            })?
            .map_err(|e| Error::of(place, &e).with_effect(Effect::NotApplied))?;
        let version = connection.parameter("server_version").unwrap_or_default();
        let major = version.split(['.', ' ', 'b', 'r', 'd']).next().and_then(|n| n.parse().ok()).unwrap_or(0);
        if major < OLDEST_SERVER {
            let message =
                format!("the server is PostgreSQL {version}; {OLDEST_SERVER} is the oldest that works");
            return Err(Error::new(ErrorKind::Unfit, place, message).with_hint("upgrade the server"));
        }
        // Whoever waits for an answer is told of the error; the task itself has nobody to tell.
        tokio::spawn(connection);
        Ok(Session { client, place: Arc::clone(place), version: major, clock })
    }

    /// The server's major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The driver's own client, for what has no place here (migrations).
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs one statement: one message there and one back. Polled together with others, in order, they travel
    /// together and are run in this order.
    ///
    /// # Errors
    /// What the server or the connection says.
    pub async fn query(&self, statement: &str, arguments: &[Argument<'_>]) -> Result<Vec<Row>> {
        let asked = self.client.query_typed(statement, arguments);
        let Some(clock) = &self.clock else { return self.within_patience(asked).await };
        let set = clock.statement();
        let (_, rows) = futures::join!(self.client.batch_execute(&set), self.within_patience(asked));
        rows
    }

    /// Runs statements without arguments and results.
    ///
    /// # Errors
    /// What the server or the connection says.
    pub async fn run(&self, statements: &str) -> Result<()> {
        self.within_patience(self.client.batch_execute(statements)).await
    }

    /// A fault as this crate's.
    pub fn fault(&self, error: &tokio_postgres::Error) -> Error {
        Error::of(&self.place, error)
    }

    async fn within_patience<T>(
        &self,
        asked: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.fault(&error)),
            Err(_) => {
                let message = format!("no answer within {} s", PATIENCE.as_secs());
                Err(Error::new(ErrorKind::Unavailable, &self.place, message).with_effect(Effect::Unknown))
            }
        }
    }
}

/// Statements on one session that travel together and are run in this order: each is sent before the first answer is
/// waited for.
pub async fn pipelined<T>(mut statements: Vec<BoxFuture<'_, Result<T>>>) -> Vec<Result<T>> {
    let mut early: Vec<Option<Result<T>>> = Vec::with_capacity(statements.len());
    for statement in &mut statements {
        // The first poll sends.
        early.push(
            std::future::poll_fn(|context| std::task::Poll::Ready(poll_once(statement, context))).await,
        );
    }
    let mut answers = Vec::with_capacity(statements.len());
    for (statement, early) in statements.into_iter().zip(early) {
        answers.push(match early {
            Some(answer) => answer,
            None => statement.await,
        });
    }
    answers
}

fn poll_once<T>(statement: &mut BoxFuture<'_, T>, context: &mut std::task::Context<'_>) -> Option<T> {
    match statement.poll_unpin(context) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}
