//! Faults of PostgreSQL and of the way to it: what is said, what is applied, and what goes on afterwards.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bidlock_ledger::{
    Actor, Applied, BidFilter, BidState, Change, ClaimOutcome, Effect, ErrorKind, LedgerStore, Move, Page,
    PostgresLedger, chain,
    conformance::fixtures::{bid_in, claim, door, existing, granted, moved, posting, read, request},
    postgres::PostgresOptions as Options,
};
use bidlock_postgres::tokio_postgres::{NoTls, connect};
use bidlock_testkit::{PgBouncer, PostgresOptions, PostgresServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

fn server() -> Option<PostgresServer> {
    PostgresServer::start(PostgresOptions::new())
}

async fn open(url: &str) -> PostgresLedger {
    PostgresLedger::open(url).await.unwrap()
}

/// Why it can't be opened, in all forms that somebody may log.
async fn refused(url: &str) -> (ErrorKind, String) {
    let error = PostgresLedger::open(url).await.unwrap_err();
    (error.kind(), format!("{error} {error:?}"))
}

#[tokio::test]
async fn what_is_wrong_with_a_url_or_a_user_is_named_with_the_way_out() {
    let Some(server) = server() else { return };
    server.sql("CREATE USER guest PASSWORD 'guest secret'");
    server.sql("CREATE DATABASE other");
    let closed = server.url().replace(&format!(":{}/", server.port()), ":1/");
    for (url, kind, words) in [
        (
            server.url_of("bidlock", "wrong secret", "bidlock"),
            ErrorKind::Unfit,
            ["password authentication", "pg_hba"],
        ),
        (
            server.url_of("bidlock", server.password(), "nowhere"),
            ErrorKind::Unfit,
            ["nowhere", "create the database"],
        ),
        (closed, ErrorKind::Unavailable, ["127.0.0.1:1", "running"]),
        (server.url_of("guest", "guest secret", "other"), ErrorKind::Unfit, ["permission denied", "grant"]),
        (format!("{}?sslmode=verify-full", server.url()), ErrorKind::Unavailable, ["127.0.0.1", "TLS"]),
    ] {
        let (found, text) = refused(&url).await;
        assert_eq!(found, kind, "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text} lacks one of {words:?}");
        assert!(!text.contains("secret"), "{text}");
    }
    // Once the schema is there, a user needs no right to make one.
    open(&server.url()).await;
    server.sql(
        "GRANT USAGE ON SCHEMA bidlock TO guest; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bidlock TO guest",
    );
    let guest = open(&server.url_of("guest", "guest secret", "bidlock")).await;
    bid_in(&guest, &posting("1"), BidState::Won).await;
    assert!(guest.check().await.unwrap().writable);
    assert!(!format!("{guest:?} {:?}", guest.check().await.unwrap()).contains("secret"));
    // A table that a later migration has added has rights of its own.
    server.sql("REVOKE ALL ON bidlock.notes FROM guest");
    let error = guest.note("any").await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Unfit, "{text}");
    assert!(["notes", "grant", "migrate up"].iter().all(|word| text.contains(word)), "{text}");
}

