//! A lane's sharing, before a server that answers when a test lets it: each number with itself times ten.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;

/// What a round trip asks for, and where its answer goes.
type Trip = (Vec<u32>, oneshot::Sender<Result<Vec<u32>, Fault>>);

struct Server {
    lane: Arc<Lane<u32, u32>>,
    trips: mpsc::UnboundedReceiver<Trip>,
}

impl Server {
    fn new() -> Server {
        let (trip, trips) = mpsc::unbounded_channel();
        let lane = Lane::new(move |requests: Vec<u32>| {
            let (answer, answered) = oneshot::channel();
            trip.send((requests, answer)).unwrap();
            async move { answered.await.unwrap() }
        });
        Server { lane, trips }
    }

    /// A server that works on as many calls as may be under way, all for 0.
    async fn busy() -> Server {
        let server = Server::new();
        for _ in 0..MAX_UNDER_WAY {
            server.ask(&[0]).await;
        }
        server
    }

    /// A caller that has said what it wants, and waits.
    async fn ask(&self, requests: &[u32]) -> JoinHandle<Result<Vec<u32>, Fault>> {
        let (lane, requests) = (Arc::clone(&self.lane), requests.to_vec());
        let caller = tokio::spawn(async move { lane.call(&requests).await });
        tokio::task::yield_now().await;
        caller
    }

    /// Answers the next round trip, and says what it asked for.
    async fn answer(&mut self) -> Vec<u32> {
        let (requests, answer) = self.trips.recv().await.unwrap();
        answer.send(Ok(requests.iter().map(|n| n * 10).collect())).unwrap();
        requests
    }

    /// Answers what [`busy`](Server::busy) began.
    async fn come_free(&mut self) {
        for _ in 0..MAX_UNDER_WAY {
            assert_eq!(self.answer().await, [0]);
        }
    }

    fn under_way_and_queued(&self) -> (usize, usize) {
        let state = locked(&self.lane.state);
        (state.under_way, state.queued)
    }
}

#[tokio::test]
async fn callers_share_a_trip_and_each_gets_its_own_answers() {
    let mut server = Server::busy().await;
    let callers = [server.ask(&[1]).await, server.ask(&[2, 3]).await, server.ask(&[4, 5, 6]).await];
    server.come_free().await;
    assert_eq!(server.answer().await, [1, 2, 3, 4, 5, 6], "one trip for three callers");
    for (caller, answers) in callers.into_iter().zip([vec![10], vec![20, 30], vec![40, 50, 60]]) {
        assert_eq!(caller.await.unwrap().unwrap(), answers);
    }
    assert_eq!(server.under_way_and_queued(), (0, 0));
}

#[tokio::test]
async fn after_company_the_first_caller_lets_others_come_along_and_alone_it_does_not_wait() {
    let mut server = Server::busy().await;
    let earlier = [server.ask(&[1]).await, server.ask(&[2]).await];
    server.come_free().await;
    assert_eq!(server.answer().await, [1, 2]);
    for caller in earlier {
        caller.await.unwrap().unwrap();
    }
    // Both are ready at once, as tasks that were woken together are.
    let lane = Arc::clone(&server.lane);
    let both = tokio::spawn(async move { futures::future::join(lane.call(&[3]), lane.call(&[4])).await });
    assert_eq!(server.answer().await, [3, 4]);
    let (three, four) = both.await.unwrap();
    assert_eq!((three.unwrap(), four.unwrap()), (vec![30], vec![40]));
    // Once with nobody beside it, and the next sends on its own task again.
    for n in [5, 6] {
        let caller = server.ask(&[n]).await;
        assert_eq!(server.answer().await, [n]);
        assert_eq!(caller.await.unwrap().unwrap(), [n * 10]);
    }
    assert!(!locked(&server.lane.state).company);
}

#[tokio::test]
async fn a_fault_is_everybodys_who_shared_the_trip() {
    let mut server = Server::busy().await;
    let callers = [server.ask(&[1]).await, server.ask(&[2]).await];
    server.come_free().await;
    let (_, answer) = server.trips.recv().await.unwrap();
    answer.send(Err(Fault::new(ErrorKind::Unavailable, "the line broke").maybe_applied())).unwrap();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err().into_error("acquire");
        assert!(error.kind() == ErrorKind::Unavailable && error.effect() == crate::error::Effect::Unknown);
    }
}

/// An answer more or less would give callers the answers of others.
#[tokio::test]
async fn as_many_answers_as_requests_or_nobody_gets_any() {
    for answers in [vec![10], vec![10, 20, 30]] {
        let mut server = Server::busy().await;
        let callers = [server.ask(&[1]).await, server.ask(&[2]).await];
        server.come_free().await;
        let (_, answer) = server.trips.recv().await.unwrap();
        answer.send(Ok(answers)).unwrap();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Internal);
        }
    }
}

#[tokio::test]
async fn what_has_not_been_sent_is_taken_back_with_its_caller() {
    let mut server = Server::busy().await;
    let gone = server.ask(&[1]).await;
    let stays = server.ask(&[2]).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    server.come_free().await;
    assert_eq!(server.answer().await, [2]);
    assert_eq!(stays.await.unwrap().unwrap(), [20]);
    assert_eq!(server.under_way_and_queued(), (0, 0));
}

#[tokio::test]
async fn a_trip_takes_so_many_and_no_more() {
    let mut server = Server::busy().await;
    let most: Vec<u32> = (1..=MAX_SHARED as u32).collect();
    // One that brings more than a trip's share goes by itself, and nobody is torn in two.
    let large = [most.clone(), vec![0]].concat();
    let callers = [server.ask(&most[1..]).await, server.ask(&[1, 2]).await, server.ask(&large).await];
    server.come_free().await;
    assert_eq!(server.answer().await, most[1..]);
    assert_eq!(server.answer().await, [1, 2]);
    assert_eq!(server.answer().await, large);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn more_than_may_wait_are_told_at_once() {
    let mut server = Server::busy().await;
    let waits = server.ask(&vec![1; MAX_QUEUED]).await;
    let error = server.lane.call(&[2]).await.unwrap_err().into_error("acquire");
    assert!(error.kind() == ErrorKind::Busy && error.effect() == crate::error::Effect::NotApplied);
    server.come_free().await;
    assert_eq!(server.answer().await.len(), MAX_QUEUED);
    waits.await.unwrap().unwrap();
}

/// Also what has been sent may have taken effect: its caller can't know.
#[test]
fn callers_of_a_runtime_that_has_ended_hear_of_it() {
    let (one, other) = (runtime(), runtime());
    let server = one.block_on(Server::busy());
    let waits = one.block_on(server.ask(&[1]));
    let lane = Arc::clone(&server.lane);
    let waiting = other.spawn(async move { lane.call(&[2]).await });
    other.block_on(tokio::task::yield_now());
    drop(one);
    drop(waits);
    let error = other.block_on(waiting).unwrap().unwrap_err().into_error("acquire");
    assert!(error.kind() == ErrorKind::Unavailable && error.effect() == crate::error::Effect::Unknown);
    assert_eq!(server.under_way_and_queued(), (0, 0));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
