//! The naive contender: what the replaced system did, honestly rendered. Where it lets a second bid through,
//! a comment marked HOLE says so; nothing is made worse than it was.
//!
//! It gets what it did not have: the same feed readers with canonical ids, a store that survives crashes and
//! is written with `synchronous=FULL`, the same HTTP client with the same time limits. What it gets wrong, it
//! gets wrong by its protocol alone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bidlock_ledger::PostingId;
use bidlock_market::{
    Answer, HttpOptions, Marketplace, Posting, ReadOptions, Submission, connect, expand, read,
};
use bidlock_sqlite::{Options, Store};
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::plan::{CONCURRENCY, TTL};
use crate::{app::App, args::NaiveArgs, exit::Exit, failure::CliError};

/// `BID_LOCK_RETRY_COUNT`: how often a request is sent again.
const RETRIES: u32 = 3;
/// Before it is.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at postings that other workers hold; grows by half, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How often a posting that another worker holds is looked at. Together about half a minute, as for bidlock.
const MAX_LOOKS: u32 = 36;

const SCHEMA: &str = include_str!("naive.sql");
const SET_NX_EX: &str = "INSERT INTO locks (name, holder, expires_ms) VALUES (?1, ?2, ?3)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_ms = excluded.expires_ms
    WHERE locks.expires_ms <= ?4";
const GET: &str = "SELECT count(*) FROM locks WHERE name = ?1 AND holder = ?2 AND expires_ms > ?3";
const DEL: &str = "DELETE FROM locks WHERE name = ?1";
const SHOULD_BID: &str = "SELECT count(*) FROM bids WHERE posting = ?1 AND status = 'SUBMITTED'";
const CREATE: &str = "INSERT OR IGNORE INTO bids (posting, status) VALUES (?1, 'PENDING')";
const MARK: &str = "UPDATE OR IGNORE bids SET status = 'SUBMITTED' WHERE posting = ?1 AND status = 'PENDING'";

/// What came of one look at a posting.
enum Came {
    Submitted,
    AlreadyBid,
    Held,
    Failed(String),
}

struct Worker {
    store: Store,
    market: Arc<dyn Marketplace>,
    holder: String,
}

/// What is left to do: postings not looked at yet, and those that another worker held, with the number of looks.
#[derive(Default)]
struct Todo {
    ready: VecDeque<(Posting, u32)>,
    held: Vec<(Posting, u32)>,
}

/// Works through the feeds, as `bidlock scan` does.
///
/// # Errors
/// Feeds, store or marketplace can't be used.
pub(super) async fn run(app: &App, args: NaiveArgs) -> Result<Exit, CliError> {
    let failed = |e: &dyn std::error::Error| CliError::unavailable(crate::failure::chain_of(e));
    let store =
        Store::open(Options::new(&args.store), |conn| conn.execute_batch(SCHEMA)).map_err(|e| failed(&e))?;
    let limit = TTL / 4;
    let options = HttpOptions { time_limit: limit, connect_limit: limit / 2, ..HttpOptions::default() };
    let target = args.submit.parse().map_err(|e: bidlock_market::TargetError| failed(&e))?;
    let market = connect(&target, options).map_err(|e| failed(&e))?;
    let inputs = expand(&[args.feed.display().to_string()]).map_err(|e| failed(&e))?;
    let mut todo = Todo::default();
    for input in inputs {
        let fetch = read(&input, &ReadOptions::auto(App::now())).map_err(|e| failed(&e))?;
        todo.ready.extend(fetch.rows.into_iter().flatten().map(|posting| (posting, 0)));
    }
    let todo = Mutex::new(todo);
    let worker = Worker { store, market, holder: args.holder };
    futures::future::try_join_all((0..CONCURRENCY).map(|_| worker.drain(app, &todo))).await?;
    Ok(Exit::Ok)
}

