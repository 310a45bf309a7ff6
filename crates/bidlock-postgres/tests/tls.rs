//! `sslmode` against a server with a certificate of a made-up authority.
#![allow(clippy::unwrap_used, reason = "a test file: the lints' exemption covers only the test functions")]

use bidlock_postgres::{Session, Target};
use bidlock_testkit::{Certificates, PostgresOptions, PostgresServer};

async fn is_encrypted(url: &str) -> Result<bool, String> {
    let target = Target::parse(url).map_err(|e| e.to_string())?;
    let session = Session::connect(&target, None).await.map_err(|e| e.to_string())?;
    let rows = session.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await;
    Ok(rows.map_err(|e| e.to_string())?[0].get(0))
}

#[tokio::test]
async fn each_sslmode_promises_what_it_does_in_libpq() {
    let Some(mut server) = PostgresServer::start(PostgresOptions::new()) else { return };
    assert!(!is_encrypted(&server.url()).await.unwrap(), "`prefer` goes without where there is none");
    assert!(is_encrypted(&format!("{}?sslmode=require", server.url())).await.is_err());

    let Some(certificates) = Certificates::make() else { return };
    certificates.give_to(&mut server);
    let authority = certificates.path("ca.crt");
    let with = |settings: &str| format!("{}?{settings}", server.url());
    let rooted = |mode: &str| with(&format!("sslmode={mode}&sslrootcert={}", authority.display()));
    assert!(is_encrypted(&server.url()).await.unwrap(), "`prefer` encrypts where it can");
    assert!(!is_encrypted(&with("sslmode=disable")).await.unwrap());
    for url in [with("sslmode=require"), with("ssl=require"), rooted("require"), rooted("verify-full")] {
        assert!(is_encrypted(&url).await.unwrap(), "{url}");
    }
    let stranger = is_encrypted(&with("sslmode=verify-full")).await.unwrap_err();
    assert!(stranger.contains("certificate") && !stranger.contains(server.password()), "{stranger}");
    let elsewhere = rooted("verify-full").replace("127.0.0.1", "localhost");
    assert!(is_encrypted(&elsewhere).await.is_err(), "the name is checked");
}
