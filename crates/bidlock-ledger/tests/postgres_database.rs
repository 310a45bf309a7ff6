//! What is particular to the ledger on PostgreSQL: its schema, its index, tampering, settings of the server, faults.
#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{sync::Arc, time::Duration};

use bidlock_ledger::{
    Actor, Applied, BidFilter, BidState, Change, ClaimOutcome, Effect, ErrorKind, LedgerStore, Page,
    PostgresLedger,
    chain::{self, ChainFault},
    conformance::fixtures::{TTL, bid_in, claim, door, existing, granted, moved, posting, read, request},
    postgres::PostgresOptions as Options,
};
use bidlock_testkit::{PostgresOptions, PostgresServer};

fn server() -> Option<PostgresServer> {
    PostgresServer::start(PostgresOptions::new())
}

async fn open(server: &PostgresServer) -> PostgresLedger {
    PostgresLedger::open(&server.url()).await.unwrap()
}

async fn open_error(url: &str) -> (ErrorKind, String) {
    let error = PostgresLedger::open(url).await.unwrap_err();
    (error.kind(), format!("{error}"))
}

async fn fact(ledger: &PostgresLedger, name: &str) -> String {
    let facts = ledger.check().await.unwrap().facts;
    facts.into_iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no fact {name}")).1
}

/// Without the unique index nothing is granted at all; with a plain one in its place neither.
#[tokio::test]
async fn claims_rely_on_the_unique_index_and_fail_closed_without_it() {
    let Some(server) = server() else { return };
    let ledger = open(&server).await;
    granted(&ledger, &posting("1"), "before").await;
    for replacement in
        ["", "CREATE INDEX bids_live ON bidlock.bids (marketplace, posting) WHERE NOT rebid_allowed"]
    {
        server.sql(&format!("DROP INDEX IF EXISTS bidlock.bids_live; {replacement}"));
        for name in ["1", "2"] {
            let error = ledger.claim(&[request(&posting(name), "after")]).await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Internal, Effect::NotApplied), "{error}");
        }
        let rows = ledger.list(&BidFilter::default(), &Page::default()).await.unwrap();
        assert_eq!(rows.len(), 1, "the uniqueness case can't pass: claims are refused");
    }
}

/// The index itself refuses a second live row, whatever writes it.
#[tokio::test]
async fn the_database_itself_refuses_a_second_live_bid() {
    let Some(server) = server() else { return };
    granted(&open(&server).await, &posting("1"), "here").await;
    let copied = server.sql(
        "CREATE TABLE copy AS SELECT * FROM bidlock.bids; UPDATE copy SET id = gen_random_uuid(), epoch = 2;
         DO $$ BEGIN INSERT INTO bidlock.bids SELECT * FROM copy;
         EXCEPTION WHEN unique_violation THEN RAISE NOTICE 'refused'; END $$;
         SELECT count(*) FROM bidlock.bids",
    );
    assert_eq!(copied, "1");
}

/// A new row whose epoch is behind an earlier one's is refused by the database: the claim is run again, not granted.
#[tokio::test]
async fn s5_the_database_itself_refuses_an_epoch_that_does_not_grow() {
    let Some(server) = server() else { return };
    let ledger = open(&server).await;
    let bid = bid_in(&ledger, &posting("1"), BidState::Withdrawing).await;
    moved(&ledger, bid.claim_ref(), bidlock_ledger::Move::ConfirmWithdrawn { rebid_allowed: true }).await;
    let inserted = server.sql(
        "CREATE TABLE copy AS SELECT * FROM bidlock.bids;
         UPDATE copy SET id = gen_random_uuid(), rebid_allowed = FALSE;
         DO $$ BEGIN INSERT INTO bidlock.bids SELECT * FROM copy;
         EXCEPTION WHEN serialization_failure THEN RAISE NOTICE 'refused'; END $$;
         SELECT count(*) FROM bidlock.bids",
    );
    assert_eq!(inserted, "1");
    assert_eq!(granted(&ledger, &posting("1"), "next").await.bid.epoch.0, 2);
}

