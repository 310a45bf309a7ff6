//! Backends that change what another does, or stand in for one.

#[cfg(feature = "conformance")]
pub mod chaos;
pub mod fallback;
pub mod grant_all;
pub mod metrics;
pub mod retry;
