//! A row of the old table, and the import that it becomes.

use bidlock_ledger::{Actor, BidEvent, NewImport, Payload, PostingId, WallTime};
use bidlock_pipeline::LegacyName;
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

    pub(crate) fn name(&self) -> LegacyName {
        LegacyName { marketplace: self.marketplace.clone(), job_id: self.job_id.clone() }
    }

    pub(crate) fn is_under(&self, name: &LegacyName) -> bool {
        self.marketplace == name.marketplace && self.job_id == name.job_id
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

/// Rows that somebody knows, as events tell them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Vec<Value>);

impl Known {
    /// The rows of which this import was made.
    pub(crate) fn of(import: &NewImport) -> Known {
        Known(told_in(&import.detail).collect())
    }

    /// These.
    pub(crate) fn rows<'a>(rows: impl IntoIterator<Item = &'a OldRow>) -> Known {
        Known(rows.into_iter().map(|row| essence(&row.told())).collect())
    }

    /// The rows that these events tell.
    pub(crate) fn from_events(events: &[BidEvent]) -> Known {
        Known(events.iter().flat_map(|event| told_in(&event.detail)).collect())
    }

    /// Whether this row is among them, and the same as then.
    pub(crate) fn has(&self, row: &OldRow) -> bool {
        self.0.contains(&essence(&row.told()))
    }

    /// Whether all of these are among them.
    pub(crate) fn has_all(&self, others: &Known) -> bool {
        others.0.iter().all(|row| self.0.contains(row))
    }
}

fn told_in(detail: &Value) -> impl Iterator<Item = Value> {
    let legacy = &detail["legacy"];
    let others = legacy["others"].as_array().into_iter().flatten();
    std::iter::once(&legacy["row"]).chain(others).filter(|row| row.is_object()).map(essence)
}

/// What makes a row another one: all but when its posting was last fetched, with each time as the moment that it means,
/// whatever zone the session wrote it in.
fn essence(row: &Value) -> Value {
    let fields = row.as_object().into_iter().flatten().filter(|(name, _)| *name != "posting_cached_at");
    let meant = |name: &str, value: &Value| match value.as_str().and_then(time_ms) {
        Some(at_ms) if ["created_at", "updated_at", "withdrawal_timestamp"].contains(&name) => json!(at_ms),
        _ => value.clone(),
    };
    Value::Object(fields.map(|(name, value)| (name.clone(), meant(name, value))).collect())
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
        reason: format!("{} in the replaced system", strongest.status.trim()),
        detail: json!({ "legacy": { "from": origin.place, "row": strongest.told(), "others": others } }),
    }
}
