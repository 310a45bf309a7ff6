//! The command line as a person or a script meets it: what each command says, refuses and ends with. The marketplace is
//! `bidlock sandbox run`, a process as for a user.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test ends by them")]

mod bench;
mod bid;
mod binding;
mod config;
mod engines;
mod every;
mod first_use;
mod flow;
mod kit;
mod lock;
mod new_ledger;
mod outage;
mod stores;
mod tls;
mod to_send;
mod usage;
