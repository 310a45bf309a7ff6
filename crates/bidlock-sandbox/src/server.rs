//! The server: connections in, replies out.

use std::{
    convert::Infallible,
    fmt,
    io::BufReader,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};

use crate::{
    SandboxError, clock,
    connection::Resettable,
    handler::{Received, Shared},
    market::Market,
    modes::Modes,
    plan::Reply,
    record::{Line, Recorder, Report, ReportError, WriteWatch, read_lines},
};

/// The most connections at one time; more wait in the kernel's queue. Enough for the largest fleet of a
/// test on one host, and below common limits of open files.
const MAX_CONNECTIONS: usize = 512;
/// The longest body that is read, in bytes: a proposal is a few kilobytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long a client may take to send headers, and then the body.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long a silent sandbox keeps a connection that nobody closes.
const MAX_SILENCE: Duration = Duration::from_secs(3600);
/// The pause after the system refused a connection, such as for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and how a sandbox runs.
#[derive(Clone)]
pub struct SandboxOptions {
    /// The record. An existing one is continued, and what it holds is remembered.
    pub log: PathBuf,
    /// The address to listen at; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How it behaves.
    pub modes: Modes,
    /// Whether the record outlives a power loss, at the price of a disk's delay before each answer. Without it, it outlives
    /// the end of this process only.
    pub is_synced: bool,
    /// Is told how long each write of the record took.
    wrote: WriteWatch,
}

impl fmt::Debug for SandboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SandboxOptions { log, listen, modes, is_synced, wrote: _ } = self;
        f.debug_struct("SandboxOptions")
            .field("log", log)
            .field("listen", listen)
            .field("modes", modes)
            .field("is_synced", is_synced)
            .finish_non_exhaustive()
    }
}

impl SandboxOptions {
    /// On a free port of this host only, with the default modes.
    pub fn new(log: impl Into<PathBuf>) -> SandboxOptions {
        SandboxOptions {
            log: log.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            modes: Modes::default(),
            is_synced: true,
            wrote: Arc::new(|_| ()),
        }
    }

    /// With these modes.
    pub fn modes(mut self, modes: Modes) -> SandboxOptions {
        self.modes = modes;
        self
    }

    /// Hands the record to the system, and does not wait for the disk: for whoever measures by the clock on a disk that
    /// others use too, and throws the record away if the host loses its power.
    pub fn without_sync(mut self) -> SandboxOptions {
        self.is_synced = false;
        self
    }

    /// Tells how long each write of the record took, on the thread that writes.
    pub fn on_write(mut self, wrote: impl Fn(Duration) + Send + Sync + 'static) -> SandboxOptions {
        self.wrote = Arc::new(wrote);
        self
    }

    /// At this address.
    pub fn listen(mut self, address: SocketAddr) -> SandboxOptions {
        self.listen = address;
        self
    }
}

/// A marketplace that runs in this process until it is stopped or dropped.
///
/// Every request, and every decision about one, is in the record before anything is answered: durably, unless
/// [`without_sync`](SandboxOptions::without_sync) was asked for.
/// A submission that has been received is decided even if its client has gone away meanwhile, as by a real
/// marketplace; only stopping the sandbox cuts a decision off.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    log: PathBuf,
    stop: watch::Sender<bool>,
    /// Closed when the last task has ended.
    alive: mpsc::Receiver<Infallible>,
}

impl Sandbox {
    /// Starts one. It answers when this returns.
    ///
    /// # Errors
    /// The record can't be opened, is in use by another sandbox, or the address can't be listened at.
    pub async fn start(options: SandboxOptions) -> Result<Sandbox, SandboxError> {
        let SandboxOptions { log, listen, modes, is_synced, wrote } = options;
        let (recorder, earlier) = Recorder::open(&log, is_synced, wrote)?;
        let mut market = Market::default();
        let record = |doing, source| SandboxError::Record { doing, path: log.clone(), source };
        let read = read_lines(BufReader::new(earlier), |line| market.restore(line))
            .map_err(|source| record("read", source))?;
        if read.unreadable > 0 {
            tracing::warn!(log = %log.display(), lines = read.unreadable, "some lines of the record can't be read");
        }
        let failed = |source| SandboxError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let start = Line::Start { at: clock::now(), modes: modes.to_string(), pid: std::process::id() };
        recorder
            .append(&[start])
            .durable()
            .await
            .map_err(|why| record("write", std::io::Error::other(why)))?;
        let shared = Arc::new(Shared {
            submissions: watch::Sender::new(market.submissions()),
            market: Mutex::new(market),
            modes: RwLock::new(Arc::new(modes)),
            recorder,
        });
        let stop = watch::Sender::new(false);
        let (still, alive) = mpsc::channel(1);
        let tasks = Tasks { shared: shared.clone(), stop: stop.subscribe(), _still: still };
        tokio::spawn(tasks.accept(listener));
        Ok(Sandbox { shared, address, log, stop, alive })
    }

