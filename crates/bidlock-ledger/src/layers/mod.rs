//! Ledgers that change what another does, or watch it.

pub mod metrics;
