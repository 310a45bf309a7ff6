//! Notes: what a ledger knows of what is around it.

use super::Rig;
use crate::{
    Actor, ErrorKind,
    note::{MAX_NOTE_BYTES, NewNote},
};

fn note(name: &str, after: i64, value: &str) -> NewNote {
    NewNote { name: name.to_owned(), after, value: value.to_owned(), actor: Actor::operator("mara") }
}

/// The last one written under a name counts, for whoever opens the ledger.
pub async fn the_last_note_of_a_name_counts(rig: &impl Rig) {
    let ledger = rig.open().await;
    assert_eq!(ledger.note("a").await.unwrap(), None);
    assert!(ledger.write_note(&note("a", 0, "one")).await.unwrap());
    assert!(ledger.write_note(&note("b", 0, "other")).await.unwrap());
    assert!(ledger.write_note(&note("a", 1, "two")).await.unwrap());
    let found = rig.open().await.note("a").await.unwrap().unwrap();
    assert_eq!((found.version, found.value.as_str(), found.actor.as_str()), (2, "two", "operator:mara"));
    assert!(found.at.0 > 0);
    assert_eq!(ledger.note("b").await.unwrap().unwrap().value, "other");
}

/// Of two who saw the same version one is refused, and what it did not see is not lost.
pub async fn a_note_that_has_not_seen_the_last_one_is_refused(rig: &impl Rig) {
    let (ledger, another) = (rig.open().await, rig.open().await);
    let (ours, theirs) = (note("a", 0, "ours"), note("a", 0, "theirs"));
    let (a, b) = tokio::join!(ledger.write_note(&ours), another.write_note(&theirs));
    assert!(a.unwrap() ^ b.unwrap(), "one of them");
    let kept = ledger.note("a").await.unwrap().unwrap();
    for after in [0, 2, -1] {
        assert!(!ledger.write_note(&note("a", after, "late")).await.unwrap(), "after {after}");
    }
    assert_eq!(another.note("a").await.unwrap().unwrap(), kept);
    let long = "x".repeat(MAX_NOTE_BYTES + 1);
    let error = ledger.write_note(&note("a", 1, &long)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
