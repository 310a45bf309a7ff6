//! `rediss://` against a server with a certificate of a made-up authority.

use bidlock::{Error, ErrorKind, Wait};
use bidlock_testkit::Certificates;

use super::*;

async fn refused(url: &str, words: &str) -> Error {
    let error = LockManager::connect(url).await.unwrap_err();
    let text = format!("{error}");
    assert!(text.contains(words), "{words:?} is not in {text:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_certificate_is_looked_at() {
    let Some(certificates) = Certificates::make() else { return };
    let Some((server, port)) = certificates.redis("no") else { return };
    let file = |name: &str| certificates.path(name).display().to_string();
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
    let Some(certificates) = Certificates::make() else { return };
    let Some((_server, port)) = certificates.redis("yes") else { return };
    let file = |name: &str| certificates.path(name).display().to_string();
    let trusted = format!("rediss://127.0.0.1:{port}?ca_file={}", file("ca.crt"));
    LockManager::connect(&trusted).await.unwrap_err();
    let ours = format!("{trusted}&cert_file={}&key_file={}", file("server.crt"), file("server.key"));
    let locks = LockManager::connect(&ours).await.unwrap();
    lease(&locks, "1").await.release().await.unwrap();
}
