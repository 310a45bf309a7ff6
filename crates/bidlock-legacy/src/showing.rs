//! A bid of ours as it is to stand in the old table.

use bidlock_ledger::{Bid, Money};
use bidlock_pipeline::LegacyName;
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use crate::{
    row::{Known, OldRow},
    shape::{DEMANDED, Shape},
};

/// A bid of ours as it is to stand in the table.
#[derive(Clone)]
pub(crate) struct Showing {
    pub(crate) names: Vec<LegacyName>,
    pub(crate) claim: String,
    /// The claim's ordinal among those of its posting: an earlier one changes nothing.
    pub(crate) epoch: i64,
    /// As the table writes it.
    pub(crate) status: String,
    pub(crate) new: NewRow,
    /// Rows of old instances that are in nobody's way.
    pub(crate) overruled: Known,
    /// Rows of ours that stand there already are left as they are.
    pub(crate) only_missing: bool,
}

impl Showing {
    /// The rows under the bid's names that are neither ours nor overruled.
    pub(crate) fn foreign_among(&self, found: &[OldRow]) -> Vec<OldRow> {
        let counts = |row: &&OldRow| {
            !row.mirrored && !self.overruled.has(row) && self.names.iter().any(|name| row.is_under(name))
        };
        found.iter().filter(counts).cloned().collect()
    }

    /// The names under which a row of ours has to be written, or brought up to date. A row of somebody else under a name
    /// does for it.
    pub(crate) fn names_to_write(&self, found: &[OldRow]) -> impl Iterator<Item = &LegacyName> {
        let leave = |row: &&OldRow| !row.mirrored || self.only_missing;
        self.names.iter().filter(move |name| !found.iter().filter(leave).any(|row| row.is_under(name)))
    }
}

/// A mirrored bid's row.
#[derive(Clone)]
pub(crate) struct NewRow {
    pub(crate) bid: Uuid,
    pub(crate) amount: Option<String>,
    pub(crate) proposal: String,
    pub(crate) at: Timestamp,
}

impl NewRow {
    /// The value of a column of [`filled`].
    pub(crate) fn value(&self, column: &str, kind: &str, name: &LegacyName, status: &str) -> Option<String> {
        match column {
            "marketplace" => Some(name.marketplace.clone()),
            "job_id" => Some(name.job_id.clone()),
            "status" => Some(status.to_owned()),
            // One for each row of the bid; no text of either column holds a NUL.
            "id" => {
                let row = format!("{}\0{}", name.marketplace, name.job_id);
                Some(Uuid::new_v5(&self.bid, row.as_bytes()).to_string())
            }
            "bid_amount" => self.amount.clone(),
            "proposal" => Some(self.proposal.clone()),
            _ => Some(written_time(self.at, kind)),
        }
    }
}

/// The columns that a mirrored bid fills, with their types.
pub(crate) fn filled(shape: &Shape) -> Vec<(String, String)> {
    let demanded = DEMANDED.into_iter().filter_map(|name| shape.column(name));
    demanded.chain(shape.filled()).map(|column| (column.name.clone(), column.type_name.clone())).collect()
}

/// As a column of this type holds times: seconds in numbers, otherwise as SQLAlchemy writes them, in UTC.
pub(crate) fn written_time(at: Timestamp, kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    if ["int", "real", "floa", "doub", "numeric"].iter().any(|number| kind.contains(number)) {
        return at.as_second().to_string();
    }
    let zone = if kind.contains("with time zone") { "+00" } else { "" };
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string() + zone
}

/// What a row of this bid says.
pub(crate) fn new_row(bid: &Bid, at: Timestamp) -> NewRow {
    NewRow {
        bid: bid.id.0,
        amount: bid.payload.amount.map(decimal),
        proposal: bid.payload.proposal.clone(),
        at,
    }
}

/// In whole units, as the old table writes amounts.
fn decimal(amount: Money) -> String {
    let code = iso_currency::Currency::from_code(amount.currency.as_str());
    let digits = usize::from(code.and_then(|currency| currency.exponent()).unwrap_or(2));
    let text = format!("{:0>width$}", amount.minor.unsigned_abs(), width = digits + 1);
    let (whole, part) = text.split_at(text.len() - digits);
    let sign = if amount.minor < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}
