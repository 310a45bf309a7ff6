//! A marketplace for tests, demos and first steps. It durably records every request before it answers, so
//! that its record proves how many bids reached it, and it shows faults on demand.
//!
//! It speaks bidlock's generic HTTP contract: `POST /bids`, `GET /bids?marketplace=&posting_id=`,
//! `POST /bids/{id}/withdraw`, and `GET /healthz`. It knows nothing of bidding but what it is told.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use bidlock_sandbox::{Report, Sandbox, SandboxOptions};
//!
//! let modes = "duplicates=refused,reset-after=0.1,seed=7".parse()?;
//! let sandbox = Sandbox::start(SandboxOptions::new("market.jsonl").modes(modes)).await?;
//! println!("submit to {}", sandbox.url());
//! sandbox.wait_for_submissions(1).await;
//! sandbox.stop().await;
//! assert_eq!(Report::read("market.jsonl")?.duplicates, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`modes`] | how it behaves, as types and as the text of `--mode` |
//! | [`record`] | the lines of the record, its one writer, and what a record proves |
//! | `plan` | what the modes hold for one request |
//! | `market` | the bids and what is decided; no I/O |
//! | `handler` | one request: record, decide, record, answer |
//! | `server`, `connection` | connections, and breaking them |
//! | `clock`, `error` | as they are called |

mod clock;
mod connection;
mod error;
mod handler;
mod market;
pub mod modes;
mod plan;
pub mod record;
mod server;

pub use error::SandboxError;
pub use modes::{MODES_HELP, Modes, ModesError};
pub use record::{Report, ReportError};
pub use server::{Sandbox, SandboxOptions};
