//! From what a reader found to a [`Posting`]: the identity is settled here, once for all sources.

use bidlock_ledger::{Currency, PostingId, posting::MAX_POSTING_BYTES};
use jiff::Timestamp;
use serde_json::Value;

use super::{ReadOptions, text};
use crate::budget::Budget;
use crate::identity::{self, Impossible, Rank, content};
use crate::posting::{
    Ambiguity, BidCost, Client, IdentityBasis, MAX_SKILLS, MAX_TEXT_BYTES, MAX_WRITTEN, Posting, SourceRef,
};

/// The longest URL kept; browsers and servers stop earlier.
const MAX_URL_BYTES: usize = 4096;
/// How much of an impossible id is shown.
const SHOWN_ID_BYTES: usize = 80;
/// How much of a value that can't be read is shown.
const SHOWN_VALUE_BYTES: usize = 80;

/// What every reader may ask about its file.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) source_name: &'a str,
    pub(super) options: &'a ReadOptions,
    /// The marketplace given with the options, in its one name.
    pub(super) marketplace: Option<String>,
    /// The marketplace that the feed's own link tells.
    pub(super) feed_marketplace: Option<&'static str>,
    /// Users by id, where the envelope has them.
    pub(super) users: Option<&'a Value>,
}

impl Context<'_> {
    pub(super) fn now(&self) -> Timestamp {
        self.options.now
    }

    /// The currency of amounts that name none.
    pub(super) fn currency(&self) -> Currency {
        Currency::USD
    }
}

/// A posting before its identity is settled. Readers fill in what the source has.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The marketplace that the shape or the row itself tells.
    pub(super) marketplace: Option<String>,
    /// Ids and URLs as the source gives them, best first.
    pub(super) ids: Vec<String>,
    /// What else in the row may be an id. Counts only where it is in the marketplace's unmistakable form.
    pub(super) other_ids: Vec<String>,
    /// Fields that stay the same between sightings, for sources without ids.
    pub(super) content: Vec<String>,
    /// The whole source has no ids. Without this, a row of a known marketplace that lacks its id is
    /// ambiguous: its next sighting may have one.
    pub(super) without_ids: bool,
    /// The title as the source gives it.
    pub(super) raw_title: String,
    pub(super) url: Option<String>,
    /// Already plain and bounded.
    pub(super) description: String,
    pub(super) budget: Budget,
    pub(super) skills: Vec<String>,
    pub(super) client: Client,
    pub(super) location: Option<String>,
    pub(super) category: Option<String>,
    pub(super) bid_cost: Option<BidCost>,
    pub(super) biddable: Option<bool>,
    pub(super) proposals: Option<u32>,
    pub(super) proposals_tier: Option<String>,
    pub(super) posted_at: Option<Timestamp>,
    /// Amounts that are filled in but can't be read: the column, and what stands there.
    pub(super) unreadable: Vec<(String, String)>,
}

/// What could not be read in a file's amounts, column by column.
#[derive(Debug, Default)]
pub(super) struct Unread {
    columns: Vec<UnreadColumn>,
}

#[derive(Debug)]
struct UnreadColumn {
    name: String,
    count: usize,
    first: String,
    row: u64,
}

impl Unread {
    pub(super) fn add(&mut self, row: u64, draft: &Draft) {
        // The columns are those of one mapping: a handful.
        for (column, value) in &draft.unreadable {
            match self.columns.iter_mut().find(|known| known.name == *column) {
                Some(known) => known.count += 1,
                None => self.columns.push(UnreadColumn {
                    name: column.clone(),
                    count: 1,
                    first: text::plain(value, SHOWN_VALUE_BYTES),
                    row,
                }),
            }
        }
    }

    /// One note for each column: how many values, and the first of them.
    pub(super) fn notes(self) -> impl Iterator<Item = String> {
        self.columns.into_iter().map(|UnreadColumn { name, count, first, row }| {
            if count == 1 {
                format!("{name}: 1 value can't be read: \"{first}\" (row {row})")
            } else {
                format!("{name}: {count} values can't be read, such as \"{first}\" (row {row})")
            }
        })
    }
}

/// Why a draft becomes no posting.
#[derive(Debug)]
pub(super) enum Unsettled {
    /// Nothing tells the marketplace: the same for every such row, so the file's reader decides what to say.
    NoMarketplace,
    Invalid(String),
}

struct Identity {
    id: PostingId,
    basis: IdentityBasis,
    ambiguity: Option<Ambiguity>,
}

impl Draft {
    pub(super) fn titled(title: &str) -> Draft {
        Draft { raw_title: title.to_owned(), ..Draft::default() }
    }

    /// The posting of a known marketplace.
    pub(super) fn of(marketplace: &str, title: &str) -> Draft {
        Draft { marketplace: Some(marketplace.to_owned()), ..Draft::titled(title) }
    }

