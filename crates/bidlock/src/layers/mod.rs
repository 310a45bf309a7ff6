//! Backends that change what another does, or stand in for one.

pub mod grant_all;
pub mod metrics;
