//! Encrypted ways to the engines, as the command line takes them: a certificate that is trusted, and what is said of one
//! that is not. Real servers and processes.

use bidlock_testkit::{Certificates, PostgresServer};

use crate::kit::{
    Desk,
    engines::{FEED, Market, SECRET, With, discreet, postgres, record, say_to},
};

#[test]
fn a_scan_with_its_locks_on_a_redis_with_tls() {
    let Some(certificates) = Certificates::make() else { return };
    let Some((redis, port)) = certificates.redis("no") else { return };
    let file = |name: &str| certificates.path(name).display().to_string();
    let said = say_to(redis.port(), &format!("CONFIG SET requirepass {SECRET}"));
    assert_eq!(said.trim(), "+OK");
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let with = |url: String| With { desk: &desk, variables: vec![("REDIS_URL", url)] };
    let url = |settings: &str| format!("rediss://:{SECRET}@127.0.0.1:{port}/0{settings}");
    let way_out = ["certificate", "ca_file", "127.0.0.1"];

    // Nobody is trusted who can't be: the system's authorities don't know it, and this one is another's.
    for settings in [String::new(), format!("?ca_file={}", file("other.crt"))] {
        let stranger = with(url(&settings));
        stranger.run(&scan).refused(5, &way_out);
        stranger.run("doctor").code(9).prints(&way_out);
    }
    let elsewhere = url(&format!("?ca_file={}", file("ca.crt"))).replace("127.0.0.1", "localhost");
    with(elsewhere).run(&scan).refused(5, &["certificate"]);
    let nowhere = with(url("?ca_file=/nowhere/ca.crt"));
    nowhere.run(&scan).refused(2, &["/nowhere/ca.crt"]);
    assert_eq!(record(&desk), (0, 0), "nothing is sent without locks");

    let trusted = with(url(&format!("?ca_file={}", file("ca.crt"))));
    trusted.run(&scan).code(0);
    trusted.run("doctor").code(0).prints(&["rediss://"]);
    // The system's own authorities may be named by the variable that other programs know.
    discreet(with(url("")).call("doctor").env("SSL_CERT_FILE", file("ca.crt")).run()).code(0);
    assert_eq!(record(&desk), (2, 0));
}

/// The server's URL with these settings.
fn with_settings(server: &PostgresServer, settings: &str) -> String {
    format!("{}?{settings}", server.url())
}

#[test]
fn a_scan_with_its_ledger_on_a_postgresql_with_tls() {
    let Some(certificates) = Certificates::make() else { return };
    let Some(mut server) = postgres() else { return };
    certificates.give_to(&mut server);
    let file = |name: &str| certificates.path(name).display().to_string();
    let desk = Desk::new();
    desk.file("feed.json", FEED);
    let market = Market::open(&desk);
    let scan = format!("scan feed.json --marketplace example --submit {}", market.url);
    let with = |url: String| With { desk: &desk, variables: vec![("DATABASE_URL", url)] };
    let way_out = ["certificate", "sslrootcert"];

    let stranger = "sslmode=verify-full".to_owned();
    let another = format!("sslmode=verify-full&sslrootcert={}", file("other.crt"));
    for settings in [stranger, another] {
        let with = with(with_settings(&server, &settings));
        with.run(&scan).refused(5, &way_out);
        with.run("doctor").code(9).prints(&way_out);
    }
    let trusted = with_settings(&server, &format!("sslmode=verify-full&sslrootcert={}", file("ca.crt")));
    with(trusted.replace("127.0.0.1", "localhost")).run(&scan).refused(5, &["certificate"]);
    assert_eq!(record(&desk), (0, 0), "nothing is sent without a ledger");

    let trusted = with(trusted);
    trusted.run(&scan).code(0);
    trusted.run("doctor").code(0).prints(&["TLSv1"]);
    assert_eq!(record(&desk), (2, 0));
}