    /// Settles the identity and bounds every text.
    pub(super) fn settle(self, row: u64, context: &Context<'_>) -> Result<Posting, Unsettled> {
        let own = self.own_marketplace(context);
        let name = context.marketplace.clone().or_else(|| own.clone()).ok_or(Unsettled::NoMarketplace)?;
        // A known source's ids keep their own rules under whatever name they are filed.
        let scheme = own.unwrap_or_else(|| name.clone());
        let Identity { id, basis, ambiguity } = self.identity(&name, &scheme).map_err(Unsettled::Invalid)?;
        let written = self.written(&id, &scheme);
        let short = |text: String| text::plain(&text, MAX_TEXT_BYTES);
        let optional = |text: Option<String>| text.map(short).filter(|text| !text.is_empty());
        let mut skills: Vec<String> = Vec::new();
        for skill in self.skills {
            let skill = short(skill);
            if !skill.is_empty() && !skills.contains(&skill) && skills.len() < MAX_SKILLS {
                skills.push(skill);
            }
        }
        let url = self
            .url
            .map(|url| url.trim().to_owned())
            .filter(|url| url.len() <= MAX_URL_BYTES && url.contains("://"));
        Ok(Posting {
            id,
            identity: basis,
            written,
            ambiguity,
            title: short(self.raw_title),
            url,
            description: self.description,
            budget: self.budget,
            skills,
            client: Client {
                name: optional(self.client.name),
                country: optional(self.client.country),
                ..self.client
            },
            location: optional(self.location),
            category: optional(self.category),
            bid_cost: self.bid_cost,
            biddable: self.biddable,
            proposals: self.proposals,
            proposals_tier: optional(self.proposals_tier),
            posted_at: self.posted_at,
            fetched_at: context.now(),
            source: SourceRef { name: context.source_name.to_owned(), row },
        })
    }

    /// The marketplace without the options: the row's word, then the hosts of its URLs, then the feed's.
    fn own_marketplace(&self, context: &Context<'_>) -> Option<String> {
        let urls = self.url.iter().chain(&self.ids);
        self.marketplace
            .as_deref()
            .map(identity::marketplace_name)
            .filter(|name| !name.is_empty())
            .or_else(|| urls.filter_map(|url| identity::marketplace_of_url(url)).map(str::to_owned).next())
            .or_else(|| context.feed_marketplace.map(str::to_owned))
    }

    /// The texts of the source that mean this posting and are not its canonical form.
    fn written(&self, id: &PostingId, scheme: &str) -> Vec<String> {
        let mut written: Vec<String> = Vec::new();
        for text in self.ids.iter().chain(&self.other_ids).chain(&self.url) {
            let text = text.trim();
            let new =
                text != id.posting() && text.len() <= MAX_POSTING_BYTES && !written.iter().any(|w| w == text);
            let means_it =
                || canonical_under(id.marketplace(), scheme, text).is_ok_and(|c| c == id.posting());
            if written.len() < MAX_WRITTEN && new && means_it() {
                written.push(text.to_owned());
            }
        }
        written
    }

    /// The best of what the source gives. An id in the marketplace's own form beats whatever stands before
    /// it; else the first that can be an id counts, and what failed before it makes the row ambiguous.
    fn identity(&self, name: &str, scheme: &str) -> Result<Identity, String> {
        let candidates: Vec<(&String, Result<String, Impossible>)> =
            self.ids.iter().map(|text| (text, canonical_under(name, scheme, text))).collect();
        let posting_id = |posting: &str| PostingId::new(name, posting).map_err(|error| error.to_string());
        let ranked = |posting: String| Some((identity::own_form(scheme, &posting)?, posting));
        let found = candidates.iter().filter_map(|(_, canonical)| ranked(canonical.as_ref().ok()?.clone()));
        let others = self
            .other_ids
            .iter()
            .filter_map(|text| ranked(canonical_under(name, scheme, text).ok()?))
            .filter(|(rank, _)| *rank < Rank::Loose);
        // Of equals the first counts.
        if let Some((_, posting)) = found.chain(others).min_by_key(|(rank, _)| *rank) {
            return Ok(Identity { id: posting_id(&posting)?, basis: IdentityBasis::Id, ambiguity: None });
        }
        let ambiguity = candidates.iter().take_while(|(_, canonical)| canonical.is_err()).find_map(
            |(text, canonical)| {
                let cause = canonical.as_ref().err()?.cause.clone();
                Some(Ambiguity::ImpossibleId { text: text::cut(text, SHOWN_ID_BYTES).to_owned(), cause })
            },
        );
        if let Some(posting) = candidates.iter().find_map(|(_, canonical)| canonical.as_ref().ok()) {
            let basis = if posting.starts_with("https://") { IdentityBasis::Url } else { IdentityBasis::Id };
            return Ok(Identity { id: posting_id(posting)?, basis, ambiguity });
        }
        let fields: Vec<&str> = if self.content.is_empty() {
            vec![&self.raw_title, &self.description]
        } else {
            self.content.iter().map(String::as_str).collect()
        };
        if fields.iter().all(|field| field.trim().is_empty()) {
            return Err(match ambiguity {
                Some(ambiguity) => format!("{ambiguity}, and it has neither a URL nor a title to tell it by"),
                None => "has neither an id, a URL nor a title".to_owned(),
            });
        }
        let missing = || Ambiguity::ImpossibleId {
            text: String::new(),
            cause: format!("is missing, and {scheme} gives every posting one"),
        };
        let lost = !self.without_ids && identity::has_scheme(scheme);
        let ambiguity = ambiguity.or_else(|| lost.then(missing));
        let key = content::key(name, &fields);
        Ok(Identity { id: posting_id(&key)?, basis: IdentityBasis::ContentKey, ambiguity })
    }
}

/// The id by the rules of the marketplace it comes from; filed under another name, it must be stable there.
fn canonical_under(name: &str, scheme: &str, text: &str) -> Result<String, Impossible> {
    let canonical = identity::canonical_text(scheme, text)?;
    if name == scheme { Ok(canonical) } else { identity::canonical_text(name, &canonical) }
}
