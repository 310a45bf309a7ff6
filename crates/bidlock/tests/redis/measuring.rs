//! What `bidlock bench` measures is what it says: locks of one run, all given back, and figures that agree.

use bidlock::measure::{self, Namespace};
use bidlock::{ErrorKind, KeyFilter, Page};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_counts_what_was_done_and_leaves_nothing_behind() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let backend = RedisBackend::connect(RedisOptions::from_url(&server.url()).unwrap()).await.unwrap();
    let lines = measure::peer_lines(&backend, 0.001).await.unwrap();
    let figures: Vec<_> = lines.iter().map(|line| (line.bench, line.tasks, line.unit)).collect();
    assert_eq!(
        figures,
        [
            ("pairs", 1, "pairs/s"),
            ("pairs", 64, "pairs/s"),
            ("contended", 100, "ms"),
            ("handover", 3, "ms"),
            ("handover", 33, "ms"),
        ]
    );
    for line in &lines {
        assert!(line.peer == "bidlock" && line.value > 0.0, "{line:?}");
        // A lock is asked for and given back; tasks that share a round trip need less than a command each.
        assert!(line.commands_per_acquisition > 0.0, "{line:?}");
    }
    // However short and however busy the host, each task had its turn.
    let namespace = Namespace::new("none");
    assert_eq!(
        measure::pairs(&manager(&server).await, &namespace, 7, Duration::ZERO).await.unwrap().pairs,
        7
    );
    let contended = &lines[2];
    assert!(contended.overhead_ms.unwrap() < contended.value, "{contended:?}");
    assert!(manager(&server).await.inspect(KeyFilter::all(), Page::default()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_else_has_ends_the_measurement_with_its_name() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (locks, other) = (manager(&server).await, manager(&server).await);
    let namespace = Namespace::new("taken");
    let _held = other.try_lock(&namespace.key(0).unwrap()).await.unwrap().acquired().unwrap();
    let error = measure::pairs(&locks, &namespace, 1, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("bench:taken/0"), "{error}");
    let error = measure::pairs(&locks, &Namespace::new("a\nb"), 1, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
