//! The one connection of a backend: made when it is needed, checked, watched, and made again when it breaks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, PushInfo, PushKind, RedisError, Value,
};

use super::checks::{self, Facts};
use super::faults::{Fault, fault, no_answer};
use super::options::RedisOptions;
use super::single;
use super::value::Names;
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::ErrorKind;
use crate::sync::locked;

/// The pause after the second failed attempt to connect in a row; the first is not waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// How many commands the client takes up before it lets callers wait.
const PIPELINE_BUFFER: usize = 1_024;

/// Takes what the server sends of its own accord.
pub(super) type OnPush = Arc<dyn Fn(Pushed) + Send + Sync>;

/// What a server says of its own accord.
pub(super) enum Pushed {
    /// A message on our channel.
    Message(Vec<u8>),
    /// The connection is gone, and with it whatever was on its way.
    Disconnected,
}

pub(super) struct Link {
    options: RedisOptions,
    names: Names,
    /// The channel on which this instance hears of locks handed over to it.
    channel: String,
    on_push: OnPush,
    state: Mutex<State>,
    /// The ledger that these locks serve, and how long the server remembers it; once it is known.
    ledger: Mutex<Option<(String, Duration)>>,
    /// The highest fencing token seen here: tokens go on from it if the server's clock goes back.
    latest_token: AtomicU64,
    /// How many commands were sent, for benchmarks.
    sent: AtomicU64,
    /// Held by whoever connects: others wait for the outcome instead of connecting too.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Counts connections, so that a late failure of an older one does not close a newer one.
    generation: u64,
    failures: u32,
    /// After a failure: no attempt before this, and why the last one failed.
    closed_until: Option<(Moment, Fault)>,
}

#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    generation: u64,
    pub(super) facts: Arc<Facts>,
}

/// Why a command has no answer.
pub(super) enum AskError {
    /// There is no connection.
    Unconnected(Fault),
    /// The client or the server says so.
    Redis(RedisError),
}

impl AskError {
    pub(super) fn is_unknown_script(&self) -> bool {
        matches!(self, AskError::Redis(error) if error.code() == Some("NOSCRIPT"))
    }
}

