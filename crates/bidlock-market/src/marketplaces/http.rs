//! The generic HTTP marketplace: any service that speaks bidlock's small contract.
//!
//! | request | answers |
//! |---|---|
//! | `POST URL/bids` | 200, 201 with `id`: accepted · 409: a bid exists · 400, 422, and 404, 410 with `code`: refused · 401, 402, 403, and any other 404, 405, 410: sending stops · 429: later |
//! | `GET URL/bids?marketplace=&posting_id=` | 200 with `bids` |
//! | `POST URL/bids/{id}/withdraw` | 200 |
//!
//! Anything else leaves the outcome unknown; the whole table is in `classify`.
//!
//! One call lets one request leave: the client retries nothing, follows no redirect, speaks HTTP/1.1 only
//! and opens a new connection for every request, so that neither a half-dead idle connection nor a refused
//! stream can turn into a second sending inside the library. A proxy is used only if configured.

mod classify;
mod wire;

use std::{error::Error as StdError, time::Duration};

use async_trait::async_trait;
use bidlock_canary::{Canary, removed};
use bidlock_ledger::PostingId;
use reqwest::{
    Client, Proxy, RequestBuilder, Response,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, HeaderMap, HeaderValue},
    redirect, retry,
};
use url::Url;

use self::{
    classify::Reply,
    wire::{BidBody, Said},
};
use super::{ConnectError, Target, TargetError, Token};
use crate::marketplace::{
    Answer, Approval, Capabilities, LookUpError, LostCause, Marketplace, RemoteBid, Submission,
    WithdrawAnswer,
};

/// The time limit of one call unless set otherwise: a tenth of the default TTL of claims.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(30);
/// The part of the time limit that connecting may take unless set otherwise.
pub const DEFAULT_CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer to a submission or withdrawal that is read, in bytes; an id and a sentence fit.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The longest list of bids that is read, in bytes; thousands of bids on one posting fit.
pub const MAX_LOOK_UP_BYTES: usize = 4 * 1024 * 1024;

/// How to talk to a generic HTTP marketplace, and what its operator promises.
#[derive(Clone)]
pub struct HttpOptions {
    /// The time limit of one call, connecting and reading the answer included.
    pub time_limit: Duration,
    /// The time limit of connecting; at most half of `time_limit` is used, so that an unreachable host is
    /// told from a lost answer.
    pub connect_limit: Duration,
    /// Whether a person approves each bid first.
    pub approval: Approval,
    /// The marketplace refuses a second bid on a posting.
    pub refuses_duplicates: bool,
    /// The marketplace answers a repeated idempotency key with its first answer.
    pub honours_idempotency_key: bool,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Token>,
    /// The proxy to go through. Variables such as `HTTPS_PROXY` are never read.
    pub proxy: Option<Url>,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            time_limit: DEFAULT_TIME_LIMIT,
            connect_limit: DEFAULT_CONNECT_LIMIT,
            approval: Approval::NotNeeded,
            refuses_duplicates: false,
            honours_idempotency_key: false,
            token: None,
            proxy: None,
        }
    }
}

impl std::fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOptions")
            .field("time_limit", &self.time_limit)
            .field("connect_limit", &self.connect_limit)
            .field("approval", &self.approval)
            .field("refuses_duplicates", &self.refuses_duplicates)
            .field("honours_idempotency_key", &self.honours_idempotency_key)
            .field("token", &self.token)
            // The host only: a proxy's URL may hold a password.
            .field("proxy", &self.proxy.as_ref().map(|url| url.host_str().unwrap_or_default().to_owned()))
            .finish()
    }
}

/// A marketplace at a URL.
#[derive(Debug)]
pub struct HttpMarketplace {
    via: String,
    base: Url,
    client: Client,
    options: HttpOptions,
}

impl HttpMarketplace {
    /// Sets the client up; lets nothing leave.
    ///
    /// # Errors
    /// The URL holds credentials or is no HTTP URL, the time limit is zero, or the client can't be set up.
    pub fn new(url: Url, options: HttpOptions) -> Result<HttpMarketplace, ConnectError> {
        // Checked again here, since a `Url` can be made without going through `Target`.
        let Target::Http(base) = url.as_str().parse()? else {
            return Err(ConnectError::Target(TargetError::Unknown(url.to_string())));
        };
        if options.time_limit.is_zero() {
            return Err(ConnectError::NoTime);
        }
        let via = format!("http:{}", base.as_str().trim_end_matches('/'));
        let client = client(&options)
            .map_err(|why| ConnectError::Client { via: via.clone(), why: chain(&why.without_url()) })?;
        let local = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if options.token.is_some() && base.scheme() == "http" && !local {
            tracing::warn!(%via, "the token travels in the clear: use https");
        }
        Ok(HttpMarketplace { via, base, client, options })
    }

    /// The base URL with `segments` behind it, each percent-encoded as one segment.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // An http(s) URL always has path segments; were it not so, the base URL answers 404.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Status, wait and words of an answer. The status alone has proved what it proves: a body that breaks
    /// off only costs the words, and the id where there should be one.
    async fn reply(&self, response: Response) -> (Reply, Option<LostCause>) {
        let status = response.status().as_u16();
        let after = classify::retry_after(response.headers());
        let (said, broke) = match bounded_body(response, MAX_ANSWER_BYTES).await {
            Ok(body) => (Said::read(&body, self.options.token.as_ref()), None),
            Err(BodyError::TooLong(most)) => {
                (Said::nothing(&format!("the answer is longer than {most} bytes")), None)
            }
            Err(BodyError::Broken(why)) => {
                let cause = if why.is_timeout() { LostCause::Timeout } else { LostCause::ConnectionLost };
                (Said::nothing(&chain(&why.without_url())), Some(cause))
            }
        };
        (Reply { status, after, said }, broke)
    }
}

