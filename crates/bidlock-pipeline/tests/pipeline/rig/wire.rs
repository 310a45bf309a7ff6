//! The way to a PostgreSQL server, which breaks at its n-th message.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request for TLS and one for GSS: the server answers with one byte.
const ASKS_FIRST: [u32; 2] = [80_877_103, 80_877_104];

/// Hands on whole messages, both ways, and counts them over all connections. At the n-th it hands that one on no more
/// and breaks the connection: a request is not done then, or the answer of what was done is lost. Other connections stay,
/// and new ones are made. Ends with the runtime that it was started on.
#[derive(Debug)]
pub struct Wire {
    pub port: u16,
    count: Arc<Count>,
}

#[derive(Debug)]
struct Count {
    at: usize,
    seen: AtomicUsize,
    struck: Mutex<Option<String>>,
}

impl Wire {
    pub async fn start(to: u16, at: usize) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = Arc::new(Count { at, seen: AtomicUsize::new(0), struck: Mutex::default() });
        let counting = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let count = Arc::clone(&counting);
                // However it ends: both sides see the end of their connection.
                tokio::spawn(async move { relay(client, server, &count).await });
            }
        });
        Wire { port, count }
    }

    /// What the n-th message was, if there was one.
    pub fn struck(&self) -> Option<String> {
        self.count.struck.lock().unwrap().clone()
    }
}

async fn relay(client: TcpStream, server: TcpStream, count: &Count) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (mut from_client, mut from_server) = (BufReader::new(from_client), BufReader::new(from_server));
    // What comes first has no kind.
    loop {
        let length = from_client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from_client.read_exact(&mut body).await?;
        to_server.write_u32(length).await?;
        to_server.write_all(&body).await?;
        if !ASKS_FIRST.iter().any(|code| body == code.to_be_bytes()) {
            break;
        }
        to_client.write_u8(from_server.read_u8().await?).await?;
    }
    tokio::select! {
        ended = hand_on("request", &mut from_client, &mut to_server, count) => ended,
        ended = hand_on("answer", &mut from_server, &mut to_client, count) => ended,
    }
}

async fn hand_on(
    what: &str,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: &Count,
) -> io::Result<()> {
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut message = Vec::with_capacity(length as usize + 1);
        message.push(kind);
        message.extend(length.to_be_bytes());
        message.resize(length as usize + 1, 0);
        from.read_exact(&mut message[5..]).await?;
        if count.seen.fetch_add(1, SeqCst) == count.at {
            *count.struck.lock().unwrap() = Some(format!("{what} {}", char::from(kind)));
            return Ok(());
        }
        to.write_all(&message).await?;
    }
}