impl Link {
    pub(super) fn new(options: RedisOptions, channel: String, on_push: OnPush) -> Link {
        Link {
            names: Names::new(&options.key_prefix),
            options,
            channel,
            on_push,
            state: Mutex::default(),
            ledger: Mutex::default(),
            latest_token: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn options(&self) -> &RedisOptions {
        &self.options
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn commands_sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    pub(super) fn latest_token(&self) -> u64 {
        self.latest_token.load(Relaxed)
    }

    /// From now on each new connection says first which ledger these locks serve.
    pub(super) fn serve(&self, ledger: &str, memory: Duration) {
        *locked(&self.ledger) = Some((ledger.to_owned(), memory));
    }

    pub(super) fn saw_token(&self, token: u64) {
        self.latest_token.fetch_max(token, Relaxed);
    }

    /// What is known of the server; `None` until a connection was made.
    pub(super) fn facts(&self) -> Option<Arc<Facts>> {
        locked(&self.state).live.as_ref().map(|live| Arc::clone(&live.facts))
    }

    /// The connection, made if there is none.
    pub(super) async fn live(self: &Link) -> Result<Live, Fault> {
        if let Some(live) = self.at_hand()? {
            return Ok(live);
        }
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.at_hand()? {
            return Ok(live);
        }
        let generation = locked(&self.state).generation + 1;
        let connected = tokio::time::timeout(self.options.connect_limit, self.connect()).await;
        let place = self.options.place();
        let connected = connected.unwrap_or_else(|_| Err(no_answer(&place)));
        let mut state = locked(&self.state);
        state.generation = generation;
        match connected {
            Ok((connection, facts)) => {
                let live = Live { connection, generation, facts: Arc::new(facts) };
                *state = State { live: Some(live.clone()), generation, ..State::default() };
                Ok(live)
            }
            Err(fault) => {
                let fault = fault.not_applied();
                state.closed_until = Some((SystemClock.now().later(pause(state.failures)), fault.clone()));
                state.failures = state.failures.saturating_add(1);
                Err(fault)
            }
        }
    }

    /// The connection if there is one; after a failure that is not long ago, that failure.
    fn at_hand(&self) -> Result<Option<Live>, Fault> {
        let state = locked(&self.state);
        match (&state.live, &state.closed_until) {
            (Some(live), _) => Ok(Some(live.clone())),
            (None, Some((until, fault))) if SystemClock.now() < *until => Err(fault.clone()),
            _ => Ok(None),
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Facts), Fault> {
        let place = self.options.place();
        let fault = |error| fault(&place, error);
        let (mut connection, push) = match self.open(self.options.server.clone(), true).await {
            Err(error) if is_old_protocol(&error) => {
                let server = self.options.server_without_push();
                (self.open(server, false).await.map_err(fault)?, false)
            }
            opened => (opened.map_err(fault)?, true),
        };
        let facts = checks::examine(&mut connection, &self.options, push).await?;
        if push {
            connection.subscribe(&self.channel).await.map_err(fault)?;
        }
        self.bind_again(&mut connection).await;
        tracing::debug!(place, version = facts.version, push, "connected to Redis");
        Ok((connection, facts))
    }

    /// A server that has lost its data learns which ledger its locks serve before any of them is taken, so that no other
    /// ledger's scanners come first. One that knows another keeps that: whoever asks is told.
    async fn bind_again(&self, connection: &mut MultiplexedConnection) {
        let Some((ledger, memory)) = locked(&self.ledger).clone() else { return };
        let mut set = redis::cmd("SET");
        set.arg(self.names.ledger()).arg(ledger).arg("NX").arg("PX").arg(single::ttl_ms(memory));
        if let Err(error) = set.query_async::<Value>(connection).await {
            // What keeps this from being written keeps locks from being taken.
            tracing::debug!(%error, "the ledger's id could not be kept with the locks");
        }
    }

    async fn open(&self, server: ConnectionInfo, push: bool) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_limit))
            .set_response_timeout(Some(self.options.response_limit))
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        let config = if push { config.set_push_sender(self.push_sender()) } else { config };
        let client = match &self.options.tls {
            Some(certificates) => Client::build_with_tls(server, certificates.clone())?,
            None => Client::open(server)?,
        };
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn push_sender(&self) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static {
        let on_push = Arc::clone(&self.on_push);
        move |push: PushInfo| {
            match push.kind {
                PushKind::Message => {
                    if let Some(Value::BulkString(payload)) = push.data.into_iter().nth(1) {
                        on_push(Pushed::Message(payload));
                    }
                }
                PushKind::Disconnection => on_push(Pushed::Disconnected),
                _ => {}
            }
            Ok(())
        }
    }

    /// Sends one command.
    pub(super) async fn ask(&self, cmd: &Cmd) -> Result<Value, AskError> {
        let mut live = self.live().await.map_err(AskError::Unconnected)?;
        self.sent.fetch_add(1, Relaxed);
        cmd.query_async(&mut live.connection).await.map_err(|error| {
            self.note(&live, &error);
            AskError::Redis(error)
        })
    }

    /// Sends one command; for all that has no use for the client's own error.
    pub(super) async fn query(&self, cmd: &Cmd) -> Result<Value, Fault> {
        self.ask(cmd).await.map_err(|error| self.fault(error))
    }

    /// Sends several commands in one go; all of them must succeed.
    pub(super) async fn query_all(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Fault> {
        let mut live = self.live().await?;
        self.sent.fetch_add(pipeline.len() as u64, Relaxed);
        pipeline.query_async(&mut live.connection).await.map_err(|error| {
            self.note(&live, &error);
            fault(&self.options.place(), error)
        })
    }

    pub(super) fn fault(&self, error: AskError) -> Fault {
        match error {
            AskError::Unconnected(fault) => fault,
            AskError::Redis(error) => fault(&self.options.place(), error),
        }
    }

    /// Leaves a connection that is broken, does not answer, or leads to a server that has become another.
    fn note(&self, live: &Live, error: &RedisError) {
        let changed = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "NOAUTH"));
        if changed || error.is_io_error() || error.is_unrecoverable_error() {
            self.leave(live.generation);
        }
    }

    fn leave(&self, generation: u64) {
        let mut state = locked(&self.state);
        if state.live.as_ref().is_some_and(|live| live.generation == generation) {
            state.live = None;
        }
    }

    /// Tries the idle connection now and then, until nobody uses it any more.
    pub(super) fn watch(self: &Arc<Link>) {
        let every = self.options.health_check_every;
        let link = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                SystemClock.sleep_until(SystemClock.now().later(every)).await;
                let Some(link) = Weak::upgrade(&link) else { return };
                // A broken connection is left by this, and made anew by whoever needs it next.
                let live = locked(&link.state).live.clone();
                if let Some(mut live) = live
                    && let Err(error) = redis::cmd("PING").query_async::<Value>(&mut live.connection).await
                {
                    tracing::info!(place = link.options.place(), %error, "the connection to Redis broke");
                    link.leave(live.generation);
                }
            }
        });
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("place", &self.options.place()).finish_non_exhaustive()
    }
}

/// Whether the server knows no other protocol than that of before Redis 6.
fn is_old_protocol(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::RESP3NotSupported || error.to_string().contains("unknown command")
}

/// Doubles with each failure, and is spread so that processes do not come back in step. The first attempt after a
/// connection broke is made at once.
fn pause(failures: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(MAX_PAUSE);
    full.mul_f64(rand::random_range(0.5..1.0))
}

/// For a server that is not fit to hold locks.
pub(super) fn unfit(message: String, hint: &'static str) -> Fault {
    Fault::new(ErrorKind::Unfit, message).hint(hint)
}
