//! `rediss://` against a server with a certificate of a made-up authority.

use std::path::Path;
use std::process::Command;

use bidlock::{Error, ErrorKind, Wait};
use bidlock_testkit::{RedisServer, missing};

use super::*;

/// An authority, a certificate of it for 127.0.0.1 and one for a client, and another authority.
fn make_certificates(folder: &Path) -> bool {
    let names = "subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n";
    std::fs::write(folder.join("names"), names).unwrap();
    [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=made-up -days 30",
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -subj /CN=other -days 30",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
    ]
    .iter()
    .all(|arguments| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(arguments.split(' '));
        command.output().is_ok_and(|output| output.status.success())
    })
}

/// A server with TLS on another port than without; `clients` says whether it wants to know who they are.
fn start(folder: &Path, clients: &str) -> Option<(RedisServer, u16)> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free.to_string();
    let path = |name: &str| folder.join(name).display().to_string();
    let (ca, cert, key) = (path("ca.crt"), path("server.crt"), path("server.key"));
    let server = RedisServer::start(&[
        "--tls-port",
        &port,
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        clients,
    ])?;
    Some((server, free))
}

/// Whether this program was built with TLS: the packages of distributions are, some others are not.
fn knows_tls(folder: &Path) -> bool {
    let program = std::env::var("BIDLOCK_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    // With a certificate that is not there it ends at once, and says what it does not know.
    let mut command = Command::new(program);
    command.current_dir(folder).args(["--port", "0", "--tls-port", "1", "--tls-cert-file", "/nowhere"]);
    command.output().is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        !["FATAL CONFIG FILE ERROR", "Bad directive", "Failed finding TLS"]
            .iter()
            .any(|sign| said.contains(sign))
    })
}

async fn refused(url: &str, words: &str) -> Error {
    let error = LockManager::connect(url).await.unwrap_err();
    let text = format!("{error}");
    assert!(text.contains(words), "{words:?} is not in {text:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_certificate_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    if !make_certificates(folder.path()) {
        missing("openssl", "no openssl");
        return;
    }
    if !knows_tls(folder.path()) {
        missing("redis with TLS", "the server was built without TLS");
        return;
    }
    let Some((server, port)) = start(folder.path(), "no") else { return };
    let file = |name: &str| folder.path().join(name).display().to_string();
    let url = |host: &str, settings: &str| format!("rediss://:hunter2@{host}:{port}/0{settings}");
    let () = ask(&server, &["CONFIG", "SET", "requirepass", "hunter2"]);
    let trusted = format!("?ca_file={}", file("ca.crt"));

    // A lock, a wait and a hand-over, all of it encrypted.
    let locks = LockManager::connect(&url("127.0.0.1", &trusted)).await.unwrap();
    let other = LockManager::connect(&url("127.0.0.1", &trusted)).await.unwrap();
    let held = lease(&locks, "1").await;
    let waiting = tokio::spawn(async move { other.lock(&posting("1"), Wait::up_to(PATIENCE)).await });
    tokio::task::yield_now().await;
    held.release().await.unwrap();
    waiting.await.unwrap().unwrap().acquired().unwrap().release().await.unwrap();

    // An authority that nobody here knows, another one than that of the server, and another host's certificate.
    for settings in ["", &format!("?ca_file={}", file("other.crt"))] {
        let error = refused(&url("127.0.0.1", settings), "certificate").await;
        assert_eq!(error.kind(), ErrorKind::Unfit, "{error}");
        assert!(error.to_string().contains("ca_file"), "no way out: {error}");
    }
    refused(&url("localhost", &trusted), "certificate").await;

    // TLS where the other side has none, and the other way round.
    refused(&format!("rediss://127.0.0.1:{}", server.port()), "127.0.0.1").await;
    refused(&format!("redis://127.0.0.1:{port}"), "127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_to_know_its_clients_is_shown_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    if !make_certificates(folder.path()) || !knows_tls(folder.path()) {
        missing("redis with TLS", "no openssl, or no TLS in the server");
        return;
    }
    let Some((_server, port)) = start(folder.path(), "yes") else { return };
    let file = |name: &str| folder.path().join(name).display().to_string();
    let trusted = format!("rediss://127.0.0.1:{port}?ca_file={}", file("ca.crt"));
    LockManager::connect(&trusted).await.unwrap_err();
    let ours = format!("{trusted}&cert_file={}&key_file={}", file("server.crt"), file("server.key"));
    let locks = LockManager::connect(&ours).await.unwrap();
    lease(&locks, "1").await.release().await.unwrap();
}
