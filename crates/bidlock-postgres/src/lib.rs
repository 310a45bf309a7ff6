//! PostgreSQL as bidlock uses it, for locks and ledger alike.
//!
//! No named prepared statement, no session setting and no session lock outlives its transaction, so everything
//! works behind a transaction pooler. A statement is one message there and one back: text, arguments and execution
//! together; what that costs in planning is shared by the batch, or saved by a function in the schema, whose plan the
//! server's session keeps for everybody.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `target` | [`Target`]: a URL that was understood, without a password in its `Debug` |
//! | `tls` | `sslmode` with rustls |
//! | `session` | [`Session`]: one connection |
//! | `lanes` | [`Lanes`]: few connections, each with what waited meanwhile as its next batch |
//! | `reader` | [`Reader`]: one pipelined connection for statements that change nothing |
//! | `error` | [`Error`]: faults by SQLSTATE, with the way out |

mod error;
mod lanes;
mod reader;
mod session;
mod target;
mod tls;

pub use error::{Effect, Error, ErrorKind, Result};
pub use lanes::{Job, Lane, Lanes, MAX_QUEUED_JOBS, Reply};
pub use reader::Reader;
pub use session::{Argument, ManualClock, OLDEST_SERVER, PATIENCE, Session, pipelined};
pub use target::Target;
pub use tokio_postgres;