#[tokio::test]
async fn a_server_without_connections_left_says_what_to_do() {
    let few = PostgresOptions::new().with("max_connections", "6").with("superuser_reserved_connections", "0");
    let Some(server) = PostgresServer::start(few.with("max_wal_senders", "0")) else { return };
    let mut openings = Vec::new();
    let (kind, text) = loop {
        match PostgresLedger::open(&server.url()).await {
            Ok(ledger) => openings.push(ledger),
            Err(error) => break (error.kind(), error.to_string()),
        }
        assert!(openings.len() < 20);
    };
    assert_eq!(kind, ErrorKind::Busy, "{text}");
    assert!(text.contains("max_connections"), "{text}");
    // A writer that finds no connection grants nothing, and says that nothing was applied.
    let error = openings[0].claim(&[request(&posting("1"), "here")]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect(), error.is_retryable()),
        (ErrorKind::Busy, Effect::NotApplied, true)
    );
    openings.truncate(1);
    let mut tries = 0;
    while openings[0].claim(&[request(&posting("1"), "here")]).await.is_err() {
        tries += 1;
        assert!(tries < 500, "the others' connections have gone");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_standby_is_refused_and_named() {
    let Some(server) = server() else { return };
    let ledger = open(&server.url()).await;
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    let standby = server.standby();
    let url = server.url().replace(&format!(":{}/", server.port()), &format!(":{}/", standby.port()));
    // It may not have heard of the ledger yet; then the schema is to be made, and can't be.
    let reader = loop {
        match PostgresLedger::open(&url).await {
            Ok(ledger) => break ledger,
            Err(error) => {
                assert!(error.kind() == ErrorKind::Unfit && error.to_string().contains("standby"), "{error}");
            }
        }
    };
    assert_eq!(reader.bid(bid.id).await.unwrap().map(|b| b.id), Some(bid.id));
    let error = reader.claim(&[request(&posting("2"), "here")]).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unfit, Effect::NotApplied), "{error}");
    assert!(error.to_string().contains("standby") && error.to_string().contains("primary"), "{error}");
    let health = reader.check().await.unwrap();
    assert!(
        !health.writable && health.facts.iter().any(|(n, v)| n == "standby" && v.contains("yes")),
        "{health:?}"
    );
    // Both hosts in one URL: the driver finds the one that can write.
    let both = url.replace(
        &format!(":{}/", standby.port()),
        &format!(":{},127.0.0.1:{}/", standby.port(), server.port()),
    );
    let writer = open(&format!("{both}?target_session_attrs=read-write")).await;
    granted(&writer, &posting("2"), "here").await;
}

/// Stopped, killed, started again, sessions ended: nothing is granted meanwhile, and everything goes on afterwards.
#[tokio::test]
async fn a_server_that_goes_away_stops_everything_and_its_return_starts_it_again() {
    let Some(mut server) = server() else { return };
    let ledger = open(&server.url()).await;
    let mut bids = Vec::new();
    for round in 0..4 {
        let bid = granted(&ledger, &posting(&round.to_string()), "here").await.bid;
        match round {
            0 => server.stop(),
            1 => server.kill(),
            _ => {
                server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bidlock'");
            }
        }
        if round < 2 {
            for _ in 0..3 {
                let error = ledger.claim(&[request(&posting("away"), "here")]).await.unwrap_err();
                assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable(), "{error}");
                let change = Change::new(bid.claim_ref(), Actor::scanner("here"), door());
                assert_eq!(ledger.apply(&[change]).await.unwrap_err().kind(), ErrorKind::Unavailable);
                assert!(ledger.standing(&[posting("0")]).await.is_err());
            }
            assert!(!PostgresLedger::open(&server.url()).await.unwrap_err().to_string().contains("secret"));
            server.start_again();
        }
        // A claim that lost its answer is asked again within the call, so that at most the change sees the gap.
        let keyed = || Change::new(bid.claim_ref(), Actor::scanner("here"), door()).keyed("send-1");
        let sent = match ledger.apply(&[keyed()]).await {
            Ok(mut answers) => answers.remove(0),
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                ledger.apply(&[keyed()]).await.unwrap().remove(0)
            }
        };
        assert!(matches!(sent, Applied::Moved { .. } | Applied::Already(_)), "{sent:?}");
        bids.push(bid);
    }
    for bid in bids {
        let row = read(&ledger, &bid).await;
        assert_eq!((row.state, row.attempts), (BidState::Submitting, 1));
        chain::verify(&ledger.history(bid.id).await.unwrap(), row.events).unwrap();
    }
}

/// A way to the server that can swallow an answer.
struct Proxy {
    port: u16,
    /// The next request reaches the server; its answer, and the connection, are lost.
    cut: Arc<AtomicBool>,
    /// All connections end at once, whatever the server is doing for them.
    end: Arc<Notify>,
}

