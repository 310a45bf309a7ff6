//! Real servers for the tests of bidlock's engines: each on a free loopback port, in a temporary folder, ended with
//! its test, also by a panic. Internal to this workspace.
//!
//! Where a server's binary is missing, the test is skipped with a printed line; if the environment variable
//! `REQUIRE_BACKENDS` lists the engine, that is a failure instead.
//!
//! # Layout
//!
//! | where | what |
//! |---|---|
//! | `certificates.rs` | [`Certificates`], for tests of TLS |
//! | `pgbouncer.rs` | [`PgBouncer`], a transaction pooler before a server |
//! | `postgres.rs` | [`PostgresServer`] |
//! | `processes.rs` | which processes a server consists of |
//! | `redis.rs` | [`RedisServer`] |
//! | `requirement.rs` | whether an engine may be missing |
//! | `scrape.rs` | [`Scrape`], what was counted |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code that lives in a crate so that several others can use it"
)]

mod certificates;
mod pgbouncer;
mod postgres;
mod processes;
mod redis;
mod requirement;
mod scrape;

pub use certificates::Certificates;
pub use pgbouncer::PgBouncer;
pub use postgres::{PostgresOptions, PostgresServer};
pub use redis::RedisServer;
pub use requirement::missing;
pub use scrape::Scrape;
