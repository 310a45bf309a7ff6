//! How bidlock opens and writes SQLite files: the lock file and the ledger both go through here.
//!
//! One writer thread per [`Store`] merges what is queued into one `BEGIN IMMEDIATE … COMMIT` (group commit),
//! reader connections stand beside it, processes on one file take turns, and time comes from a
//! [`HostClock`] that neither NTP nor a reboot misleads. This crate knows nothing of locks or bids.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `options` | [`Options`]: which file, how durable, how patient |
//! | `store` | [`Store`]: open, write, read |
//! | `writer`, `queue` | the writer thread, its group commit, its bounded queue |
//! | `reader` | the reader threads |
//! | `connection` | what every connection is set to |
//! | `turnstile` | fairness between processes, and the exclusive lock while a file is made |
//! | `place` | which places are fit to hold a file |
//! | `watch` | whether the open file is still the one that its path names, and has one name |
//! | `clock` | [`HostClock`], [`HostInstant`] |
//! | `instance` | [`InstanceFile`]: the proof that a process is gone |
//! | `error` | [`Error`]: what broke, whether it may have been applied, the way out |
//!
//! # Not guaranteed
//!
//! SQLite's locks work between processes of one host only: a network file system is refused where it can
//! be recognised. A process that is paused inside its transaction makes the others wait, up to
//! [`Options::busy_patience`].

#[cfg(not(target_os = "linux"))]
compile_error!(
    "bidlock-sqlite needs Linux: the boot-time clock and the boot id of other systems are not written yet"
);

mod clock;
mod connection;
mod error;
mod instance;
mod options;
mod place;
mod queue;
mod reader;
mod store;
mod turnstile;
mod watch;
mod writer;

pub use clock::{HostClock, HostInstant, ManualHostClock, SystemHostClock};
pub use error::{Effect, Error, ErrorKind};
pub use instance::{InstanceFile, InstanceLiveness, instance_liveness};
pub use options::{Options, Synchronous};
pub use place::SIDE_FILES;
pub use store::Store;
pub use writer::MAX_JOBS_PER_COMMIT;
