//! What `doctor` tells of an old table, on SQLite and PostgreSQL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by them")]

mod old;

use bidlock_ledger::ClaimOutcome;
use bidlock_legacy::{Importer, LegacyDatabase, Place};
use bidlock_pipeline::{LegacyBids, PipelineError};

use old::{Old, actor, posting, request};

#[tokio::test]
async fn rows_ours_and_what_is_wanting_are_told() {
    for old in Old::each() {
        old.add("Upwork", "1900000000000000999", "SUBMITTED");
        old.add("Upwork", "1900000000000000998", "PENDING");
        let look = old.open().await.look().await.unwrap();
        assert_eq!((look.rows, look.ours, look.wanting), (2, None, vec![]));

        let legacy = old.beside().await;
        let claimed = old.ledger().claim(&[request(&posting("board", "made-up-7"))]).await.unwrap().remove(0);
        let ClaimOutcome::Granted(claim) = claimed else { panic!("it is free") };
        let names = legacy.names(&claim.bid.posting, &[]);
        legacy.mirror(&claim.bid, &names, None).await.unwrap();
        let look = old.open().await.look().await.unwrap();
        let ours = names.len() as u64;
        assert_eq!((look.rows, look.ours, look.wanting), (2 + ours, Some(ours), vec![]));
    }
}

#[tokio::test]
async fn the_rights_that_a_scan_lacks_are_named() {
    let Some(old) = Old::postgres() else { return };
    old.sql(&old::TABLE.replace("{id}", "SERIAL PRIMARY KEY"));
    old.sql("CREATE ROLE reader LOGIN PASSWORD 'made-up'; GRANT SELECT ON bids TO reader");
    let Place::Postgres(url) = old.place() else { panic!("it is one") };
    let (_, host) = url.rsplit_once('@').unwrap();
    let url = format!("postgres://reader:made-up@{host}");
    let reader = async || LegacyDatabase::open(&Place::Postgres(url.clone()), actor()).await;
    let look = reader().await.unwrap().look().await.unwrap();
    let lacks = "this user lacks INSERT on bids, UPDATE on bids, DELETE on bids, CREATE in schema public";
    assert_eq!(look.wanting, [lacks]);

    old.add("Upwork", "1900000000000000999", "SUBMITTED");
    // Where ours stand beside theirs, a reader must see which are which.
    old.sql("CREATE TABLE bidlock_mirror (marketplace TEXT, job_id TEXT, status TEXT, claim TEXT)");
    let error = match reader().await {
        Err(error) => error,
        Ok(reader) => match Importer::new(reader, None, true, 0).run().await {
            Err(PipelineError::Legacy(error)) => error,
            other => panic!("{other:?}"),
        },
    };
    assert!(error.message.contains("bidlock_mirror"), "{error}");
    let hint = error.hint.unwrap_or_default();
    assert!(hint.starts_with("GRANT SELECT ON bids, and on bidlock_mirror"), "{hint}");
}