impl Proxy {
    async fn start(to: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, end) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (flag, ending) = (Arc::clone(&cut), Arc::clone(&end));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (flag, ending) = (Arc::clone(&flag), Arc::clone(&ending));
                tokio::spawn(async move {
                    tokio::select! {
                        () = relay(client, server, flag) => {}
                        () = ending.notified() => {}
                    }
                });
            }
        });
        Proxy { port, cut, end }
    }

    fn url(&self, server: &PostgresServer) -> String {
        server.url().replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicBool>) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let last = cut.swap(false, Ordering::SeqCst);
                if server.write_all(&up[..length]).await.is_err() {
                    return;
                }
                if last {
                    // The server has answered, so it has committed; nobody hears of it.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Catalogue 19: the answer to a commit is lost. A claim finds itself; a change is asked again by its key.
#[tokio::test]
async fn a_lost_answer_is_resolved_and_never_a_second_claim() {
    let Some(server) = server() else { return };
    let proxy = Proxy::start(server.port()).await;
    let ledger = PostgresLedger::open_with(Options::new(&proxy.url(&server)).with_writers(1)).await.unwrap();
    ledger.check().await.unwrap();

    proxy.cut.store(true, Ordering::SeqCst);
    let first = granted(&ledger, &posting("1"), "here").await;
    assert!(!first.taken_over && !proxy.cut.load(Ordering::SeqCst));
    assert_eq!(ledger.history(first.bid.id).await.unwrap().len(), 1, "made once");
    assert_eq!(existing(&ledger, &posting("1"), "other").await.claim_id, first.bid.claim_id);

    // The first message carries the guarded update, the second its event and the commit.
    for (name, messages) in [("undone", 1), ("committed", 2)] {
        let bid = granted(&ledger, &posting(name), "here").await.bid;
        let keyed = || Change::new(bid.claim_ref(), Actor::scanner("here"), door()).keyed("send-1");
        let cut = Arc::clone(&proxy.cut);
        let error = if messages == 1 {
            cut.store(true, Ordering::SeqCst);
            ledger.apply(&[keyed()]).await.unwrap_err()
        } else {
            // Between the two messages of one call: when the row is locked.
            let watcher = Arc::new(&server);
            let asked = [keyed()];
            let call = ledger.apply(&asked);
            watcher.sql("CREATE OR REPLACE FUNCTION slow() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
                CREATE TRIGGER slow AFTER UPDATE ON bidlock.bids FOR EACH ROW EXECUTE FUNCTION slow()");
            let arm = async {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                cut.store(true, Ordering::SeqCst);
            };
            let (called, ()) = tokio::join!(call, arm);
            watcher.sql("DROP TRIGGER slow ON bidlock.bids");
            called.unwrap_err()
        };
        assert_eq!(
            (error.kind(), error.effect(), error.is_retryable()),
            (ErrorKind::Unavailable, Effect::Unknown, true)
        );
        let again = ledger.apply(&[keyed()]).await.unwrap().remove(0);
        match messages {
            1 => assert!(matches!(again, Applied::Moved { .. }), "{again:?}"),
            _ => assert!(matches!(again, Applied::Already(_)), "{again:?}"),
        }
        let row = read(&ledger, &bid).await;
        assert_eq!((row.state, row.attempts, row.events), (BidState::Submitting, 1, 2), "{name}");
    }
}

/// The connection is lost while the server still makes the claim: asked again on another one it meets itself, sees that
/// the row is its own, and is granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_meets_itself_is_granted() {
    let Some(server) = server() else { return };
    let proxy = Proxy::start(server.port()).await;
    let ledger = PostgresLedger::open_with(Options::new(&proxy.url(&server)).with_writers(1)).await.unwrap();
    granted(&ledger, &posting("before"), "here").await;
    let (holding, connection) = connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    holding.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    server.sql(
        "CREATE FUNCTION pause() RETURNS TRIGGER LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
         CREATE TRIGGER pause AFTER INSERT ON bidlock.bids FOR EACH ROW EXECUTE FUNCTION pause()",
    );
    let claiming = tokio::spawn({
        let ledger = ledger.clone();
        async move { claim(&ledger, &posting("1"), "here").await }
    });
    server.wait_for_waiting(1);
    proxy.end.notify_waiters();
    server.wait_for_waiting(2);
    holding.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    let outcome = claiming.await.unwrap();
    let ClaimOutcome::Granted(granted) = outcome else { panic!("{outcome:?}") };
    assert!(!granted.taken_over);
    assert_eq!(ledger.history(granted.bid.id).await.unwrap().len(), 1, "made once");
    assert_eq!(existing(&ledger, &posting("1"), "other").await.claim_id, granted.bid.claim_id);
}

/// The server's disk is full: the claim is refused as such, and made when there is room again.
#[tokio::test]
async fn a_full_disk_is_called_that_and_nothing_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=120m", "bidlock-test"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED (no tmpfs can be mounted): a_full_disk_is_called_that_and_nothing_is_granted");
        return;
    }
    let _unmount = Unmount(disk.clone());
    let options = PostgresOptions::new().with("wal_keep_size", "0").in_folder(&disk.join("data"));
    let Some(server) = PostgresServer::start(options) else { return };
    let ledger = open(&server.url()).await;
    granted(&ledger, &posting("before"), "here").await;
    // The ledger is checkpointed, so that what is missing is room for new pages.
    server.sql("CHECKPOINT");
    let filler = disk.join("filler");
    let fill =
        Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output();
    assert!(!fill.unwrap().status.success(), "the disk is full");
    let mut refusal = None;
    for n in 0..200 {
        let mut wanted = request(&posting(&format!("full-{n}")), "here");
        // Does not compress, so that it needs new pages soon.
        wanted.payload.proposal = (0..4_000).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
        if let Err(error) = ledger.claim(&[wanted]).await {
            refusal = Some(error);
            break;
        }
    }
    let error = refusal.unwrap();
    println!("{error}");
    // A full disk of the log itself makes the server end; then it is away.
    assert!(matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Unavailable), "{error}");
    if error.kind() == ErrorKind::Poisoned {
        assert!(error.to_string().contains("make room"), "{error}");
        std::fs::remove_file(&filler).unwrap();
        assert!(matches!(claim(&ledger, &posting("after"), "here").await, ClaimOutcome::Granted(_)));
    }
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Behind a pooler that gives each transaction another connection: everything works, by many openings at once.
#[tokio::test]
async fn works_behind_a_transaction_pooler() {
    let Some(server) = PostgresServer::start(PostgresOptions::new().with("synchronous_commit", "off")) else {
        return;
    };
    let Some(pooler) = PgBouncer::start(&server) else { return };
    let mut tasks = Vec::new();
    for opening in 0..6 {
        let url = pooler.url();
        tasks.push(tokio::spawn(async move {
            let ledger = open(&url).await;
            let mut won = 0;
            for n in 0..30 {
                let job = posting(&((n + opening * 5) % 30).to_string());
                if let ClaimOutcome::Granted(claim) = claim(&ledger, &job, "here").await {
                    let sent = moved(&ledger, claim.bid.claim_ref(), door()).await;
                    moved(&ledger, sent.claim_ref(), Move::Accept { external_ref: "remote".to_owned() })
                        .await;
                    won += 1;
                }
                ledger.standing(&[job]).await.unwrap();
            }
            ledger.sweep(10).await.unwrap();
            assert!(ledger.check().await.unwrap().writable);
            won
        }));
    }
    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }
    assert_eq!(won, 30);
    let ledger = open(&pooler.url()).await;
    for bid in ledger.list(&BidFilter::default(), &Page::default()).await.unwrap() {
        chain::verify(&ledger.history(bid.id).await.unwrap(), bid.events).unwrap();
        assert_eq!((bid.state, bid.events), (BidState::Submitted, 3));
    }
}
