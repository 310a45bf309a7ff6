//! Where a ledger is begun: not silently in the database of a replaced system, nor beside bids that it would not know of.

use bidlock_testkit::PostgresServer;

use crate::kit::{
    Desk,
    engines::{FEED, Market, With, postgres, record, redis},
};

const OLD_TABLE: &str = "CREATE TABLE bids (job_id VARCHAR(200) NOT NULL, marketplace VARCHAR(50) NOT NULL, status \
    VARCHAR(20) NOT NULL, UNIQUE (marketplace, job_id, status)); INSERT INTO bids VALUES ('1', 'example', 'SUBMITTED')";

/// The test's user is named like the schema of a ledger, which is not what the replaced system's user is.
fn old(server: &PostgresServer) -> String {
    format!("{}?options=-csearch_path%3Dpublic", server.url())
}

#[test]
fn a_ledger_in_the_database_of_a_replaced_system_is_not_sent_from_before_its_bids_are_imported() {
    let Some(postgres) = postgres() else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    postgres.sql(OLD_TABLE);
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", postgres.url())] };
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let told = ["holds the bids of a replaced system", "DATABASE_URL", "bidlock import legacy"];
    with.run(&scan).refused(2, &told);
    with.run("migrate status").code(0).prints(&["no ledger yet"]);
    with.run("doctor").code(9).prints(&told);
    // What is there already, by a dry run or by hand, knows no more of them.
    with.run("scan feed.json --marketplace example").code(0);
    with.run(&scan).refused(2, &told);
    with.run("doctor").code(9).prints(&told);
    assert_eq!(record(&desk), (0, 0));

    let import = format!("import legacy {} --old-instances-stopped", old(&postgres));
    with.run(&import).code(0);
    with.run(&scan).code(0);
    assert_eq!(record(&desk), (1, 0), "the old bid counts");
    with.run("doctor").code(0);
}

#[test]
fn an_import_may_make_its_ledger_in_the_old_database() {
    let Some(postgres) = postgres() else { return };
    let desk = Desk::new();
    postgres.sql(OLD_TABLE);
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", postgres.url())] };
    with.run(&format!("import legacy {}", old(&postgres)))
        .code(0)
        .says(&["made a new ledger at postgres://"]);
}

#[test]
fn the_file_of_a_replaced_system_is_named_as_such() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    rusqlite::Connection::open(desk.work().join("old.db")).unwrap().execute_batch(OLD_TABLE).unwrap();
    let told = ["not a bidlock ledger", "replaced system", "bidlock import legacy"];
    desk.run("scan feed.json --marketplace example --database old.db").refused(5, &told);
    desk.run("doctor --database old.db").code(9).prints(&told);
    rusqlite::Connection::open(desk.work().join("another.db"))
        .unwrap()
        .execute_batch("CREATE TABLE bids (auction INTEGER, status TEXT)")
        .unwrap();
    let done = desk.run("bid list --database another.db").refused(5, &["not a bidlock ledger"]);
    assert!(!done.err.contains("import legacy"), "{done:#?}");
}

#[test]
fn a_new_shared_ledger_is_told_and_not_begun_beside_a_default_one_with_bids_unless_it_is_meant() {
    let Some(postgres) = postgres() else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    desk.run(&format!("{scan} --max-bids 1")).code(0);
    let with = With { desk: &desk, variables: vec![("DATABASE_URL", postgres.url())] };
    let told = ["the default ledger of this host", "ledger.db", "DATABASE_URL", "--new-ledger"];
    with.run(&scan).refused(2, &told);
    with.run("migrate status").code(0).prints(&["no ledger yet"]);
    with.run("scan feed.json --marketplace example").code(0).says(&["made a new ledger at postgres://"]);
    with.run(&scan).refused(2, &told);
    assert_eq!(record(&desk), (1, 0));
    with.run(&format!("{scan} --new-ledger")).code(0);
    let again = with.run(&scan).code(0);
    assert!(!again.err.contains("made a new ledger"), "{again:#?}");
}

