//! A way to a server that can be broken: what comes through, how late, in which direction, and what is lost.
//!
//! Bytes are never changed or left out in the middle of a connection, as no network does that to TCP: what is held
//! arrives later, or its connection ends.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// The most connections of one proxy at one time; more wait in the kernel's queue. A process of ours keeps a few dozen.
const MAX_CONNECTIONS: usize = 256;
/// What is taken from a connection at one time. While it is held, the kernel's own buffers bound what waits behind it.
const CHUNK_BYTES: usize = 16 * 1024;
/// The pause after the system refused a connection, such as for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How a connection ends whose answer was thrown away. No other ends so.
const LOST: io::ErrorKind = io::ErrorKind::Interrupted;

/// How bytes travel in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// At once.
    #[default]
    Open,
    /// Not at all, until the way is open again. Nobody is told, and connections stay.
    Held,
    /// Each piece that was written arrives so much later.
    Late(Duration),
    /// A few bytes at a time, with this pause between them.
    Trickle(usize, Duration),
}

/// What holds for all connections of a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// From the client to the server.
    pub(crate) requests: Way,
    /// From the server to the client.
    pub(crate) replies: Way,
    /// Connections are reset, those that are there and those that come.
    pub(crate) refuses: bool,
}

/// Listens on a port of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

struct Shared {
    server: SocketAddr,
    weather: watch::Sender<Weather>,
    /// So many of the next replies are thrown away, each with its connection.
    to_lose: AtomicU32,
    /// Is told of each, with the port of the connection to the server.
    lost: Box<dyn Fn(u16) + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Proxy {
    /// A way to this server, which need not be up. `lost` is told of each answer that is thrown away, with the port of its
    /// connection as the server sees it.
    ///
    /// # Errors
    /// No port can be listened at.
    pub(crate) async fn to(
        server: SocketAddr,
        lost: impl Fn(u16) + Send + Sync + 'static,
    ) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (weather, to_lose) = (watch::Sender::default(), AtomicU32::new(0));
        let shared = Arc::new(Shared { server, weather, to_lose, lost: Box::new(lost) });
        let listener = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Proxy { address, shared, listener })
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for connections that are there and those to come.
    pub(crate) fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Everything comes through again. What was held arrives now.
    pub(crate) fn heal(&self) {
        self.shared.to_lose.store(0, Ordering::SeqCst);
        self.set(Weather::default());
    }

