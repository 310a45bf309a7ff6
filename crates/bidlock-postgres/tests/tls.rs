//! `sslmode` against a server with a certificate of a made-up authority.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test file: the lints' exemption covers only the test functions"
)]

use std::{path::Path, process::Command};

use bidlock_postgres::{Session, Target};
use bidlock_testkit::{PostgresOptions, PostgresServer};

fn openssl(folder: &Path, arguments: &str) -> bool {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments.split(' '));
    command.output().is_ok_and(|output| output.status.success())
}

/// An authority, and a certificate of it for 127.0.0.1.
fn make_certificates(folder: &Path) -> bool {
    std::fs::write(folder.join("names"), "subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n")
        .unwrap();
    [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=made-up -days 30",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
    ]
    .iter()
    .all(|arguments| openssl(folder, arguments))
}

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

    let folder = tempfile::tempdir().unwrap();
    if !make_certificates(folder.path()) {
        println!("SKIPPED (no openssl): each_sslmode_promises_what_it_does_in_libpq");
        return;
    }
    for name in ["server.key", "server.crt"] {
        server.put_file(name, &std::fs::read(folder.path().join(name)).unwrap());
    }
    server.sql("ALTER SYSTEM SET ssl = on");
    server.stop();
    server.start_again();
    let authority = folder.path().join("ca.crt");
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