#[test]
fn a_mistyped_file_is_told_and_not_begun_beside_a_ledger_with_bids_unless_it_is_meant() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = |more: &str| {
        desk.run(&format!("scan feed.json --marketplace example --submit {} {more}", market.url))
    };
    scan("--max-bids 1 --database bids.db").code(0);
    // Beside it, as it is typed or as a link; a dry run may have made it by then.
    let told = ["a ledger beside it", "bids.db", "--database", "--new-ledger"];
    scan("--database bidz.db").refused(2, &told);
    assert!(!desk.work().join("bidz.db").exists());
    let warned = ["WARNING", "a scan that sends is refused here", "a ledger beside it", "--new-ledger"];
    desk.run("doctor --database bidz.db").code(0).prints(&warned);
    desk.run("scan feed.json --marketplace example --database bidz.db").code(0);
    scan("--database ./bidz.db").refused(2, &told);
    scan("--database bids").refused(2, &told);
    desk.run("doctor --database bidz.db").code(0).prints(&warned);
    assert_eq!(record(&desk), (1, 0));
    // The same by another name.
    let bids = desk.work().join("bids.db").display().to_string();
    scan(&format!("--max-bids 1 --database {bids}")).code(0);
    // Nor is any of them read as a feed: that would drop the locks on it.
    for feed in ["bids.db", "./bids.db-wal", &format!("{bids}-shm"), "feed.json bids.db"] {
        let scan = format!("scan {feed} --marketplace example --database bids.db");
        desk.run(&scan).refused(2, &["is no feed: it is a file of the ledger", "*.json"]);
    }
    // A ledger that is called as what others have beside them is one, too.
    scan("--max-bids 1 --database ./other-journal --new-ledger").code(0);
    scan("--database ./other-jurnal").refused(2, &["a ledger beside it", "--new-ledger"]);
    assert!(!desk.work().join("other-jurnal").exists());
    desk.run("scan other-journal --marketplace example --database ./other-journal")
        .refused(2, &["is no feed: it is a file of the ledger"]);
    // Said once, also where that scan has found nothing to bid on.
    desk.file("nothing.json", "[]");
    let nothing =
        format!("scan nothing.json --marketplace example --submit {} --database bidz.db", market.url);
    desk.run(&nothing).refused(2, &told);
    desk.run(&format!("{nothing} --new-ledger")).code(0);
    assert!(!desk.run("doctor --database bidz.db").code(0).out.contains("refused here"));
    scan("--database bidz.db").code(0);

    // One that was there is not begun anew in silence.
    let moved = desk.work().join("elsewhere");
    std::fs::create_dir(&moved).unwrap();
    std::fs::rename(desk.work().join("bids.db"), moved.join("bids.db")).unwrap();
    scan("--database bids.db").refused(2, &["is not there", "bids.db-instances", "backup", "--new-ledger"]);
    assert!(!desk.work().join("bids.db").exists());
    std::fs::rename(moved.join("bids.db"), desk.work().join("bids.db")).unwrap();
    scan("--database bids.db").code(0);

    // Far from it: the default ledger is looked at.
    let elsewhere = Desk::new();
    elsewhere.file("feed.json", FEED);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    elsewhere.run(&format!("{scan} --max-bids 1")).code(0);
    let told = ["the default ledger of this host", "ledger.db", "--new-ledger"];
    elsewhere.run(&format!("{scan} --database new.db")).refused(2, &told);
    elsewhere.run(&format!("{scan} --database new.db --new-ledger")).code(0);
}

#[test]
fn doctor_says_of_a_new_ledger_that_the_locks_serve_another() {
    let Some(redis) = redis(&[]) else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let with = With { desk: &desk, variables: vec![("REDIS_URL", redis.url())] };
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    with.run(&scan).code(0);
    with.run(&format!("{scan} --database new.db --new-ledger")).refused(2, &["serve the scanners of ledger"]);
    with.run("doctor --database new.db").code(9).prints(&["serve the scanners of ledger", "--rebind-ledger"]);
    assert!(!desk.work().join("new.db").exists());
}
