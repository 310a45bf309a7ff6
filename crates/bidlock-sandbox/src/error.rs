//! What keeps a sandbox from starting.

use std::{io, net::SocketAddr, path::PathBuf};

/// The sandbox can't start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Another sandbox has the record open.
    #[error("another sandbox writes to {}; choose another file, or stop that one", path.display())]
    InUse {
        /// The record.
        path: PathBuf,
    },
    /// The record can't be used.
    #[error("can't {doing} the record {}: {source}", path.display())]
    Record {
        /// What failed.
        doing: &'static str,
        /// The record.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address can't be listened at.
    #[error("can't listen at {address}: {source}; choose another address, or port 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
