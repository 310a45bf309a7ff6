//! The named queries, put together once from the files in `queries/postgres/`.

use std::sync::LazyLock;

/// What "frozen" means: the row was ever sent, or ever approved by a person.
const FROZEN: &str = "b.attempts > 0 OR b.approved_until_ms IS NOT NULL";

macro_rules! queries {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<String> =
            LazyLock::new(|| compose(include_str!(concat!("../../queries/postgres/", $file))));)*
    };
}

queries! {
    ALLOW = "allow.sql";
    BID = "bid.sql";
    CLAIM = "claim.sql";
    COUNT = "count.sql";
    DOOR = "door.sql";
    FACTS = "facts.sql";
    HEALTH = "health.sql";
    HISTORY = "history.sql";
    INSERT_EVENTS = "insert_events.sql";
    LIST = "list.sql";
    LIVE_BID = "live_bid.sql";
    LOCK_BIDS = "lock_bids.sql";
    LOCK_CAP = "lock_cap.sql";
    LOCK_POSTINGS = "lock_postings.sql";
    LOOK = "look.sql";
    MOVE = "move.sql";
    OPENING = "opening.sql";
    REFUSED = "refused.sql";
    REOPEN = "reopen.sql";
    SENT_SINCE = "sent_since.sql";
    STANDING = "standing.sql";
    SWEEP = "sweep.sql";
    TAKE_OVER = "take_over.sql";
    VERSION = "version.sql";
}

/// Fills in the shared parts; without the comments, as the text travels with each call.
fn compose(text: &str) -> String {
    bare(text)
        .replace("{moved}", &bare(include_str!("../../queries/postgres/moved.sql")))
        .replace("{columns}", &bare(include_str!("../../queries/postgres/columns.sql")))
        .replace("{durable}", &bare(include_str!("../../queries/postgres/durable.sql")))
        .replace("{guard}", &bare(include_str!("../../queries/postgres/guard.sql")))
        .replace("{next_epoch}", &bare(include_str!("../../queries/postgres/next_epoch.sql")))
        .replace("{frozen}", FROZEN)
}

fn bare(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join(" ").trim().trim_end_matches(';').to_owned()
}