#[async_trait]
impl Marketplace for HttpMarketplace {
    fn via(&self) -> &str {
        &self.via
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            refuses_duplicates: self.options.refuses_duplicates,
            looks_up: true,
            honours_idempotency_key: self.options.honours_idempotency_key,
            approval: self.options.approval,
            sends: true,
        }
    }

    fn time_limit(&self) -> Duration {
        self.options.time_limit
    }

    async fn submit(&self, submission: &Submission) -> Answer {
        let url = self.url(&["bids"]);
        let request = self
            .client
            .post(url.clone())
            .header("Idempotency-Key", submission.idempotency_key.to_string())
            .json(&BidBody::new(submission));
        let response = match send(request).await {
            Ok(response) => response,
            Err(SendError::NotSent(detail)) => return Answer::NotSent { detail },
            Err(SendError::Lost(cause, detail)) => return Answer::Lost { cause, detail },
        };
        let (reply, broke) = self.reply(response).await;
        match (classify::submission(reply), broke) {
            // Not the marketplace's words are at fault, but the way here.
            (Answer::Lost { cause: LostCause::UnreadableAnswer, detail }, Some(cause)) => {
                Answer::Lost { cause, detail }
            }
            (Answer::NotHere { detail }, _) => {
                Answer::NotHere { detail: format!("POST {url} was answered with {detail}") }
            }
            (answer, _) => answer,
        }
    }

    async fn look_up(&self, posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError> {
        let request = self
            .client
            .get(self.url(&["bids"]))
            .query(&[("marketplace", posting.marketplace()), ("posting_id", posting.posting())]);
        let unanswered = |detail| LookUpError::Unanswered { via: self.via.clone(), detail };
        let unreadable = |detail| LookUpError::Unreadable { via: self.via.clone(), detail };
        let response = match send(request).await {
            Ok(response) => response,
            Err(SendError::NotSent(detail)) => {
                return Err(LookUpError::Unreachable { via: self.via.clone(), detail });
            }
            Err(SendError::Lost(_, detail)) => return Err(unanswered(detail)),
        };
        if response.status().as_u16() != 200 {
            let (reply, _) = self.reply(response).await;
            return Err(classify::failed_look_up(&self.via, reply));
        }
        let body = bounded_body(response, MAX_LOOK_UP_BYTES).await.map_err(|e| match e {
            BodyError::TooLong(most) => unreadable(format!("it is longer than {most} bytes")),
            BodyError::Broken(why) => unanswered(chain(&why.without_url())),
        })?;
        wire::bids(&body, posting, self.options.token.as_ref()).map_err(unreadable)
    }

    async fn withdraw(&self, external_ref: &str) -> WithdrawAnswer {
        // As a path segment these mean a folder, also percent-encoded: no bid can be asked for by them.
        if matches!(external_ref, "" | "." | "..") {
            return WithdrawAnswer::NotFound { detail: format!("`{external_ref}` is no id of a bid") };
        }
        let request = self.client.post(self.url(&["bids", external_ref, "withdraw"]));
        let response = match send(request).await {
            Ok(response) => response,
            Err(SendError::NotSent(detail)) => return WithdrawAnswer::TryLater { after: None, detail },
            Err(SendError::Lost(cause, detail)) => return WithdrawAnswer::Lost { cause, detail },
        };
        classify::withdrawal(self.reply(response).await.0)
    }
}

/// The one HTTP client, with everything off that could send twice.
fn client(options: &HttpOptions) -> reqwest::Result<Client> {
    // Fails only if a provider is installed already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // Says what is true anyway, so that the server closes first and the local port is free at once.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(token) = &options.token {
        headers.insert(AUTHORIZATION, token.header());
    }
    let mut builder = Client::builder()
        .default_headers(headers)
        .user_agent(concat!("bidlock/", env!("CARGO_PKG_VERSION")))
        .retry(retry::never())
        .redirect(if removed(Canary::FollowRedirects) {
            redirect::Policy::default()
        } else {
            redirect::Policy::none()
        })
        .pool_max_idle_per_host(0)
        .http1_only()
        .referer(false)
        .timeout(options.time_limit)
        .connect_timeout(options.connect_limit.min(options.time_limit / 2))
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(Proxy::all(proxy.clone())?);
    }
    builder.build()
}

/// Why there is no answer.
enum SendError {
    /// Nothing left.
    NotSent(String),
    /// Something may have left.
    Lost(LostCause, String),
}

async fn send(request: RequestBuilder) -> Result<Response, SendError> {
    request.send().await.map_err(|error| {
        let (connecting, building, late) = (error.is_connect(), error.is_builder(), error.is_timeout());
        let detail = chain(&error.without_url());
        // Without a pool a connection error comes before the request is handed to the connection: from the
        // resolver, the TCP connect, the proxy's CONNECT or the TLS handshake. Nothing of the bid has left.
        if connecting || building {
            SendError::NotSent(detail)
        } else if late {
            SendError::Lost(LostCause::Timeout, detail)
        } else {
            SendError::Lost(LostCause::ConnectionLost, detail)
        }
    })
}

/// Why a body could not be read.
enum BodyError {
    TooLong(usize),
    Broken(reqwest::Error),
}

async fn bounded_body(mut response: Response, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLong(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The messages of an error and its sources in one line; the outer ones alone say too little.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = inner.source();
    }
    text
}
