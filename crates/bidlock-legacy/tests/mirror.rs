//! Ours in the old table, on SQLite and PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by them")]

mod old;

use bidlock_ledger::{Bid, BidState, ClaimOutcome, Currency, Money};
use bidlock_pipeline::{LegacyBids, Mirrored};

use old::{Old, posting, request};

async fn claimed(old: &Old, id: &str) -> Bid {
    let mut wanted = request(&posting("upwork", id));
    wanted.payload.amount = Some(Money { minor: 12_550, currency: Currency::USD });
    match old.ledger().claim(&[wanted]).await.unwrap().remove(0) {
        ClaimOutcome::Granted(claim) => claim.bid,
        ClaimOutcome::Existing(bid) => *bid,
    }
}

const ROWS: &str = "SELECT marketplace, job_id, status FROM bids ORDER BY job_id";

/// Under every name by which an instance may look, and with what it may read; it follows what becomes of the bid.
#[tokio::test]
async fn a_bid_is_shown_under_every_name_and_follows_its_outcome() {
    for old in Old::each() {
        old.add("Upwork", "1900000000000000999", "SUBMITTED");
        let legacy = old.beside().await;
        let bid = claimed(&old, "1900000000000000017").await;
        let names = legacy.names(&bid.posting, &["A-job_~021900000000000000017".to_owned()]);
        assert!(matches!(legacy.mirror(&bid, &names, None).await.unwrap(), Mirrored::Done));
        let shown = |status: &str| {
            let ids = ["1900000000000000017", "A-job_~021900000000000000017", "~021900000000000000017"];
            let ours = ["Upwork", "upwork"].iter().flat_map(|m| ids.map(|id| format!("{m}|{id}|{status}")));
            let mut rows: Vec<String> = ours.collect();
            rows.push("Upwork|1900000000000000999|SUBMITTED".to_owned());
            rows.sort();
            rows.join("\n")
        };
        let rows = || {
            let mut rows: Vec<String> = old.ask(ROWS).lines().map(str::to_owned).collect();
            rows.sort();
            rows.join("\n")
        };
        assert_eq!(rows(), shown("PENDING"));
        let read = old
            .ask("SELECT CAST(bid_amount AS TEXT), proposal FROM bids WHERE job_id = '1900000000000000017'");
        assert!(read.starts_with("125.5") && read.ends_with("ours"), "{read}");
        // Our own rows are no bids of others: not for the next look, not for another attempt.
        let asked = [(bid.posting.clone(), names.clone())];
        assert!(legacy.find(&asked).await.unwrap()[0].is_none());
        assert!(matches!(legacy.mirror(&bid, &names, None).await.unwrap(), Mirrored::Done));
        for (state, word) in [
            (BidState::Unknown, "SUBMITTED"),
            (BidState::Rejected, "REJECTED"),
            (BidState::Submitted, "SUBMITTED"),
        ] {
            legacy.settle(bid.claim_id, Some(state)).await.unwrap();
            assert_eq!(rows(), shown(word), "{state}");
        }
        let report = old.import(&old.ledger()).await;
        assert_eq!((report.mirrored, report.postings), (6, 1), "our own bids are not imported");
    }
}

/// Under our own name of the marketplace and under every other one that the table has by now. More ways than can be
/// locked are refused: none is left out in silence.
#[tokio::test]
async fn every_way_of_writing_a_marketplace_counts_also_one_that_comes_later() {
    for old in Old::each() {
        old.add("Upwork", "1900000000000000999", "SUBMITTED");
        let legacy = old.beside().await;
        let id = posting("upwork", "1900000000000000017");
        let raw: Vec<String> = (1..=4).map(|n| format!("raw {n}")).collect();
        let marketplaces = || {
            let mut names = legacy.names(&id, &raw);
            assert!(raw.iter().all(|text| names.iter().any(|name| name.job_id == *text)), "{names:?}");
            names.retain(|name| name.job_id == raw[3]);
            names.into_iter().map(|name| name.marketplace).collect::<Vec<_>>()
        };
        assert_eq!(marketplaces(), ["upwork", "Upwork"]);
        old.add("UpWork", "1900000000000000017", "PENDING");
        legacy.refresh().await.unwrap();
        assert_eq!(marketplaces().len(), 3);
        let found = legacy.find(&[(id.clone(), legacy.names(&id, &raw))]).await.unwrap().remove(0);
        assert_eq!(found.unwrap().posting, id);
        for other in ["UPWORK", "uPWORK", "uPwork"] {
            old.add(other, "1900000000000000999", "SUBMITTED");
        }
        legacy.refresh().await.unwrap();
        assert_eq!(marketplaces().len(), 6);
        old.add("UpworK", "1900000000000000999", "SUBMITTED");
        let error = legacy.refresh().await.unwrap_err();
        assert!(!error.retryable && error.to_string().contains("more than 6 ways"), "{error}");
    }
}

