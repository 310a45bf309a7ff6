//! Which columns the table of bids has.

use bidlock_pipeline::LegacyError;

/// Without these nothing can be said about a row.
pub(crate) const DEMANDED: [&str; 3] = ["marketplace", "job_id", "status"];
/// What else is read where it is there, in this order behind the demanded ones.
pub(crate) const OPTIONAL: [&str; 7] = [
    "id",
    "bid_amount",
    "created_at",
    "updated_at",
    "posting_cached_at",
    "withdrawn_reason",
    "withdrawal_timestamp",
];

/// A column as its engine describes it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As a cast wants it, without its length: a cast to `character varying(50)` would cut what an assignment refuses.
    pub(crate) type_name: String,
    /// How many characters a text may have, where the engine keeps to that.
    pub(crate) max_chars: Option<usize>,
    /// It must be given a value, and has none of its own.
    pub(crate) needs_value: bool,
}

/// The columns of the table of bids.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    columns: Vec<Column>,
    /// Whether the table's words are in lower case.
    pub(crate) lower_case: bool,
}

impl Shape {
    /// # Errors
    /// The table or a demanded column is missing; says which.
    pub(crate) fn new(place: &str, columns: Vec<Column>, lower_case: bool) -> Result<Shape, LegacyError> {
        let refused = |message: String| LegacyError {
            message,
            hint: Some("name the database of the replaced system, whose table `bids` has them".to_owned()),
            retryable: false,
        };
        if columns.is_empty() {
            return Err(refused(format!("{place} has no table `bids`")));
        }
        let shape = Shape { columns, lower_case };
        let missing: Vec<&str> = DEMANDED.into_iter().filter(|name| shape.column(name).is_none()).collect();
        match missing.as_slice() {
            [] => Ok(shape),
            missing => Err(refused(format!("{place}: the table `bids` lacks {}", missing.join(", ")))),
        }
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that a mirrored bid fills, besides the demanded ones.
    pub(crate) fn filled(&self) -> Vec<&Column> {
        let fills = |column: &&Column| match column.name.as_str() {
            // A number counts by itself; a text must come from whoever writes the row.
            "id" => column.needs_value,
            name => ["bid_amount", "proposal", "created_at", "updated_at"].contains(&name),
        };
        self.columns.iter().filter(fills).collect()
    }

    /// # Errors
    /// A column wants a value that bidlock does not have for it.
    pub(crate) fn check_writable(&self, place: &str) -> Result<(), LegacyError> {
        let filled = self.filled();
        let can_fill =
            |name: &str| DEMANDED.contains(&name) || filled.iter().any(|column| column.name == name);
        let wanting: Vec<&str> = self
            .columns
            .iter()
            .filter(|column| column.needs_value && !can_fill(&column.name))
            .map(|column| column.name.as_str())
            .collect();
        if wanting.is_empty() {
            return Ok(());
        }
        Err(LegacyError {
            message: format!(
                "{place}: a row of `bids` needs {}, for which bidlock has no value",
                wanting.join(", ")
            ),
            hint: Some(
                "give these columns a default; or stop the old instances, say so (`bidlock import legacy OLD_DATABASE \
                 --old-instances-stopped`), and scan without --legacy-database"
                    .to_owned(),
            ),
            retryable: false,
        })
    }

    /// A word in the case that the table has.
    pub(crate) fn word(&self, word: &str) -> String {
        if self.lower_case { word.to_ascii_lowercase() } else { word.to_owned() }
    }
}

/// Two rows of one posting and status can stand there: ours could not be told from somebody else's, and would be taken
/// away with it.
pub(crate) fn not_unique(place: &str) -> LegacyError {
    LegacyError {
        message: format!(
            "{place}: `bids` is not unique by marketplace, job and status: a bid of ours there can't be told from that \
             of an old instance"
        ),
        hint: Some(
            "CREATE UNIQUE INDEX bids_once ON bids (marketplace, job_id, status); or stop the old instances, say so \
             (`bidlock import legacy OLD_DATABASE --old-instances-stopped`), and leave --legacy-database out"
                .to_owned(),
        ),
        retryable: false,
    }
}
