//! On a server.

use bidlock_ledger::PostgresLedger;
use bidlock_testkit::{PostgresOptions, PostgresServer};

use super::*;

async fn open(url: &OsStr) -> PostgresLedger {
    PostgresLedger::open(url.to_str().unwrap()).await.unwrap()
}

#[tokio::test]
async fn processes_open_an_empty_database_at_once() {
    if let Some(url) = place() {
        wait_for_the_others();
        println!("LEDGER {}", open(&url).await.ledger_id());
        return;
    }
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let url = OsString::from(server.url());
    check_one_ledger(&run_children("postgres::processes_open_an_empty_database_at_once", &url));
}

#[tokio::test]
async fn one_process_passes_the_door_per_posting() {
    if let Some(url) = place() {
        let ledger = open(&url).await;
        wait_for_the_others();
        race(&ledger).await;
        return;
    }
    let Some(server) = PostgresServer::start(PostgresOptions::new()) else { return };
    let url = OsString::from(server.url());
    let ledger = open(&url).await;
    let printed = run_children("postgres::one_process_passes_the_door_per_posting", &url);
    check_one_passage_each(&ledger, &printed).await;
}
