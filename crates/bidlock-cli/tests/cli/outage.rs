//! A ledger on PostgreSQL that breaks in the middle: its disk fills up, it goes away, it comes back. Real servers.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command},
};

use bidlock_testkit::{PostgresOptions, PostgresServer};

use crate::kit::{
    Desk,
    engines::{MANY, Market, With, many_postings, postgres, record},
};

/// A tmpfs of a test's own; taken away when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=120m", "bidlock-test"];
        let mounted = Command::new("mount").args(mount).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_of_postgresql_is_named_and_nothing_is_sent() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED (no tmpfs can be mounted): a_full_disk_of_postgresql_is_named_and_nothing_is_sent");
        return;
    };
    let options = PostgresOptions::new().with("wal_keep_size", "0").in_folder(&disk.0.path().join("data"));
    let Some(server) = PostgresServer::start(options) else { return };
    let desk = Desk::new();
    let market = Market::open(&desk);
    desk.file("many.json", &many_postings());
    // Does not compress, so that each bid needs new pages.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap()).to_ascii_lowercase()
    });
    desk.file("proposal.txt", &noise.filter(|c| !"{}".contains(*c)).take(200_000).collect::<String>());
    let with = With {
        desk: &desk,
        variables: vec![
            ("DATABASE_URL", server.url()),
            ("BIDLOCK_SUBMIT__PROPOSAL", "proposal.txt".to_owned()),
            // Else the server would be asked to be back when it has ended itself.
            ("BIDLOCK_SCAN__PATIENCE", "1s".to_owned()),
        ],
    };
    with.run("migrate up").code(0);
    with.run("lock run example 0 -- true").code(0);
    server.sql("CHECKPOINT");
    let filler = format!("of={}", disk.0.path().join("filler").display());
    let fill = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(filler).output();
    assert!(!fill.unwrap().status.success(), "the disk is full");
    let scan = format!("scan many.json --marketplace example --submit {} --concurrency 1 --json", market.url);
    let done = with.run(&scan).code(5);
    assert!(
        done.err.contains("No space left") || done.err.contains("is PostgreSQL running there"),
        "{done:#?}"
    );
    let submitted = done.out.lines().filter(|line| line.contains("\"submitted\",")).count() as u64;
    let (sent, duplicates) = record(&desk);
    assert!(sent < MANY && sent >= submitted && duplicates == 0, "{sent} {done:#?}");
    if done.err.contains("No space left") {
        assert!(done.err.contains("make room"), "{done:#?}");
        with.run("doctor").code(9).prints(&["UNHEALTHY"]);
    }
}

/// A scan in whose middle PostgreSQL is stopped, with one sender and a marketplace that takes its time.
struct Interrupted {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<std::process::ChildStderr>,
    /// What the marketplace had got when the scan said that it waits.
    sent: u64,
}

fn interrupt(desk: &Desk, with: &With<'_>, market: &Market, postgres: &mut PostgresServer) -> Interrupted {
    desk.file("many.json", &many_postings());
    let words =
        format!("scan many.json --marketplace example --submit {} --json --concurrency 1", market.url);
    let mut child = with.call(&words).start();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("submitted") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the scan ended");
    }
    postgres.stop();
    line.clear();
    while !line.contains("nothing is sent until it is back") {
        line.clear();
        assert_ne!(err.read_line(&mut line).unwrap(), 0, "the scan ended");
    }
    // The one request that was on its way has been answered by now: there is one sender, and it has asked the ledger.
    Interrupted { child, out, err, sent: record(desk).0 }
}

impl Interrupted {
    fn end(mut self) -> (Option<i32>, String) {
        let mut told = String::new();
        self.out.read_to_string(&mut told).unwrap();
        self.err.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

#[test]
fn while_postgresql_is_away_nothing_is_sent_and_the_scan_goes_on_when_it_is_back() {
    let Some(mut postgres) = postgres() else { return };
    let desk = Desk::new();
    let market = Market::open_with(&desk, "--mode delay=20ms..30ms");
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", postgres.url())] };
    let scan = interrupt(&desk, &with, &market, &mut postgres);
    assert!((1..MANY).contains(&scan.sent), "{}", scan.sent);
    assert_eq!(record(&desk).0, scan.sent, "nothing is sent without a ledger");
    postgres.start_again();
    let (code, told) = scan.end();
    assert_eq!(told.matches("the engine is back").count(), 1, "{told}");
    // The one sender may have stood before the door with its claim, which nobody has until it expires; or have sent, and
    // waited in vain with the answer: then it says so, and does not call its own bid another's.
    let count = |outcome| told.lines().filter(|line| line.contains(outcome)).count() as u64;
    let (claimed, unrecorded) = (count("\"held_elsewhere\","), count("\"outcome\":\"unknown\""));
    assert!(claimed + unrecorded <= 1, "{told}");
    assert_eq!(code, Some(if unrecorded == 1 { 6 } else { 0 }), "{told}");
    assert_eq!(record(&desk), (MANY - claimed, 0), "{told}");
}

#[test]
fn a_postgresql_that_stays_away_beyond_the_patience_ends_the_scan_with_5() {
    let Some(mut postgres) = postgres() else { return };
    let desk = Desk::new();
    let market = Market::open_with(&desk, "--mode delay=20ms..30ms");
    let mut with = With { desk: &desk, variables: vec![("DATABASE_URL", postgres.url())] };
    with.variables.push(("BIDLOCK_SCAN__PATIENCE", "1s".to_owned()));
    let scan = interrupt(&desk, &with, &market, &mut postgres);
    let sent = scan.sent;
    let (code, told) = scan.end();
    assert_eq!(code, Some(5), "{told}");
    assert!(told.contains("127.0.0.1") && !told.contains("made-up"), "{told}");
    // It was said when it began, which `interrupt` has read, and not at each of the tries since.
    assert_eq!(told.matches("nothing is sent until it is back").count(), 0, "{told}");
    assert!(told.matches("the ledger is away; asking again").count() <= 1, "{told}");
    assert_eq!(record(&desk), (sent, 0), "nothing was sent without a ledger");
}
