//! The named queries, put together once from the files in `queries/postgres/`.

use std::sync::LazyLock;

use crate::{
    BidState, canary,
    queries::{bare, states},
};

/// What "frozen" means: the row was ever sent, or ever approved by a person.
const FROZEN: &str = "b.attempts > 0 OR b.approved_until_ms IS NOT NULL";

macro_rules! queries {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<String> =
            LazyLock::new(|| compose(include_str!(concat!("../../queries/postgres/", $file))));)*
    };
}

queries! {
    ACCEPT = "accept.sql";
    ALLOW = "allow.sql";
    BID = "bid.sql";
    BLOCKING = "blocking.sql";
    CLAIM = "claim.sql";
    COUNT = "count.sql";
    DOOR = "door.sql";
    FACTS = "facts.sql";
    FIND = "find.sql";
    FOUND_ELSEWHERE = "found_elsewhere.sql";
    HEALTH = "health.sql";
    HISTORY = "history.sql";
    IMPORT = "import.sql";
    INSERT_EVENTS = "insert_events.sql";
    LIST = "list.sql";
    LIVE_BID = "live_bid.sql";
    LOCK_BIDS = "lock_bids.sql";
    LOCK_CAP = "lock_cap.sql";
    LOCK_POSTINGS = "lock_postings.sql";
    LOOK = "look.sql";
    MOVE = "move.sql";
    NOTE = "note.sql";
    OPENING = "opening.sql";
    REFUSED = "refused.sql";
    SENT_SINCE = "sent_since.sql";
    SIBLINGS = "siblings.sql";
    STANDING = "standing.sql";
    SWEEP = "sweep.sql";
    TAKE_OVER = "take_over.sql";
    VERSION = "version.sql";
    VERSIONS = "versions.sql";
    WRITE_NOTE = "write_note.sql";
}

/// Fills in the shared parts.
fn compose(text: &str) -> String {
    canary::insertion(bare(text))
        .replace("{moved}", &bare(include_str!("../../queries/postgres/moved.sql")))
        .replace("{columns}", &bare(include_str!("../../queries/postgres/columns.sql")))
        .replace("{durable}", &bare(include_str!("../../queries/postgres/durable.sql")))
        .replace(
            "{guard}",
            &canary::guard(bare(include_str!("../../queries/postgres/guard.sql")), "b.claim_id = c.claim"),
        )
        .replace(
            "{next_epoch}",
            &canary::next_epoch(bare(include_str!("../../queries/postgres/next_epoch.sql")), "b.epoch"),
        )
        .replace("{another}", &bare(include_str!("../../queries/postgres/another.sql")))
        .replace("{named}", &bare(include_str!("../../queries/postgres/named.sql")))
        .replace("{frozen}", FROZEN)
        .replace("{in_use}", &states(BidState::is_in_use))
        .replace("{sent}", &states(BidState::may_have_arrived))
}