/// The table of an instance that bid first, under whatever name and status, keeps ours out of it.
#[tokio::test]
async fn what_an_old_instance_has_keeps_ours_out() {
    for old in Old::each() {
        old.add("upwork", "~021900000000000000017", "PENDING");
        let legacy = old.beside().await;
        let bid = claimed(&old, "1900000000000000017").await;
        let names = legacy.names(&bid.posting, &[]);
        let found = legacy.find(&[(bid.posting.clone(), names.clone())]).await.unwrap().remove(0).unwrap();
        assert_eq!((found.posting, found.state), (bid.posting.clone(), BidState::Unknown));
        let Mirrored::Taken(found) = legacy.mirror(&bid, &names, None).await.unwrap() else {
            panic!("ours was written")
        };
        assert_eq!(found.state, BidState::Unknown);
        assert_eq!(old.ask("SELECT count(*) FROM bids"), "1");
        assert_eq!(old.ask("SELECT count(*) FROM bidlock_mirror"), "0");
    }
}

/// Of what was handed back nothing is left; but another claim's rows stay.
#[tokio::test]
async fn only_its_own_claim_takes_a_mirrored_bid_away() {
    for old in Old::each() {
        let legacy = old.beside().await;
        let first = claimed(&old, "1900000000000000017").await;
        let names = legacy.names(&first.posting, &[]);
        legacy.mirror(&first, &names, None).await.unwrap();
        let mut second = first.clone();
        second.claim_id = bidlock_ledger::ClaimId(uuid::Uuid::new_v4());
        second.epoch.0 += 1;
        legacy.mirror(&second, &names, None).await.unwrap();
        legacy.settle(first.claim_id, None).await.unwrap();
        assert_eq!(
            old.ask("SELECT count(*) FROM bids WHERE status = 'PENDING'"),
            "2",
            "the second one sends now"
        );
        // It slept, and comes too late.
        legacy.settle(second.claim_id, Some(BidState::Submitted)).await.unwrap();
        let late = legacy.mirror(&first, &names, None).await.unwrap();
        assert!(matches!(late, Mirrored::Impossible { .. }), "{late:?}");
        assert_eq!(old.ask("SELECT count(*) FROM bids WHERE status = 'SUBMITTED'"), "2");
        legacy.settle(second.claim_id, None).await.unwrap();
        assert_eq!(old.ask("SELECT count(*) FROM bids"), "0");
        assert_eq!(old.ask("SELECT count(*) FROM bidlock_mirror"), "0");
    }
}

/// A table that an earlier version made, or that was made by hand, is brought up.
#[tokio::test]
async fn a_mirror_of_before_is_brought_up() {
    for old in Old::each() {
        old.sql(
            "CREATE TABLE bidlock_mirror (marketplace TEXT NOT NULL, job_id TEXT NOT NULL, status TEXT NOT NULL, \
             claim TEXT NOT NULL, PRIMARY KEY (marketplace, job_id))",
        );
        let bid = claimed(&old, "1900000000000000017").await;
        let legacy = old.beside().await;
        let names = legacy.names(&bid.posting, &[]);
        assert!(matches!(legacy.mirror(&bid, &names, None).await.unwrap(), Mirrored::Done));
        let again = old.beside().await;
        assert!(matches!(again.mirror(&bid, &names, None).await.unwrap(), Mirrored::Done));
        assert_eq!(old.ask("SELECT DISTINCT epoch FROM bidlock_mirror"), "1");
    }
}

