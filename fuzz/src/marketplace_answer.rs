//! Whatever bytes a marketplace answers, over a real connection: nothing panics, a bid counts as accepted only by a
//! 200 or 201, and as proven not accepted only by a status that the contract lists.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, mpsc};
use std::time::Duration;

use bidlock_ledger::PostingId;
use bidlock_market::{Answer, HttpMarketplace, HttpOptions, Marketplace, Submission, WithdrawAnswer};
use uuid::Uuid;

/// The statuses by which the contract says that nothing was accepted.
const PROOFS: [u16; 9] = [400, 401, 402, 403, 404, 405, 410, 422, 429];

/// A marketplace that answers each request with the bytes it was given last, and hangs up.
struct Server {
    market: HttpMarketplace,
    answer: Mutex<mpsc::Sender<Vec<u8>>>,
    runtime: tokio::runtime::Runtime,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (answer, answers) = mpsc::channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            read_request(&mut stream);
            let _ = stream.write_all(&answers.recv().expect("an answer for each request"));
        }
    });
    let options = HttpOptions { time_limit: Duration::from_secs(5), ..HttpOptions::default() };
    let market = HttpMarketplace::new(url.parse().expect("a URL"), options).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Server { market, answer: Mutex::new(answer), runtime }
});

/// All of the request, so that the answer always comes behind it.
fn read_request(stream: &mut TcpStream) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        seen.extend_from_slice(&buffer[..count]);
        let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") else {
            if count == 0 { return } else { continue }
        };
        let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |text| text.trim().parse().expect("a length"));
        if count == 0 || seen.len() >= end + 4 + length {
            return;
        }
    }
}

/// Every status that stands anywhere in the bytes as HTTP/1 writes it.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let digits = |window: &[u8]| -> Option<u16> {
        (window.starts_with(b"HTTP/1.") && window[8] == b' ')
            .then(|| std::str::from_utf8(&window[9..12]).ok()?.parse().ok())?
    };
    bytes.windows(12).filter_map(digits).collect()
}

/// Panics where one of these does not hold.
pub fn check(bytes: &[u8]) {
    let server = &*SERVER;
    let told = statuses(bytes);
    let tells = |wanted: &[u16]| told.iter().any(|status| wanted.contains(status));
    let answer = |bytes: &[u8]| {
        server.answer.lock().expect("not poisoned").send(bytes.to_vec()).expect("the server lives");
    };
    let posting = PostingId::new("board", "made-up-1").expect("an id");

    answer(bytes);
    let submission = Submission {
        posting: posting.clone(),
        bid_id: Uuid::from_u128(1),
        idempotency_key: Uuid::from_u128(2),
        amount: None,
        proposal: "made up".to_owned(),
        posting_url: None,
    };
    let said = server.runtime.block_on(server.market.submit(&submission));
    match &said {
        Answer::Accepted { external_ref } => {
            assert!(tells(&[200, 201]), "accepted by {told:?}");
            assert!(!external_ref.trim().is_empty());
        }
        Answer::NotSent { detail } => panic!("the whole request had been read: {detail}"),
        said if said.proves_not_accepted() => assert!(tells(&PROOFS), "{said:?} by {told:?}"),
        _ => {}
    }

    answer(bytes);
    if let Ok(bids) = server.runtime.block_on(server.market.look_up(&posting)) {
        assert!(tells(&[200]), "{bids:?} by {told:?}");
    }

    answer(bytes);
    if server.runtime.block_on(server.market.withdraw("made-up-1")) == WithdrawAnswer::Withdrawn {
        assert!(tells(&[200, 204]), "withdrawn by {told:?}");
    }
}
