//! A row of the old table, and the import that it becomes.

use bidlock_ledger::{Actor, NewImport, Payload, PostingId, WallTime};
use serde_json::{Map, Value, json};

use crate::{
    shape::OPTIONAL,
    status::{state_of, strength, time_ms},
};

/// The name of what imported bids went through, where nobody says which marketplace it was.
pub(crate) const VIA: &str = "legacy";
/// How many other rows of a posting its event tells; the report lists all duplicates.
const MAX_OTHERS: usize = 20;

/// A row, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldRow {
    pub(crate) marketplace: String,
    pub(crate) job_id: String,
    pub(crate) status: String,
    /// In the order of [`OPTIONAL`].
    pub(crate) rest: [Option<String>; OPTIONAL.len()],
    /// It is one of ours.
    pub(crate) mirrored: bool,
}

impl OldRow {
    /// An optional column's value.
    pub(crate) fn get(&self, column: &str) -> Option<&str> {
        let at = OPTIONAL.iter().position(|name| *name == column)?;
        self.rest[at].as_deref()
    }

    pub(crate) fn strength(&self) -> u8 {
        strength(state_of(&self.status))
    }

    fn told(&self) -> Value {
        let mut told = Map::new();
        told.insert("marketplace".to_owned(), json!(self.marketplace));
        told.insert("job_id".to_owned(), json!(self.job_id));
        told.insert("status".to_owned(), json!(self.status));
        let known =
            OPTIONAL.iter().zip(&self.rest).filter_map(|(name, value)| Some((*name, value.as_ref()?)));
        told.extend(known.map(|(name, value)| (name.to_owned(), json!(value))));
        Value::Object(told)
    }
}

/// From where, by whom, and where the bids went.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) place: String,
    pub(crate) actor: Actor,
    pub(crate) via: String,
}

/// The bid that the strongest of a posting's rows speaks for.
pub(crate) fn import_of(
    posting: PostingId,
    strongest: &OldRow,
    others: &[OldRow],
    proposal: Option<String>,
    origin: &Origin,
) -> NewImport {
    let state = state_of(&strongest.status);
    let sent_at = ["created_at", "updated_at"].iter().find_map(|name| time_ms(strongest.get(name)?));
    let others: Vec<Value> = others.iter().take(MAX_OTHERS).map(OldRow::told).collect();
    NewImport {
        posting,
        state,
        payload: Payload {
            amount: None, // the old table names no currency
            proposal: proposal.unwrap_or_default(),
            posting_url: None,
            via: origin.via.clone(),
            evaluation: None,
        },
        sent_at: sent_at.map(WallTime),
        actor: origin.actor.clone(),
        reason: format!("legacy: {} in the replaced system", strongest.status.trim()),
        detail: json!({ "legacy": { "from": origin.place, "row": strongest.told(), "others": others } }),
    }
}