/// An enumerated type, words in lower case, keys and times of their own kind.
#[tokio::test]
async fn a_row_is_written_as_the_table_wants_it() {
    let tables = [
        (
            Some(Old::sqlite()),
            "CREATE TABLE bids (id TEXT PRIMARY KEY, marketplace TEXT, job_id TEXT, \
            status TEXT CHECK (status IN ('pending', 'submitted')), created_at INTEGER NOT NULL, \
            UNIQUE (marketplace, job_id, status));
            INSERT INTO bids VALUES ('x', 'upwork', 'other', 'submitted', 0)",
        ),
        (
            Old::postgres(),
            "CREATE TYPE word AS ENUM ('pending', 'submitted');
            CREATE TABLE bids (id UUID PRIMARY KEY, marketplace TEXT, job_id TEXT, status word, \
            created_at TIMESTAMPTZ NOT NULL, updated_at BIGINT, UNIQUE (job_id, marketplace))",
        ),
    ];
    for (old, table) in tables {
        let Some(old) = old else { continue };
        old.sql(table);
        let legacy = old.beside().await;
        let bid = claimed(&old, "1900000000000000017").await;
        legacy.mirror(&bid, &legacy.names(&bid.posting, &[]), None).await.unwrap();
        legacy.settle(bid.claim_id, Some(BidState::Submitted)).await.unwrap();
        let count = old.ask("SELECT count(*) FROM bids WHERE status = 'submitted' AND job_id LIKE '%17'");
        assert_eq!(count, "2");
    }
    let old = Old::sqlite();
    old.sql("CREATE TABLE bids (marketplace TEXT, job_id TEXT, status TEXT, user_id TEXT NOT NULL)");
    let opened =
        bidlock_legacy::LegacyDatabase::open_beside(&old.place(), old::actor(), Default::default).await;
    let error = opened.unwrap_err();
    assert!(error.to_string().contains("needs user_id"), "{error}");
}

/// Two spellings of a marketplace are two rows, also where the key is a text that nothing else fills.
#[tokio::test]
async fn rows_of_one_bid_under_several_marketplaces_have_keys_of_their_own() {
    let old = Old::sqlite();
    old.sql(&old::TABLE.replace("{id}", "TEXT PRIMARY KEY"));
    old.sql("INSERT INTO bids (id, marketplace, job_id, status) VALUES ('x', 'Upwork', 'other', 'WON')");
    let legacy = old.beside().await;
    let bid = claimed(&old, "1900000000000000017").await;
    assert!(matches!(
        legacy.mirror(&bid, &legacy.names(&bid.posting, &[]), None).await.unwrap(),
        Mirrored::Done
    ));
    assert_eq!(old.ask("SELECT count(DISTINCT id) FROM bids WHERE status = 'PENDING'"), "4");
}

/// Columns that don't tell upper from lower case: a row of theirs in another case is not changed with ours.
#[tokio::test]
async fn what_is_done_to_our_row_is_not_done_to_one_in_another_case() {
    let old = Old::sqlite();
    old.sql(
        "CREATE TABLE bids (marketplace TEXT COLLATE NOCASE, job_id TEXT COLLATE NOCASE, status TEXT);
         CREATE UNIQUE INDEX once ON bids (marketplace COLLATE BINARY, job_id COLLATE BINARY, status)",
    );
    let legacy = old.beside().await;
    let bid = claimed(&old, "~0ab").await;
    let name = |job_id: &str| bidlock_pipeline::LegacyName {
        marketplace: "upwork".to_owned(),
        job_id: job_id.to_owned(),
    };
    assert!(matches!(legacy.mirror(&bid, &[name("~0ab")], None).await.unwrap(), Mirrored::Done));
    old.add_bare("upwork", "~0AB", "PENDING");
    legacy.settle(bid.claim_id, Some(BidState::Submitted)).await.unwrap();
    assert_eq!(old.ask(ROWS), "upwork|~0ab|SUBMITTED\nupwork|~0AB|PENDING");
    old.sql("UPDATE bids SET status = 'SUBMITTED'");
    legacy.settle(bid.claim_id, None).await.unwrap();
    assert_eq!(old.ask(ROWS), "upwork|~0AB|SUBMITTED");
}

/// A name is in the table as a whole or not at all: one that is cut would be another posting's.
#[tokio::test]
async fn names_that_the_columns_cant_hold_are_left_out_and_nothing_is_cut() {
    let Some(old) = Old::postgres() else { return };
    old.sql(
        "CREATE TABLE bids (job_id VARCHAR(24) NOT NULL, marketplace CHAR(8) NOT NULL, \
         status VARCHAR(8) NOT NULL, UNIQUE (marketplace, job_id, status))",
    );
    let legacy = old.beside().await;
    let bid = claimed(&old, "1900000000000000017").await;
    let raw = ["https://market.example/jobs/a-long-page".to_owned()];
    let names = legacy.names(&bid.posting, &raw);
    assert!(names.iter().any(|name| name.job_id == raw[0]), "its key is locked all the same");
    old.add_bare("upwork", &raw[0][..24], "WON");
    assert!(legacy.find(&[(bid.posting.clone(), names.clone())]).await.unwrap()[0].is_none());
    assert!(matches!(legacy.mirror(&bid, &names, None).await.unwrap(), Mirrored::Done));
    let rows = "SELECT job_id FROM bids WHERE status = 'PENDING' ORDER BY length(job_id)";
    assert_eq!(old.ask(rows), "1900000000000000017\n~021900000000000000017");
    // What the table can't say is an error, not half a word.
    let error = legacy.settle(bid.claim_id, Some(BidState::Unknown)).await.unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    let Mirrored::Impossible { detail } = legacy.mirror(&bid, &names[names.len() - 1..], None).await.unwrap()
    else {
        panic!("no name of it fits")
    };
    assert!(detail.contains("too short"), "{detail}");
}

