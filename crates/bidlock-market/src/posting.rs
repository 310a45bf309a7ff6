//! [`Posting`]: one sighting of one posting, typed, with its identity and where it was read.

use bidlock_ledger::{Money, PostingId};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// The most bytes of plain text kept of a description: enough for any rule, and it keeps a scan of many
/// postings small in memory. Identity is made from the whole text.
pub const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;
/// The most bytes kept of a title, and of any other short text (names, places, categories).
pub const MAX_TEXT_BYTES: usize = 1024;
/// The most skills kept of one posting.
pub const MAX_SKILLS: usize = 100;

/// The most texts kept in [`Posting::written`]: an id, a ciphertext, a guid, a page.
pub const MAX_WRITTEN: usize = 4;

/// One sighting: a posting as one fetch showed it.
///
/// Two sightings of one posting have equal [`Posting::id`]s, whatever else changed between them. Text is
/// plain (HTML stripped, entities decoded, mojibake repaired) and bounded; it is for people and rules,
/// never for identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posting {
    /// The marketplace and the canonical posting id.
    pub id: PostingId,
    /// What the id was made from.
    pub identity: IdentityBasis,
    /// Other texts by which the source names it, as they were written: what a system that does not bring ids into one
    /// form knows the posting by. At most [`MAX_WRITTEN`], and only those that can be ids here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<String>,
    /// Why the id cannot be trusted, if it cannot. Such a posting is listed and never bid on silently.
    pub ambiguity: Option<Ambiguity>,
    /// The title; may be empty.
    pub title: String,
    /// The posting's page, as the source gave it.
    pub url: Option<String>,
    /// The description as plain text, cut at [`MAX_DESCRIPTION_BYTES`].
    pub description: String,
    /// What the client offers.
    pub budget: Budget,
    /// Skills or tags, without repeats, in the source's order.
    pub skills: Vec<String>,
    /// Who posted it.
    pub client: Client,
    /// Where the work is or who may apply, as the source words it.
    pub location: Option<String>,
    /// The marketplace's category.
    pub category: Option<String>,
    /// What sending a bid costs.
    pub bid_cost: Option<BidCost>,
    /// Whether the marketplace takes bids on it, where the source says so.
    pub biddable: Option<bool>,
    /// How many bids it has, where the source gives a number; of a tier ("5 to 10") the lower bound.
    pub proposals: Option<u32>,
    /// The tier as the source words it, where it gives no exact number.
    pub proposals_tier: Option<String>,
    /// When the client posted it.
    pub posted_at: Option<jiff::Timestamp>,
    /// When this sighting was fetched; files count as fetched when read.
    pub fetched_at: jiff::Timestamp,
    /// The file and row it was read from.
    pub source: SourceRef,
}

/// What an identity was made from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityBasis {
    /// The marketplace's own id, wherever it stood (a field, a guid, inside the URL).
    Id,
    /// The posting's URL without its tracking parts.
    Url,
    /// A hash of the fields that stay the same between sightings; the source has neither id nor URL.
    ContentKey,
}

/// Why a sighting's identity cannot be trusted. The sighting is still listed; nothing bids on it silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ambiguity {
    /// The source's id cannot be one: a program's `undefined`, a rounded number, an id cut short.
    ImpossibleId {
        /// The id as the source gave it, cut to a readable length.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// One fetch shows different titles under one id.
    ConflictingTitles {
        /// Two of the titles.
        titles: [String; 2],
    },
}

impl std::fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ambiguity::ImpossibleId { text, cause } => write!(f, "the id `{text}` cannot be one: {cause}"),
            Ambiguity::ConflictingTitles { titles: [one, other] } => {
                write!(f, "one id with different titles in one fetch: `{one}` and `{other}`")
            }
        }
    }
}

/// Who posted it, as far as the source says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// The client's or company's name.
    pub name: Option<String>,
    /// The client's country.
    pub country: Option<String>,
    /// The mean of its reviews, on the marketplace's scale (mostly 0 to 5).
    pub rating: Option<f64>,
    /// How many reviews.
    pub reviews: Option<u32>,
    /// What it has spent on the marketplace; a lower bound where the source rounds ("$70k+").
    pub spent: Option<Money>,
    /// Whether the marketplace has verified its way of paying.
    pub payment_verified: Option<bool>,
}

/// What one bid costs the bidder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BidCost {
    /// How many.
    pub units: u32,
    /// Of what, such as `connects`.
    pub unit: String,
}

/// Where a sighting was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// The file's path, or `stdin`.
    pub name: String,
    /// The row in it, counted from 1.
    pub row: u64,
}