#[tokio::test]
async fn tampering_with_the_history_is_found() {
    let Some(server) = server() else { return };
    let ledger = open(&server).await;
    let cases = [
        ("UPDATE bidlock.events SET actor = 'somebody' WHERE seq = 2", 2, ChainFault::Changed),
        ("UPDATE bidlock.events SET detail = '{\"attempt\":7}' WHERE seq = 2", 2, ChainFault::Changed),
        ("DELETE FROM bidlock.events WHERE seq = 2", 2, ChainFault::Missing),
        ("DELETE FROM bidlock.events WHERE seq >= 3", 3, ChainFault::Cut),
    ];
    for (n, (statement, seq, fault)) in cases.into_iter().enumerate() {
        let bid = bid_in(&ledger, &posting(&n.to_string()), BidState::Withdrawing).await;
        chain::verify(&ledger.history(bid.id).await.unwrap(), bid.events).unwrap();
        server.sql(&format!("{statement} AND bid = '{}'", bid.id));
        let events = ledger.history(bid.id).await.unwrap();
        let broken = chain::verify(&events, read(&ledger, &bid).await.events).unwrap_err();
        assert_eq!((broken.seq, broken.fault), (seq, fault), "{statement}");
    }
}

/// Versions: newer is refused, older asks for migration, a newer protocol is left to newer binaries.
#[tokio::test]
async fn other_versions_of_schema_and_protocol_are_told_apart() {
    let Some(server) = server() else { return };
    let url = server.url();
    let dry = PostgresLedger::migrate(&url, true).await.unwrap();
    assert_eq!((dry.from, dry.to, dry.applied.len(), dry.dry_run), (None, 3, 3, true));
    assert_eq!(server.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'bidlock'"), "0");
    let look = PostgresLedger::open_with(Options::new(&url).with_create(false)).await.unwrap_err();
    assert!(look.kind() == ErrorKind::Corrupt && look.to_string().contains("holds no ledger"), "{look}");

    let real = PostgresLedger::migrate(&url, false).await.unwrap();
    assert_eq!((real.from, real.applied), (None, dry.applied));
    let id = open(&server).await.ledger_id();
    let again = PostgresLedger::migrate(&url, false).await.unwrap();
    assert_eq!((again.from, again.applied.len()), (Some(3), 0));
    assert_eq!(open(&server).await.ledger_id(), id);

    // Also told to whoever has it open already: its scanner may run for weeks.
    let opened = open(&server).await;
    opened.still_admits().await.unwrap();
    server.sql("UPDATE bidlock.ledger SET protocol_floor = 2");
    let (kind, text) = open_error(&url).await;
    assert!(kind == ErrorKind::SchemaNewer && text.contains("protocol 2"), "{text}");
    let left = opened.still_admits().await.unwrap_err();
    assert!(left.kind() == ErrorKind::SchemaNewer && left.to_string().contains("protocol 2"), "{left}");

    server.sql("UPDATE bidlock.ledger SET protocol_floor = 1");
    opened.still_admits().await.unwrap();
    server.sql("UPDATE bidlock.refinery_schema_history SET version = 99 WHERE version = 3");
    let left = opened.still_admits().await.unwrap_err();
    assert!(left.kind() == ErrorKind::SchemaNewer && left.to_string().contains("schema 99"), "{left}");
    let (kind, text) = open_error(&url).await;
    assert!(
        kind == ErrorKind::SchemaNewer && text.contains("99") && text.contains("newer bidlock"),
        "{text}"
    );
    assert_eq!(PostgresLedger::migrate(&url, true).await.unwrap_err().kind(), ErrorKind::SchemaNewer);

    server.sql("DELETE FROM bidlock.refinery_schema_history WHERE version > 1; ALTER TABLE bidlock.ledger DROP protocol_floor; \
        DROP TABLE bidlock.notes");
    let (kind, text) = open_error(&url).await;
    assert!(kind == ErrorKind::SchemaBehind && text.contains("bidlock migrate up"), "{text}");
    let status = PostgresLedger::schema_status(&url).await.unwrap();
    assert_eq!((status.found, status.latest, status.pending.len()), (Some(1), 3, 2));
    assert!(!status.place.contains(server.password()));
    assert_eq!(PostgresLedger::migrate(&url, false).await.unwrap().from, Some(1));
    assert_eq!(open(&server).await.ledger_id(), id);
}

/// The replaced system's own `bids` may live in the same database; a foreign schema of our name is left alone.
#[tokio::test]
async fn lives_beside_others_and_refuses_a_schema_that_is_not_its_own() {
    let Some(server) = server() else { return };
    server.sql("CREATE TABLE bids (job_id TEXT)");
    granted(&open(&server).await, &posting("1"), "here").await;
    server.sql("DROP SCHEMA bidlock CASCADE; CREATE SCHEMA bidlock; CREATE TABLE bidlock.bids (job_id TEXT)");
    let (kind, text) = open_error(&server.url()).await;
    assert!(kind == ErrorKind::Corrupt && text.contains("no ledger's"), "{text}");
    assert_eq!(server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'bidlock'"), "1");
}

/// A claim is one statement, alone in its transaction: one message there, one back. A whole batch of them too. Others
/// take no more than they need.
#[tokio::test]
async fn a_claim_is_one_round_trip_and_a_move_two() {
    let Some(server) = PostgresServer::start(PostgresOptions::new().with("log_statement", "all")) else {
        return;
    };
    let ledger = open(&server).await;
    // The first job makes its connection.
    ledger.check().await.unwrap();
    let logged = || {
        server.log().lines().filter(|line| line.contains("execute ") || line.contains("statement: ")).count()
    };
    let before = logged();
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    let requests: Vec<_> = (0..100).map(|n| request(&posting(&format!("many-{n}")), "here")).collect();
    ledger.claim(&requests).await.unwrap();
    existing(&ledger, &posting("1"), "other").await;
    assert_eq!(logged() - before, 3, "{}", server.log());
    moved(&ledger, bid.claim_ref(), door()).await;
    // BEGIN, the lock and the update travel together; then the event and COMMIT.
    assert_eq!(logged() - before, 8, "{}", server.log());

    // Several moves of different bids are as many statements as one.
    let others = [
        granted(&ledger, &posting("2"), "here").await.bid,
        granted(&ledger, &posting("3"), "here").await.bid,
    ];
    let changes = others.map(|bid| Change::new(bid.claim_ref(), Actor::scanner("here"), door()));
    let before = logged();
    ledger.apply(&changes).await.unwrap();
    assert_eq!(logged() - before, 5, "{}", server.log());

    // A bid that follows an earlier one is made in one go: the statement that does not suffice, BEGIN, two looks at the
    // locked rows, the statement again, COMMIT.
    let earlier = bid_in(&ledger, &posting("4"), BidState::Unknown).await;
    let free = bidlock_ledger::Move::ResolveNotSubmitted { allow_new_bid: true };
    moved(&ledger, earlier.claim_ref(), free).await;
    let before = logged();
    granted(&ledger, &posting("4"), "here").await;
    assert_eq!(logged() - before, 6, "{}", server.log());

    // Many expired claims are taken over together: that statement, BEGIN, two looks, the update, its events, COMMIT.
    let expiring = ["5", "6", "7"].map(|name| bidlock_ledger::NewClaim {
        ttl: Duration::from_millis(1),
        ..request(&posting(name), "before")
    });
    ledger.claim(&expiring).await.unwrap();
    // Longer than they last.
    server.sql("SELECT pg_sleep(0.01)");
    let before = logged();
    let taking = ["5", "6", "7"].map(|name| request(&posting(name), "after"));
    let taken = ledger.claim(&taking).await.unwrap();
    assert!(
        taken.iter().all(|one| matches!(one, ClaimOutcome::Granted(claim) if claim.taken_over)),
        "{taken:?}"
    );
    assert_eq!(logged() - before, 7, "{}", server.log());
    assert!(!server.log().contains("execute s"), "a named statement would break behind a transaction pooler");
}

/// Whatever database and user are set to, a commit of the ledger waits for the disk.
#[tokio::test]
async fn commits_wait_for_the_disk_whatever_is_set() {
    let Some(server) = PostgresServer::start(PostgresOptions::new().with("synchronous_commit", "off")) else {
        return;
    };
    let ledger = open(&server).await;
    server.sql(
        "CREATE TABLE seen (setting TEXT);
         CREATE FUNCTION note() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER note AFTER INSERT OR UPDATE ON bidlock.bids DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION note()",
    );
    let bid = bid_in(&ledger, &posting("1"), BidState::Withdrawing).await;
    bid_in(&ledger, &posting("2"), BidState::NotSubmitted).await;
    assert_eq!(bid.events, 4);
    assert_eq!(server.sql("SELECT DISTINCT setting FROM seen"), "on");
    assert!(fact(&ledger, "synchronous commit").await.contains("on for every write"));
    assert!(fact(&ledger, "fsync").await.contains("switch it on"));
}

/// What one call brings that PostgreSQL can't keep fails alone: its neighbours in the batch are granted.
#[tokio::test]
async fn a_text_that_cannot_be_kept_fails_alone() {
    let Some(server) = server() else { return };
    let ledger =
        Arc::new(PostgresLedger::open_with(Options::new(&server.url()).with_writers(1)).await.unwrap());
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let ledger = Arc::clone(&ledger);
            let mut wanted = request(&posting(&n.to_string()), "here");
            if n == 7 {
                wanted.payload.proposal = "a\0b".to_owned();
            }
            tokio::spawn(async move { ledger.claim(&[wanted]).await })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        match (n, task.await.unwrap()) {
            (7, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
                assert!(error.to_string().contains("NUL"), "{error}");
            }
            (7, granted) => panic!("{granted:?}"),
            (_, granted) => assert!(matches!(granted.unwrap()[..], [ClaimOutcome::Granted(_)])),
        }
    }
}

/// Deadlocks and serialization failures are run again, also where the database makes everything serializable.
#[tokio::test]
async fn transactions_that_meet_are_run_again() {
    let serializable = PostgresOptions::new()
        .with("default_transaction_isolation", "serializable")
        .with("deadlock_timeout", "10ms");
    let Some(server) = PostgresServer::start(serializable) else { return };
    let mut tasks = Vec::new();
    for opening in 0..4 {
        let ledger = open(&server).await;
        tasks.push(tokio::spawn(async move {
            let mut won = 0;
            for round in 0..10 {
                // Each opening asks in an order of its own.
                let mut requests: Vec<_> =
                    (0..20).map(|n| request(&posting(&format!("{round}-{n}")), "here")).collect();
                requests.rotate_left(opening * 5);
                let outcomes = ledger.claim(&requests).await.unwrap();
                let claims: Vec<_> = outcomes
                    .into_iter()
                    .filter_map(|o| {
                        if let ClaimOutcome::Granted(claim) = o { Some(claim.bid.claim_ref()) } else { None }
                    })
                    .collect();
                won += claims.len();
                let changes: Vec<_> =
                    claims.into_iter().map(|at| Change::new(at, Actor::scanner("here"), door())).collect();
                let moved = ledger.apply(&changes).await.unwrap();
                assert!(moved.iter().all(|m| matches!(m, Applied::Moved { .. })));
            }
            won
        }));
    }
    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }
    assert_eq!(won, 200);
}

