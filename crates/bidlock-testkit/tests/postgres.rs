//! The server starts, answers, survives a restart, and goes away with its guard.

use bidlock_testkit::{PostgresOptions, PostgresServer};

#[test]
fn a_server_starts_answers_and_keeps_its_data_over_a_restart() {
    let Some(mut server) = PostgresServer::start(PostgresOptions::new()) else { return };
    server.sql("CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)");
    server.stop();
    server.start_again();
    server.kill();
    server.start_again();
    assert_eq!(server.sql("SELECT n FROM kept"), "7");
    let standby = server.standby();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
}
