//! The metrics of bidlock: names, labels and help texts in one table, and the instruments made from it.
//!
//! Whoever counts (the lock manager, the ledger's layer, the pipeline) takes instruments from the table's lines; so
//! no name, label or help text stands anywhere else, and `docs/metrics.md` is checked against the table by a test.
//! Instruments belong to the recorder of the `metrics` facade that is installed when they are made: install yours
//! first. Without one they do nothing.
//!
//! # Layout
//!
//! | module | what |
//! |---|---|
//! | `series` | [`Series`], the table [`ALL`], [`describe`] |
//! | `marketplaces` | [`Marketplaces`]: which names may stand in a label; [`ByMarketplace`]: instruments for each |
//! | `engine` | [`Engine`]: whether a store answers, and its errors |

mod engine;
mod marketplaces;
mod series;

pub use engine::Engine;
pub use marketplaces::{ByMarketplace, MAX_MARKETPLACES, Marketplaces, OTHER};
pub use metrics::{Counter, Gauge, Histogram};
pub use series::{
    ALL, BACKEND_ERRORS, BACKEND_UP, BID_CREATE_DURATION, BIDS, BIDS_UNKNOWN, BIDS_UNKNOWN_OLDEST_AGE,
    BUILD_INFO, FALLBACK_ACTIVE, INVARIANT_VIOLATIONS, Kind, LOCK_ACQUIRE, LOCK_ACQUIRE_DURATION,
    LOCK_HOLD_DURATION, LOCK_LOST, LOCKS_HELD, STALE_CLAIM_REJECTIONS, Series, describe,
};
