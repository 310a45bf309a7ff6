//! The named queries, put together once from the files in `queries/sqlite/`.

use std::sync::LazyLock;

use crate::{
    BidState, canary,
    queries::{bare, states},
};

/// What "frozen" means: the row was ever sent, or ever approved by a person.
const FROZEN: &str = "attempts > 0 OR approved_until_ms IS NOT NULL";

macro_rules! queries {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<String> =
            LazyLock::new(|| compose(include_str!(concat!("../../queries/sqlite/", $file))));)*

        #[cfg(test)]
        static ALL: &[(&str, &LazyLock<String>)] = &[$(($file, &$name)),*];
    };
}

queries! {
    EARLIER = "earlier.sql";
    EARLIER_PAYLOAD = "earlier_payload.sql";
    INSERT_BID = "insert_bid.sql";
    TAKE_OVER = "take_over.sql";
    DOOR = "door.sql";
    MOVE = "move.sql";
    ALLOW = "allow.sql";
    ACCEPT = "accept.sql";
    FIND = "find.sql";
    FOUND_ELSEWHERE = "found_elsewhere.sql";
    LIVE_BID = "live_bid.sql";
    BLOCKING = "blocking.sql";
    BID = "bid.sql";
    STANDING = "standing.sql";
    SWEEP = "sweep.sql";
    LIST = "list.sql";
    COUNT = "count.sql";
    SENT_SINCE = "sent_since.sql";
    INSERT_EVENT = "insert_event.sql";
    EVENT_HASH = "event_hash.sql";
    EVENT_KNOWN = "event_known.sql";
    HISTORY = "history.sql";
    HEALTH = "health.sql";
    NOTE = "note.sql";
    VERSIONS = "versions.sql";
    WRITE_NOTE = "write_note.sql";
}

/// Fills in the shared parts.
fn compose(text: &str) -> String {
    canary::insertion(bare(text))
        .replace("{columns}", &bare(include_str!("../../queries/sqlite/columns.sql")))
        .replace(
            "{guard}",
            &canary::guard(bare(include_str!("../../queries/sqlite/guard.sql")), "claim_id = ?3"),
        )
        .replace(
            "{next_epoch}",
            &canary::next_epoch(bare(include_str!("../../queries/sqlite/next_epoch.sql")), "epoch"),
        )
        .replace("{another}", &bare(include_str!("../../queries/sqlite/another.sql")))
        .replace("{named}", &bare(include_str!("../../queries/sqlite/named.sql")))
        .replace("{frozen}", FROZEN)
        .replace("{in_use}", &states(BidState::is_in_use))
        .replace("{sent}", &states(BidState::may_have_arrived))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each statement compiles against the schema, and the ones that run once per posting use an index.
    #[test]
    fn every_query_fits_the_schema_and_none_walks_the_bids() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../migrations/sqlite/V1__ledger.sql")).unwrap();
        conn.execute_batch(include_str!("../../migrations/sqlite/V2__protocol_floor.sql")).unwrap();
        conn.execute_batch(include_str!("../../migrations/sqlite/V3__notes.sql")).unwrap();
        // Made by the migrations' runner.
        conn.execute_batch("CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY)").unwrap();
        for (file, query) in ALL {
            let query = query.replace("{where}", "TRUE").replace("{limit}", "1");
            let mut plan = conn
                .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
                .unwrap_or_else(|e| panic!("{file}: {e}"));
            let nulls = vec![rusqlite::types::Null; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            if !["list.sql", "count.sql", "health.sql"].contains(file) {
                assert!(
                    steps.iter().all(|step| !step.starts_with("SCAN") || step == "SCAN CONSTANT ROW"),
                    "{file} walks a table: {steps:?}"
                );
            }
        }
    }
}
