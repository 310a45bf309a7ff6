//! `GET /metrics`, and nothing else.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore};

use super::Watched;

/// The text format that the exporter writes.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// The most connections at one time; more wait in the kernel's queue. A few Prometheus servers and a person.
const MAX_CONNECTIONS: usize = 16;
/// How long a client may take over the head of a request; one that keeps its connection may be silent as long.
const HEAD_LIMIT: Duration = Duration::from_secs(120);
/// The pause after the system refused a connection, such as for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers every connection, as many at a time as there are places, until the task is aborted.
pub(super) async fn answer_all(listener: TcpListener, recorder: PrometheusHandle, watched: Arc<Watched>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, and the connections with them.
    let mut connections = tokio::task::JoinSet::new();
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a request for metrics could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (recorder, watched) = (recorder.clone(), Arc::clone(&watched));
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &recorder, &watched));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for metrics ended early");
            }
            drop(place);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    recorder: &PrometheusHandle,
    watched: &Watched,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let (status, format, body) = match request.uri().path() {
        "/metrics" if reads => {
            watched.look().await;
            (StatusCode::OK, METRICS, Bytes::from(recorder.render()))
        }
        "/metrics" => (
            StatusCode::METHOD_NOT_ALLOWED,
            PLAIN,
            Bytes::from_static(b"metrics are only read: GET /metrics\n"),
        ),
        _ => {
            (StatusCode::NOT_FOUND, PLAIN, Bytes::from_static(b"there is /metrics here, and nothing else\n"))
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Ok(response)
}
