//! Canaries: switches that each remove one safety mechanism of bidlock, so that what looks for faults can be seen to
//! find the fault. A check that notices each of them proves something; one that was never seen to fail proves nothing.
//!
//! The places that hold a mechanism ask [`removed`]. Without the feature `armed` that is `false` to the compiler, and
//! neither switch nor variable is in the program. With it, the environment variable [`VARIABLE`] names the one canary of
//! the process, and the log says so loudly.
//!
//! ```
//! use bidlock_canary::{Canary, removed};
//!
//! if removed(Canary::NoDoor) {
//!     unreachable!("nobody has set BIDLOCK_CANARY=no-door");
//! }
//! assert_eq!("no-door".parse(), Ok(Canary::NoDoor));
//! ```
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `list` | [`Canary`]: all of them, with their names |
//! | `switch` | [`removed`], [`chosen`]: which one this process has |

mod list;
mod switch;

pub use list::{Canary, UnknownCanary};
pub use switch::{VARIABLE, chosen, removed};
