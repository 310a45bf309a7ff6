//! Starts the servers that the tests of bidlock's engines need: each on a free loopback port, in a temporary folder,
//! ended with its test. Internal to this workspace.
//!
//! Where a server's binary is missing, the test is skipped with a printed line; if the environment variable
//! `REQUIRE_BACKENDS` lists the engine, that is a failure instead.
//!
//! # Layout
//!
//! | where | what |
//! |---|---|
//! | `redis.rs` | [`redis::RedisServer`] |
//! | `requirement.rs` | whether an engine may be missing |

pub mod redis;
mod requirement;

pub use requirement::missing;
