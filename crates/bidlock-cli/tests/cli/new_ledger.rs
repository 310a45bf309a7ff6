//! Where a ledger is begun: not silently in the database of a replaced system, nor beside bids that it would not know of.

use std::path::PathBuf;

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
    let told = ["your default ledger", "ledger.db", "DATABASE_URL", "--new-ledger"];
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
    let warned = ["UNHEALTHY", "a scan that sends is refused here", "a ledger beside it", "--new-ledger"];
    desk.run("doctor --database bidz.db").code(9).prints(&warned);
    desk.run("scan feed.json --marketplace example --database bidz.db").code(0);
    scan("--database ./bidz.db").refused(2, &told);
    scan("--database bids").refused(2, &told);
    desk.run("doctor --database bidz.db").code(9).prints(&warned);
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
    let told = ["your default ledger", "ledger.db", "--new-ledger"];
    elsewhere.run(&format!("{scan} --database new.db")).refused(2, &told);
    elsewhere.run(&format!("{scan} --database new.db --new-ledger")).code(0);
}

/// A desk with two feeds, one of them empty, folders for ledgers, and a marketplace.
fn with_folders(folders: &[&str]) -> (Desk, Market) {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    desk.file("nothing.json", "[]");
    for folder in folders {
        std::fs::create_dir(desk.work().join(folder)).unwrap();
    }
    let market = Market::open(&desk);
    (desk, market)
}

/// The notes of ledgers that were sent from, at this place.
fn notes_of(desk: &Desk, place: &str) -> Vec<(PathBuf, String)> {
    let notes = std::fs::read_dir(desk.ledger().with_file_name("sent-from")).unwrap();
    let notes = notes.map(|note| note.unwrap().path());
    let read = notes.map(|note| (note.clone(), std::fs::read_to_string(note).unwrap()));
    read.filter(|(_, text)| text.contains(place)).collect()
}

#[test]
fn whoever_forgets_to_name_the_ledger_that_was_sent_from_is_told_of_it() {
    let (desk, market) = with_folders(&["night", "day"]);
    let from = format!("--marketplace example --submit {}", market.url);
    let scan = format!("scan feed.json {from}");
    // One without bids is in nobody's way, nor in its own; as soon as another one has some it may be the wrong one.
    let day = || desk.run(&format!("scan nothing.json {from} --database day/bids.db"));
    day().code(0);
    day().code(0);
    desk.run(&format!("{scan} --max-bids 1 --database night/bids.db")).code(0);
    day().refused(2, &["a ledger that you have sent from", "night/bids.db"]);
    desk.run(&format!("scan nothing.json {from} --database day/bids.db --new-ledger")).code(0);
    day().code(0);
    assert_eq!(record(&desk), (1, 0));
    // No ledger is named, or one in a folder where none is.
    let told = ["a ledger that you have sent from", "night/bids.db", "no bids yet", "--new-ledger"];
    for mistyped in ["", "--database nigth.db"] {
        desk.run(&format!("{scan} {mistyped}")).refused(2, &told);
        let warned = ["UNHEALTHY", "a scan that sends is refused here", "night/bids.db"];
        desk.run(&format!("doctor {mistyped}")).code(9).prints(&warned);
    }
    assert!(!desk.ledger().exists());
    // A dry run sends nothing, and its ledger is none that was sent from.
    desk.run("scan feed.json --marketplace example --database dry.db").code(0);
    assert_eq!(record(&desk), (1, 0));

    // What can't be read may name any.
    assert_eq!(notes_of(&desk, "dry.db"), []);
    let (night, kept) = notes_of(&desk, "night/bids.db").remove(0);
    std::fs::write(&night, "made up").unwrap();
    let broken = [
        "can't be looked at: the note of a ledger that you have sent from",
        ".json: it names no",
        "--new-ledger",
    ];
    desk.run(&scan).refused(5, &broken);
    // A ledger that has bids is sent from all the same.
    desk.run(&format!("{scan} --max-bids 1 --database night/bids.db")).code(0);
    assert_eq!(notes_of(&desk, "night/bids.db"), [(night, kept)]);
    desk.run(&format!("{scan} --new-ledger")).code(0);
    desk.run(&scan).code(0);
    // By now there are two that may be meant.
    let both = ["several others have some", "your default ledger, ", "night/bids.db", "--new-ledger"];
    desk.run(&format!("{scan} --database third.db")).refused(2, &both);
}