/// After a fail-over the one connected to may read only until its successor has its place: worth asking again.
#[tokio::test]
async fn a_server_that_only_reads_is_asked_again() {
    let Some(old) = Old::postgres() else { return };
    old.sql(&old::TABLE.replace("{id}", "SERIAL PRIMARY KEY"));
    let legacy = old.beside().await;
    let bid = claimed(&old, "1900000000000000017").await;
    old.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    old.sql("SELECT pg_reload_conf()");
    let read_only = || old.ask("SHOW default_transaction_read_only") == "on";
    while !read_only() {
        tokio::task::yield_now().await;
    }
    let error = loop {
        // The session takes the new setting between two transactions.
        match legacy.mirror(&bid, &legacy.names(&bid.posting, &[]), None).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(error.retryable && error.to_string().contains("read-only"), "{error}");
}

#[test]
fn a_place_shows_no_password() {
    let place = bidlock_legacy::Place::Postgres("postgres://u:open-sesame@db.example/bidding".to_owned());
    assert!(!format!("{place:?}").contains("sesame"));
}

#[tokio::test]
async fn a_database_that_has_gone_is_an_error_and_comes_back() {
    let Some(mut old) = Old::postgres() else { return };
    old.sql(&old::TABLE.replace("{id}", "SERIAL PRIMARY KEY"));
    let legacy = old.beside().await;
    let bid = claimed(&old, "1900000000000000017").await;
    let names = legacy.names(&bid.posting, &[]);
    let asked = [(bid.posting.clone(), names.clone())];
    old.server.as_mut().unwrap().kill();
    assert!(legacy.find(&asked).await.unwrap_err().retryable);
    assert!(legacy.mirror(&bid, &names, None).await.unwrap_err().retryable);
    old.server.as_mut().unwrap().start_again();
    assert!(legacy.find(&asked).await.unwrap()[0].is_none());
    assert!(matches!(legacy.mirror(&bid, &names, None).await.unwrap(), Mirrored::Done));
}

/// A user named like the ledger's schema would take the ledger for the old table.
#[tokio::test]
async fn the_ledger_itself_is_not_taken_for_the_old_table() {
    let Some(old) = Old::postgres() else { return };
    bidlock_ledger::PostgresLedger::open(&old.server.as_ref().unwrap().url()).await.unwrap();
    let opened = bidlock_legacy::LegacyDatabase::open(&old.place(), old::actor()).await;
    assert!(opened.unwrap_err().to_string().contains("is the ledger of bidlock itself"));
}

/// Two rows of one posting and status would be alike: taking ours away would take theirs.
#[tokio::test]
async fn a_table_in_which_ours_cant_be_told_from_theirs_is_refused() {
    let all = [Some(Old::sqlite()), Old::postgres()];
    for old in all.into_iter().flatten() {
        old.sql("CREATE TABLE bids (marketplace TEXT, job_id TEXT, status TEXT, user_name TEXT)");
        let opened = || async {
            bidlock_legacy::LegacyDatabase::open_beside(&old.place(), old::actor(), Default::default).await
        };
        for others in [
            "CREATE INDEX plain ON bids (marketplace, job_id, status)",
            "CREATE UNIQUE INDEX of_a_user ON bids (user_name, marketplace, job_id, status)",
            "CREATE UNIQUE INDEX partial ON bids (marketplace, job_id) WHERE status = 'WON'",
            "CREATE UNIQUE INDEX computed ON bids (lower(marketplace), job_id, status)",
        ] {
            old.sql(others);
            let error = opened().await.unwrap_err();
            assert!(error.to_string().contains("not unique"), "{error}");
            assert!(error.hint.unwrap().contains("CREATE UNIQUE INDEX"));
        }
        assert!(old.open().await.place().contains("old.db") || old.server.is_some(), "it can be read");
        old.sql("CREATE UNIQUE INDEX whole ON bids (marketplace, job_id, status)");
        opened().await.unwrap();
    }
}