/// The same bid twice in one call: the second change sees the first, and the chain holds.
#[tokio::test]
async fn changes_of_one_bid_in_one_call_follow_each_other() {
    let Some(server) = server() else { return };
    let ledger = open(&server).await;
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    let change = |action| Change::new(bid.claim_ref(), Actor::scanner("here"), action);
    let accept = bidlock_ledger::Move::Accept { external_ref: "remote-1".to_owned() };
    let answers = ledger
        .apply(&[change(door()), change(accept.clone()).keyed("k"), change(accept).keyed("k")])
        .await
        .unwrap();
    assert!(
        matches!(&answers[..], [Applied::Moved { .. }, Applied::Moved { .. }, Applied::Already(row)]
            if row.state == BidState::Submitted),
        "{answers:?}"
    );
    let events = ledger.history(bid.id).await.unwrap();
    chain::verify(&events, 3).unwrap();
}

/// With the server's real clock: a claim ends when it says, and nobody waits longer.
#[tokio::test]
async fn the_servers_own_clock_ends_claims() {
    let Some(server) = server() else { return };
    let ledger = open(&server).await;
    let mut short = request(&posting("1"), "first");
    short.ttl = Duration::from_millis(150);
    ledger.claim(&[short]).await.unwrap();
    let left = existing(&ledger, &posting("1"), "second").await.claim_remaining.unwrap();
    assert!(left <= Duration::from_millis(150), "{left:?}");
    let second = loop {
        if let ClaimOutcome::Granted(claim) = claim(&ledger, &posting("1"), "second").await {
            break claim;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(second.taken_over && second.bid.claim_remaining <= Some(TTL));
    assert_eq!(fact(&ledger, "standby").await, "no");
    let wall: i64 = fact(&ledger, "server clock (ms since 1970)").await.parse().unwrap();
    assert!((wall - second.bid.updated_at.0).abs() < 60_000);
}

/// The server's clock is an hour away from what this process has last seen of it: what is written down is the server's.
#[tokio::test]
async fn a_claims_time_is_the_servers_although_the_clients_is_wrong() {
    const HOUR_MS: i64 = 3_600_000;
    let Some(server) = server() else { return };
    let ledger = open(&server).await;
    let later: i64 = server.sql("SELECT bidlock.now_ms()").trim().parse::<i64>().unwrap() + HOUR_MS;
    // Writing sessions begin with the first claim, and find the clock there.
    server.sql(&format!("ALTER DATABASE bidlock SET bidlock.clock_ms = {later}"));
    let bid = granted(&ledger, &posting("1"), "here").await.bid;
    let row = read(&ledger, &bid).await;
    let event = ledger.history(bid.id).await.unwrap().remove(0);
    for time in [bid.created_at, row.created_at, event.at] {
        assert!((time.0 - later).abs() <= 1_000, "{time:?} and {later}");
    }
    chain::verify(&[event], row.events).unwrap();
}