impl Worker {
    async fn drain(&self, app: &App, todo: &Mutex<Todo>) -> Result<(), CliError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let next = todo.lock().await.ready.pop_front();
            let Some((posting, looks)) = next else {
                // Whoever is still at work takes care of what it finds held.
                let held = std::mem::take(&mut todo.lock().await.held);
                if held.is_empty() {
                    return Ok(());
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 3 / 2).min(MAX_PAUSE);
                todo.lock().await.ready.extend(held);
                continue;
            };
            let came = self.process(&posting).await?;
            if matches!(came, Came::Held) && looks + 1 < MAX_LOOKS {
                todo.lock().await.held.push((posting, looks + 1));
                continue;
            }
            pause = FIRST_PAUSE;
            let (outcome, state) = match &came {
                Came::Submitted => ("submitted", "submitted"),
                Came::AlreadyBid => ("already_bid", "submitted"),
                Came::Held => ("held_elsewhere", ""),
                Came::Failed(_) => ("failed", ""),
            };
            let reason = if let Came::Failed(why) = &came { Some(why) } else { None };
            app.out.json_line(&json!({
                "event": "outcome",
                "marketplace": posting.id.marketplace(),
                "posting": posting.id.posting(),
                "outcome": outcome,
                "state": state,
                "reason": reason,
            }))?;
        }
    }

    /// Lock, look, bid, release.
    async fn process(&self, posting: &Posting) -> Result<Came, CliError> {
        let name = format!("bid_lock:{}", posting.id);
        // A settled posting needs no lock.
        if self.count(SHOULD_BID, &posting.id).await? > 0 {
            return Ok(Came::AlreadyBid);
        }
        if !self.set_nx_ex(&name).await? {
            return Ok(Came::Held);
        }
        let came = self.bid_once(&posting.id, posting).await;
        self.release(&name).await?;
        came
    }

    async fn bid_once(&self, id: &PostingId, posting: &Posting) -> Result<Came, CliError> {
        // HOLE: the check and everything after it hold only while the lock does, and nothing below looks at
        // the lock again. Whoever pauses here beyond the TTL goes on as if nothing had happened.
        if self.count(SHOULD_BID, id).await? > 0 {
            return Ok(Came::AlreadyBid);
        }
        // HOLE: UNIQUE (posting, status) lets PENDING stand beside SUBMITTED, and two workers share one
        // PENDING. It can't refuse an old PENDING either: a worker that died leaves one behind, and refusing
        // it would lose the bid for ever.
        self.write(CREATE, id).await?;
        match self.submit(posting).await {
            Ok(()) => {
                self.write(MARK, id).await?;
                Ok(Came::Submitted)
            }
            Err(why) => Ok(Came::Failed(why)),
        }
    }

    async fn submit(&self, posting: &Posting) -> Result<(), String> {
        let submission = Submission {
            posting: posting.id.clone(),
            bid_id: Uuid::new_v4(),
            idempotency_key: Uuid::new_v4(),
            amount: posting.budget.bid_amount(),
            proposal: String::new(),
            posting_url: posting.url.clone(),
        };
        let mut why = String::new();
        for _ in 0..=RETRIES {
            let pause = match self.market.submit(&submission).await {
                // A refusal as a duplicate counts as done.
                Answer::Accepted { .. } | Answer::Duplicate { .. } => return Ok(()),
                Answer::Refused { detail, .. } | Answer::Stop { detail, .. } | Answer::NotHere { detail } => {
                    return Err(detail);
                }
                Answer::TryLater { after, detail } => {
                    why = detail;
                    after.unwrap_or(RETRY_PAUSE)
                }
                Answer::NotSent { detail } => {
                    why = detail;
                    RETRY_PAUSE
                }
                // HOLE: a lost answer says nothing about whether the bid was accepted. It is sent again.
                Answer::Lost { detail, .. } => {
                    why = detail;
                    RETRY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
        Err(why)
    }

    /// `SET name holder NX EX ttl`.
    async fn set_nx_ex(&self, name: &str) -> Result<bool, CliError> {
        let (name, holder) = (name.to_owned(), self.holder.clone());
        let ttl_ms = i64::try_from(TTL.as_millis()).unwrap_or(i64::MAX);
        let taken = self.store.write(move |tx, now| {
            tx.prepare_cached(SET_NX_EX)?.execute((&name, &holder, now.boot_ms + ttl_ms, now.boot_ms))
        });
        Ok(taken.await.map_err(store_failed)? > 0)
    }

    /// `GET name`, compare, `DEL name`.
    async fn release(&self, name: &str) -> Result<(), CliError> {
        let (key, holder) = (name.to_owned(), self.holder.clone());
        let mine = self.store.read(move |conn, now| {
            conn.prepare_cached(GET)?.query_row((&key, &holder, now.boot_ms), |row| row.get::<_, i64>(0))
        });
        if mine.await.map_err(store_failed)? > 0 {
            // HOLE: between GET and DEL the lock may expire and be taken: this deletes somebody else's.
            let key = name.to_owned();
            let deleted = self.store.write(move |tx, _| tx.prepare_cached(DEL)?.execute((&key,)));
            deleted.await.map_err(store_failed)?;
        }
        Ok(())
    }

    async fn count(&self, sql: &'static str, id: &PostingId) -> Result<i64, CliError> {
        let id = id.to_string();
        let count = self
            .store
            .read(move |conn, _| conn.prepare_cached(sql)?.query_row((&id,), |row| row.get::<_, i64>(0)));
        count.await.map_err(store_failed)
    }

    async fn write(&self, sql: &'static str, id: &PostingId) -> Result<(), CliError> {
        let id = id.to_string();
        let written = self.store.write(move |tx, _| tx.prepare_cached(sql)?.execute((&id,)));
        written.await.map(drop).map_err(store_failed)
    }
}

fn store_failed(error: bidlock_sqlite::Error) -> CliError {
    CliError::unavailable(crate::failure::chain_of(&error))
}