    /// Where bids go, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The record.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Behaves in another way from the next request on.
    pub fn set_modes(&self, modes: Modes) {
        *self.shared.modes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(modes);
    }

    /// What the record proves up to now.
    ///
    /// # Errors
    /// The record can't be read.
    pub fn report(&self) -> Result<Report, ReportError> {
        Report::read(&self.log)
    }

    /// Submissions in the record, those of earlier runs included.
    pub fn submissions(&self) -> u64 {
        *self.shared.submissions.borrow()
    }

    /// Waits until the record holds at least so many submissions. They have been received then, and not
    /// necessarily answered.
    pub async fn wait_for_submissions(&self, at_least: u64) {
        // The sender lives in `shared`, so that this ends only when the number is reached.
        let _ = self.shared.submissions.subscribe().wait_for(|n| *n >= at_least).await;
    }

    /// Stops: breaks every connection off, and returns when the record is closed. Requests that were under
    /// way stay without an answer line.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // Nothing is ever sent: this ends when all tasks have.
        self.alive.recv().await;
        self.shared.recorder.close().await;
    }
}

/// What every task of a sandbox holds. A dropped `Sandbox` stops them too, by dropping the sender.
#[derive(Clone)]
struct Tasks {
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    _still: mpsc::Sender<Infallible>,
}

impl Tasks {
    async fn stopped(&self) {
        // An error says that the `Sandbox` was dropped.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    async fn accept(self, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let next = async {
                let slot = slots.clone().acquire_owned().await.ok()?;
                Some((slot, listener.accept().await))
            };
            let accepted = tokio::select! {
                () = self.stopped() => return,
                accepted = next => accepted,
            };
            match accepted {
                Some((slot, Ok((stream, peer)))) => {
                    tokio::spawn(self.clone().serve(stream, peer, Arc::new(slot)));
                }
                Some((_, Err(why))) => {
                    tracing::warn!(%why, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => return,
            }
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, slot: Arc<OwnedSemaphorePermit>) {
        // A latency of Nagle's making would be told as the marketplace's.
        let _ = stream.set_nodelay(true);
        let (stream, reset) = Resettable::new(stream);
        let service = service_fn(|request| self.clone().answer(request, peer, reset.clone(), slot.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(READ_LIMIT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            () = self.stopped() => {}
            // An error is a client that went away, or a connection broken on purpose.
            ended = connection => if let Err(why) = ended {
                tracing::debug!(%peer, %why, "a connection ended early");
            },
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
        reset: Arc<AtomicBool>,
        slot: Arc<OwnedSemaphorePermit>,
    ) -> Result<Response<Full<Bytes>>, Cut> {
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(READ_LIMIT, Limited::new(body, MAX_BODY_BYTES).collect());
        let body = match body.await {
            Ok(Ok(collected)) => Some(collected.to_bytes().to_vec()),
            Ok(Err(why)) if why.is::<LengthLimitError>() => None,
            // The request never came to its end.
            Ok(Err(_)) | Err(_) => return Err(Cut),
        };
        let received = Received { method: parts.method, uri: parts.uri, headers: parts.headers, body, peer };
        // A task of its own, so that a client that hangs up does not take its bid back by that. The slot
        // goes with it: it bounds these tasks too.
        let handled = tokio::spawn(async move {
            let _slot = slot;
            tokio::select! {
                () = self.stopped() => None,
                reply = self.shared.handle(received) => Some(reply),
            }
        });
        match handled.await.ok().flatten() {
            Some(Reply::Http { status, body, header }) => Ok(response(status, body, header)),
            Some(Reply::Silent) => {
                tokio::time::sleep(MAX_SILENCE).await;
                Err(Cut)
            }
            Some(Reply::Reset) => {
                reset.store(true, Ordering::SeqCst);
                Err(Cut)
            }
            None => Err(Cut),
        }
    }
}

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("broken off")]
struct Cut;

fn response(status: u16, body: String, header: Option<(&'static str, String)>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    // Only statuses between 200 and 503 are ever asked for, all of which exist.
    *response.status_mut() = status.try_into().unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, value)) = header
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        response.headers_mut().insert(name, value);
    }
    response
}
