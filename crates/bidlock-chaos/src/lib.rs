//! The fault rig: real scanner processes on real engines, faults drawn from a seed, and a check of what came of it.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | [`fault`] | the kinds of faults, and what they hit |
//! | [`plan`] | what a seed decides beforehand |
//! | [`proxy`] | a way to a server that can be broken |
//! | [`history`] | what happened, as files: what the checker reads |

pub mod fault;
pub mod history;
pub mod plan;
pub mod proxy;