#[test]
fn two_ledgers_that_were_begun_at_once_are_told_of_each_other() {
    let (desk, market) = with_folders(&["day", "night"]);
    let scan = |feed: &str, more: &str| {
        desk.run(&format!("scan {feed} --marketplace example --submit {} {more}", market.url))
    };
    // Neither had bids when it was begun. Whether they were both sent from at once, a note says.
    for place in ["day/bids.db", "night/bids.db"] {
        scan("nothing.json", &format!("--database {place}")).code(0);
    }
    let (day, kept) = notes_of(&desk, "day/bids.db").remove(0);
    scan("feed.json", "--max-bids 1 --database night/bids.db").code(0);
    let (night, text) = notes_of(&desk, "night/bids.db").remove(0);
    for note in [&day, &night] {
        std::fs::remove_file(note).unwrap();
    }
    scan("feed.json", "--max-bids 1 --database day/bids.db").code(0);
    std::fs::write(&night, text).unwrap();
    assert_eq!(notes_of(&desk, "day/bids.db"), [(day, kept)]);
    // What it is about: each has bid on the same posting.
    desk.run("sandbox report market.jsonl").code(7);

    let told =
        |other: &'static str| [other, "which you have sent from", "neither knows the bids", "name that one"];
    for (one, other) in [("day", "night/bids.db"), ("night", "day/bids.db")] {
        scan("feed.json", &format!("--database {one}/bids.db")).refused(2, &told(other));
        let doctor = desk.run(&format!("doctor --database {one}/bids.db")).code(9);
        doctor
            .prints(&["UNHEALTHY", "a scan that sends is refused here", "--new-ledger"])
            .prints(&told(other));
        desk.run(&format!("scan feed.json --marketplace example --database {one}/bids.db")).code(0);
    }
    // What is no ledger by now, or another one, is not that one; what can't be looked at may be.
    let (file, aside) = (desk.work().join("night/bids.db"), desk.work().join("aside.db"));
    std::fs::rename(&file, &aside).unwrap();
    scan("nothing.json", "--database day/bids.db").code(0);
    std::fs::write(&file, "moved away").unwrap();
    scan("nothing.json", "--database day/bids.db").code(0);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&file, &file).unwrap();
    scan("nothing.json", "--database day/bids.db").refused(2, &["can't be looked at"]);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    scan("nothing.json", "--database day/bids.db").code(0);
    std::fs::remove_dir(&file).unwrap();
    std::fs::copy(desk.work().join("day/bids.db"), &file).unwrap();
    scan("nothing.json", "--database day/bids.db").code(0);
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    // What is said of one is known to the other, also where its note does not say it.
    scan("feed.json", "--database day/bids.db --new-ledger").code(0);
    let (note, text) = notes_of(&desk, "day/bids.db").remove(0);
    assert!(text.contains(r#""meant":true"#), "{text}");
    std::fs::write(note, text.replace(r#","meant":true"#, "")).unwrap();
    scan("feed.json", "--database night/bids.db").code(0);
    desk.run("doctor --database night/bids.db").code(0);
}

#[test]
fn a_copy_is_told_of_also_where_its_ledger_was_said_to_be_meant() {
    let (desk, market) = with_folders(&["first", "meant", "copy"]);
    let scan = |feed: &str, more: &str| {
        desk.run(&format!("scan {feed} --marketplace example --submit {} {more}", market.url))
    };
    scan("feed.json", "--max-bids 1 --database first/bids.db").code(0);
    scan("feed.json", "--max-bids 1 --database meant/bids.db --new-ledger").code(0);
    let copy = |from: &str| std::fs::copy(desk.work().join(from), desk.work().join("copy/bids.db")).unwrap();
    copy("meant/bids.db");
    // One that nobody sends from is in nobody's way.
    scan("nothing.json", "--database meant/bids.db").code(0);
    let told = ["is one ledger with ", "one of them is a copy", "delete the note of it"];
    for more in ["", "--new-ledger"] {
        let refused = scan("nothing.json", &format!("--database copy/bids.db {more}")).refused(2, &told);
        assert!(!refused.err.contains("say so with"), "{refused:#?}");
    }
    // Whoever goes on with one of them has said so.
    std::fs::remove_file(&notes_of(&desk, "meant/bids.db")[0].0).unwrap();
    scan("nothing.json", "--database copy/bids.db").code(0);
    scan("nothing.json", "--database meant/bids.db").refused(2, &told);
    std::fs::remove_file(desk.work().join("copy/bids.db")).unwrap();
    scan("nothing.json", "--database meant/bids.db").code(0);

    // A note that can't be read may be of such a one.
    let (note, _) = notes_of(&desk, "first/bids.db").remove(0);
    std::fs::write(&note, "made up").unwrap();
    scan("nothing.json", "--database meant/bids.db").code(0).says(&["cannot read", "it names no ledger"]);
}

#[test]
fn a_scan_that_goes_on_ends_when_another_ledger_is_sent_from() {
    let (desk, market) = with_folders(&["day", "night"]);
    let from = format!("--marketplace example --submit {}", market.url);
    let mut day =
        desk.call(&format!("scan nothing.json {from} --every 100ms --database day/bids.db")).start();
    while !desk.ledger().with_file_name("sent-from").exists() || notes_of(&desk, "day/bids.db").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    desk.run(&format!("scan feed.json {from} --max-bids 1 --database night/bids.db")).code(0);
    for _ in 0..1_200 {
        if day.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // One that goes on is ended, and found out by its code.
    let _ = day.kill();
    let ended = day.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{err}");
    assert!(err.contains("has no bids yet") && err.contains("night/bids.db"), "{err}");
}

#[test]
fn a_ledger_that_was_sent_from_and_is_gone_is_not_begun_anew_in_silence() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = |more: &str| {
        desk.run(&format!("scan feed.json --marketplace example --submit {} {more}", market.url))
    };
    // A disk that is not mounted: nothing of it is there.
    let (mounted, away) = (desk.work().join("disk"), desk.work().join("away"));
    std::fs::create_dir(&mounted).unwrap();
    scan("--max-bids 1 --database disk/bids.db").code(0);
    std::fs::rename(&mounted, &away).unwrap();
    std::fs::create_dir(&mounted).unwrap();
    let told =
        ["another ledger, ", "was at this place when you sent from it", "bring it back", "--new-ledger"];
    scan("--database disk/bids.db").refused(2, &told);
    let warned = ["UNHEALTHY", "a scan that sends is refused here", "was at this place when you sent"];
    desk.run("doctor --database disk/bids.db").code(9).prints(&warned);
    // Nor is one that somebody has made there since.
    desk.run("scan feed.json --marketplace example --database disk/bids.db").code(0);
    scan("--database disk/bids.db").refused(2, &told);
    desk.run("doctor --database disk/bids.db").code(9).prints(&warned);
    assert_eq!(record(&desk), (1, 0));
    std::fs::remove_dir_all(&mounted).unwrap();
    // Nor another one, as long as nobody can look at it, and its note is there.
    let told = ["you have sent from", "disk/bids.db, which is not there now", "delete the note of it"];
    scan("--max-bids 1 --database other.db").refused(2, &told);
    let (note, text) = notes_of(&desk, "disk/bids.db").remove(0);
    std::fs::remove_file(&note).unwrap();
    scan("--max-bids 1 --database other.db").code(0);
    std::fs::write(note, text).unwrap();
    std::fs::rename(&away, &mounted).unwrap();
    let told = ["and so has ", "other.db, which you have sent from: neither knows"];
    scan("--database disk/bids.db").refused(2, &told);
    std::fs::remove_file(desk.work().join("other.db")).unwrap();
    scan("--database disk/bids.db").code(0);

    // The file alone was moved away: doctor says what the scan says.
    std::fs::rename(mounted.join("bids.db"), desk.work().join("moved.db")).unwrap();
    let told = ["is not there", "bids.db-instances"];
    scan("--database disk/bids.db").refused(2, &told);
    desk.run("doctor --database disk/bids.db").code(9).prints(&told);
}

#[test]
fn whoever_forgets_to_name_the_server_that_was_sent_from_is_told_of_it() {
    let Some(postgres) = postgres() else { return };
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let url = format!("{}?application_name=made-up", postgres.url());
    let with = |url: &str| With { desk: &desk, variables: vec![("DATABASE_URL", url.to_owned())] };
    with(&url).run(&format!("{scan} --max-bids 1")).code(0);
    let told = ["you have sent from postgres://", "its password is not kept", "--new-ledger", "/sent-from/"];
    desk.run(&scan).refused(2, &told);
    desk.run("doctor")
        .code(9)
        .prints(&["a scan that sends is refused here", "you have sent from postgres://"]);
    let notes = notes_of(&desk, "postgres://");
    assert!(notes.len() == 1 && !notes[0].1.contains("made-up"), "{notes:?}");

    // Another database of the server; the same one by another name; one in its place.
    postgres.sql("CREATE DATABASE another");
    let another = postgres.url_of("bidlock", postgres.password(), "another");
    with(&another).run(&scan).refused(2, &told);
    with(&postgres.url()).run(&format!("{scan} --max-bids 1")).code(0);
    postgres.sql("DROP SCHEMA bidlock CASCADE");
    let gone = ["another ledger, ", "was at this place when you sent from it", "--new-ledger"];
    for place in [&url, &postgres.url()] {
        with(place).run(&scan).refused(2, &gone);
    }
    with(&url).run("migrate up").code(0);
    with(&url).run(&scan).refused(2, &gone);
    assert_eq!(record(&desk), (2, 0));

    // Both with bids, and neither said to be meant: as if this user had known nothing of the server when it began.
    let away = notes.iter().chain(&notes_of(&desk, "postgres://")).cloned().collect::<Vec<_>>();
    away.iter().for_each(|(note, _)| drop(std::fs::remove_file(note)));
    desk.run(&format!("{scan} --database mine.db")).code(0);
    let (note, text) = &away[0];
    std::fs::write(note, text).unwrap();
    let told = ["and so has ledger ", " at postgres://", "neither knows the bids", "--new-ledger"];
    desk.run(&format!("{scan} --database mine.db")).refused(2, &told);
    desk.run(&format!("{scan} --database mine.db --new-ledger")).code(0);
}

#[test]
fn a_ledger_that_was_imported_into_is_one_that_may_be_meant() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    rusqlite::Connection::open(desk.work().join("old.db")).unwrap().execute_batch(OLD_TABLE).unwrap();
    std::fs::create_dir(desk.work().join("new")).unwrap();
    desk.run("import legacy old.db --old-instances-stopped --database new/bids.db").code(0);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let told = ["a ledger that you have sent from", "new/bids.db", "--new-ledger"];
    desk.run(&scan).refused(2, &told);

    // Nor is another one begun by an import: with its bids no scan would ask any more which one is meant.
    let import = "import legacy old.db --old-instances-stopped";
    desk.run(import).refused(2, &told);
    desk.run("import legacy mistyped.db --new-ledger").refused(5, &["mistyped.db"]);
    assert!(!desk.ledger().exists());
    desk.run("scan feed.json --marketplace example").code(0);
    desk.run(import).refused(2, &told);
    desk.run(&format!("{import} --new-ledger")).code(0);
    desk.run(import).code(0);
    desk.run(&scan).code(0);
}

#[test]
fn files_of_locks_and_broken_settings_of_locks_do_not_keep_from_other_ledgers() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    // Neither can be looked at, and nobody needs the first one: the locks are in the other file.
    let unreadable = desk.work().join("bids-locks.db");
    std::os::unix::fs::symlink(&unreadable, &unreadable).unwrap();
    desk.run(&format!("{scan} --max-bids 1 --database bids.db --locks locks.db")).code(0);
    let doctor = desk.call("doctor --database bids.db").env("BID_LOCK_MANAGER_TYPE", "nonsense").run();
    doctor.code(9).prints(&["unknown outcomes", "nonsense"]);
}

#[test]
fn a_scan_whose_ledger_can_not_be_noted_says_so_and_goes_on() {
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    // A file in the folder's place.
    let notes = desk.ledger().with_file_name("sent-from");
    std::fs::create_dir_all(notes.parent().unwrap()).unwrap();
    std::fs::write(&notes, "").unwrap();
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let refused =
        ["can't be looked at: the notes of the ledgers that you have sent from", "sent-from: Not a"];
    desk.run(&scan).refused(5, &refused);
    let told = ["cannot note in", "sent-from", "may not be told of it"];
    desk.run(&format!("{scan} --new-ledger")).code(0).says(&told);
    desk.run(&scan).code(0).says(&told);
    assert_eq!(record(&desk), (2, 0));
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