    /// Throws away what the server answers next, and resets that connection; so often.
    pub(crate) fn lose_replies(&self, count: u32) {
        self.shared.to_lose.store(count, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        // Whoever is held ends: its watch is closed with the last sender, which connections hold too. So they are told.
        self.shared.weather.send_replace(Weather { refuses: true, ..Weather::default() });
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _slot = slot;
                    connection(client, &shared).await;
                });
            }
            Err(why) => {
                tracing::warn!(%why, "the fault proxy could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(mut client: TcpStream, shared: &Shared) {
    let mut weather = shared.weather.subscribe();
    let refusing = *weather.borrow_and_update();
    let server = if refusing.refuses { None } else { TcpStream::connect(shared.server).await.ok() };
    let Some(mut server) = server else {
        // As if nobody listened. Failing, it ends with a farewell, which is no harm either.
        let _ = client.set_zero_linger();
        return;
    };
    for stream in [&client, &server] {
        // Whoever waits for small packets would measure Nagle's algorithm.
        let _ = stream.set_nodelay(true);
    }
    let port = server.local_addr().map_or(0, |own| own.port());
    let ended = carry_both(client.split(), server.split(), shared, &mut weather).await;
    if let Err(why) = ended {
        if why.kind() == LOST {
            (shared.lost)(port);
        }
        // Both ends meet a reset, and not a farewell.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

type Halves<'a> = (ReadHalf<'a>, WriteHalf<'a>);

async fn carry_both(
    (from_client, to_client): Halves<'_>,
    (from_server, to_server): Halves<'_>,
    shared: &Shared,
    weather: &mut watch::Receiver<Weather>,
) -> io::Result<()> {
    let requests = carry(from_client, to_server, Direction::Requests, shared);
    let replies = carry(from_server, to_client, Direction::Replies, shared);
    tokio::select! {
        carried = async { tokio::try_join!(requests, replies) } => carried.map(drop),
        // The sender lives at least as long as this connection.
        _ = weather.wait_for(|weather| weather.refuses) => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Replies,
}

impl Direction {
    fn way(self, weather: &Weather) -> Way {
        match self {
            Direction::Requests => weather.requests,
            Direction::Replies => weather.replies,
        }
    }
}

/// Carries one direction to its end. An error ends the connection.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    shared: &Shared,
) -> io::Result<()> {
    let mut weather = shared.weather.subscribe();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk).await?;
        if direction == Direction::Replies && length > 0 && shared.loses_one() {
            return Err(LOST.into());
        }
        let is_open = |weather: &Weather| direction.way(weather) != Way::Held;
        let now = weather.wait_for(is_open).await.map(|weather| direction.way(&weather));
        match now.unwrap_or_default() {
            Way::Open | Way::Held => to.write_all(&chunk[..length]).await?,
            Way::Late(by) => {
                tokio::time::sleep(by).await;
                to.write_all(&chunk[..length]).await?;
            }
            Way::Trickle(bytes, pause) => {
                for piece in chunk[..length].chunks(bytes.max(1)) {
                    to.write_all(piece).await?;
                    tokio::time::sleep(pause).await;
                }
            }
        }
        if length == 0 {
            return to.shutdown().await;
        }
    }
}

impl Shared {
    fn loses_one(&self) -> bool {
        self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// A server that answers every line with itself, and what reaches it.
    struct Echo {
        address: SocketAddr,
        heard: watch::Receiver<Vec<u8>>,
        peers: watch::Receiver<Vec<u16>>,
    }

    impl Echo {
        async fn start() -> Echo {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let (hears, heard) = watch::channel(Vec::new());
            let (meets, peers) = watch::channel(Vec::new());
            tokio::spawn(async move {
                loop {
                    let (mut client, peer) = listener.accept().await.unwrap();
                    meets.send_modify(|all| all.push(peer.port()));
                    let hears = hears.clone();
                    tokio::spawn(async move {
                        let mut buffer = [0; 256];
                        while let Ok(length @ 1..) = client.read(&mut buffer).await {
                            hears.send_modify(|all| all.extend_from_slice(&buffer[..length]));
                            if client.write_all(&buffer[..length]).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            });
            Echo { address, heard, peers }
        }

        async fn hears(&mut self, text: &[u8]) {
            self.heard.wait_for(|all| all.as_slice() == text).await.unwrap();
        }
    }

    async fn reads(client: &mut TcpStream, text: &[u8]) {
        let mut buffer = vec![0; text.len()];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, text);
    }

    async fn start() -> (Echo, Proxy, TcpStream) {
        let echo = Echo::start().await;
        let proxy = Proxy::to(echo.address, drop).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (echo, proxy, client)
    }

    /// Asks and is answered by another way, so often that whatever was under way on the first one has arrived.
    async fn meanwhile(echo: &Echo) {
        let proxy = Proxy::to(echo.address, drop).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        for _ in 0..50 {
            client.write_all(b".").await.unwrap();
            reads(&mut client, b".").await;
        }
    }

    #[tokio::test]
    async fn what_is_held_arrives_when_the_way_is_open_again() {
        let (mut echo, proxy, mut client) = start().await;
        client.write_all(b"one").await.unwrap();
        reads(&mut client, b"one").await;
        proxy.set(Weather { requests: Way::Held, ..Weather::default() });
        client.write_all(b"two").await.unwrap();
        meanwhile(&echo).await;
        proxy.heal();
        reads(&mut client, b"two").await;
        let heard = [b"one".as_slice(), &[b'.'; 50], b"two"].concat();
        echo.hears(&heard).await;
    }

    #[tokio::test]
    async fn replies_alone_are_held_while_requests_arrive() {
        let (mut echo, proxy, mut client) = start().await;
        proxy.set(Weather { replies: Way::Held, ..Weather::default() });
        client.write_all(b"one").await.unwrap();
        echo.hears(b"one").await;
        meanwhile(&echo).await;
        assert!(client.readable().now_or_never().is_none());
        proxy.heal();
        reads(&mut client, b"one").await;
    }

    #[tokio::test]
    async fn a_lost_reply_was_asked_for_is_told_of_and_ends_its_connection() {
        let mut echo = Echo::start().await;
        let (tell, told) = std::sync::mpsc::channel();
        let proxy = Proxy::to(echo.address, move |port| tell.send(port).unwrap()).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.lose_replies(1);
        client.write_all(b"one").await.unwrap();
        echo.hears(b"one").await;
        let broken = client.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [*echo.peers.borrow().last().unwrap()]);
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        again.write_all(b"two").await.unwrap();
        reads(&mut again, b"two").await;
    }

    #[tokio::test]
    async fn refusing_resets_what_is_there_and_what_comes() {
        let (_echo, proxy, mut client) = start().await;
        client.write_all(b"one").await.unwrap();
        reads(&mut client, b"one").await;
        proxy.set(Weather { refuses: true, ..Weather::default() });
        assert!(client.read(&mut [0; 8]).await.is_err());
        let mut next = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(next.read(&mut [0; 8]).await.is_err());
    }

    #[tokio::test]
    async fn late_and_in_pieces_everything_arrives_in_order() {
        let (_echo, proxy, mut client) = start().await;
        let late = Way::Late(Duration::from_millis(1));
        proxy.set(Weather {
            requests: late,
            replies: Way::Trickle(2, Duration::from_millis(1)),
            refuses: false,
        });
        client.write_all(b"one two three").await.unwrap();
        reads(&mut client, b"one two three").await;
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_refused_and_found_again() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let proxy = Proxy::to(address, drop).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(client.read(&mut [0; 8]).await.is_err());
        let back = TcpListener::bind(address).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = back.accept().await.unwrap();
        server.write_all(b"here").await.unwrap();
        reads(&mut client, b"here").await;
    }
}
