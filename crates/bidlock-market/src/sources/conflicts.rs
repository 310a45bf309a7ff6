//! The alarm for one id under different titles in one fetch.

use std::collections::HashMap;

use bidlock_ledger::PostingId;

use super::InvalidRow;
use crate::posting::{Ambiguity, Posting};

/// Marks every posting of a fetch whose id another posting of the fetch has under a different title. Case
/// and blanks do not make titles different; the same posting twice in one fetch is daily bread.
pub(super) fn mark(rows: &mut [Result<Posting, InvalidRow>]) {
    let mut titles: HashMap<&PostingId, &str> = HashMap::new();
    let mut conflicts: HashMap<PostingId, [String; 2]> = HashMap::new();
    for posting in rows.iter().flatten() {
        let first = *titles.entry(&posting.id).or_insert(&posting.title);
        if first != posting.title
            && plain(first) != plain(&posting.title)
            && !conflicts.contains_key(&posting.id)
        {
            conflicts.insert(posting.id.clone(), [first.to_owned(), posting.title.clone()]);
        }
    }
    if conflicts.is_empty() {
        return;
    }
    for posting in rows.iter_mut().flatten() {
        if let Some(titles) = conflicts.get(&posting.id) {
            posting.ambiguity.get_or_insert_with(|| Ambiguity::ConflictingTitles { titles: titles.clone() });
        }
    }
}

fn plain(title: &str) -> String {
    title.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}
