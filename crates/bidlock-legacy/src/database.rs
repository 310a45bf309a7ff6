//! [`LegacyDatabase`]: the old table in one of two engines, and how a scan works beside it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use bidlock_ledger::{Actor, Bid, BidEvent, BidState, ClaimId, NewImport, PostingId};
use bidlock_market::{canonical, marketplace_name, spellings};
use bidlock_pipeline::{LegacyBids, LegacyError, LegacyName, Mirrored};
use jiff::Timestamp;

use crate::{
    earlier::Earlier,
    postgres,
    row::{Known, OldRow, Origin, VIA, import_of},
    shape::{DEMANDED, OPTIONAL, Shape},
    showing::{Showing, new_row},
    sqlite,
    status::word_of,
};

/// How many ways of writing one marketplace there may be, ours included. Times the texts of one posting's id (two of
/// the marketplace's, and [`bidlock_market::posting::MAX_WRITTEN`] of the source's) it bounds the names that are locked,
/// read and mirrored for one bid.
const MAX_SPELLINGS: usize = 6;
/// How many names of marketplaces the old table may hold: a table with more is not one of bids.
const MAX_MARKETPLACES: usize = 1_000;
/// How often a posting's rows are read again where somebody else wrote between look and insertion.
const ROUNDS: usize = 3;

/// Where the replaced system keeps its bids. No password is in its `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// In this SQLite file.
    Sqlite(PathBuf),
    /// In the database of this URL.
    Postgres(String),
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Place::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}

impl Place {
    /// As it is remembered and shown, without a password: see [`LegacyDatabase::place`].
    ///
    /// # Errors
    /// It is no URL that PostgreSQL is reached by.
    pub fn shown(&self) -> Result<String, LegacyError> {
        match self {
            Place::Sqlite(path) => Ok(path.display().to_string()),
            Place::Postgres(url) => postgres::place_of(url),
        }
    }
}

/// The replaced system's database. Clones share the connection.
#[derive(Clone, Debug)]
pub struct LegacyDatabase {
    pub(crate) engine: Engine,
    pub(crate) origin: Origin,
    /// How the old table writes each marketplace, by our name of it, which is not repeated there: as last read.
    written_as: Arc<RwLock<Spellings>>,
    now: fn() -> Timestamp,
}

/// Other ways of writing a marketplace, by our name of it.
type Spellings = HashMap<String, Vec<String>>;

/// One of two engines.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    Sqlite(sqlite::Table),
    Postgres(Box<postgres::Table>),
}

/// What the mirroring of a bid came to.
pub(crate) enum Written {
    Done,
    /// Rows that are not ours, as far as they were seen; nothing was written.
    Foreign(Vec<OldRow>),
    /// A later claim on the posting has its rows there; nothing was written.
    Overtaken,
}

impl LegacyDatabase {
    /// Opens the database to read it.
    ///
    /// # Errors
    /// It can't be reached, or has no table of bids with the demanded columns.
    pub async fn open(place: &Place, actor: Actor) -> Result<LegacyDatabase, LegacyError> {
        LegacyDatabase::open_for(place, actor, false, Timestamp::default).await
    }

    /// Opens the database to work beside instances that use it: makes the table `bidlock_mirror` where it is missing.
    /// `now` dates what is mirrored.
    ///
    /// # Errors
    /// As `open`; or a bid of ours can't be written there.
    pub async fn open_beside(
        place: &Place,
        actor: Actor,
        now: fn() -> Timestamp,
    ) -> Result<LegacyDatabase, LegacyError> {
        LegacyDatabase::open_for(place, actor, true, now).await
    }

    async fn open_for(
        place: &Place,
        actor: Actor,
        write: bool,
        now: fn() -> Timestamp,
    ) -> Result<LegacyDatabase, LegacyError> {
        let engine = match place {
            Place::Postgres(url) => Engine::Postgres(Box::new(postgres::Table::open(url, write).await?)),
            Place::Sqlite(path) => {
                let path = path.clone();
                let opened = tokio::task::spawn_blocking(move || sqlite::Table::open(&path, write)).await;
                Engine::Sqlite(opened.unwrap_or_else(|e| Err(broken_off(&e)))?)
            }
        };
        let place = match &engine {
            Engine::Sqlite(table) => table.place(),
            Engine::Postgres(table) => table.place(),
        };
        let origin = Origin { place: place.to_owned(), actor, via: VIA.to_owned() };
        let database = LegacyDatabase { engine, origin, written_as: Arc::default(), now };
        if write {
            database.refresh().await?;
        }
        Ok(database)
    }

    /// The marketplace implementation to which the old instances sent: look-ups of imported bids go there.
    #[must_use]
    pub fn sent_through(mut self, via: &str) -> LegacyDatabase {
        via.clone_into(&mut self.origin.via);
        self
    }

    /// Where it is, without a password.
    pub fn place(&self) -> &str {
        &self.origin.place
    }

    /// Which table it is, whatever host, user or path named it: a file's path without links, its number and when it was
    /// made, so that another host's file of the same path is another; the name that a cluster of PostgreSQL has given itself
    /// (its standbys have it too, and so have copies of its files), the database and the schema.
    pub fn identity(&self) -> &str {
        match &self.engine {
            Engine::Sqlite(table) => table.identity(),
            Engine::Postgres(table) => table.identity(),
        }
    }

    pub(crate) async fn rows(&self, names: Vec<LegacyName>) -> Result<Vec<OldRow>, LegacyError> {
        match &self.engine {
            Engine::Sqlite(table) => table.find(names).await,
            Engine::Postgres(table) => table.find(names).await,
        }
    }

    pub(crate) async fn proposals(&self, rows: Vec<OldRow>) -> Result<Vec<Option<String>>, LegacyError> {
        match &self.engine {
            Engine::Sqlite(table) => table.proposals(rows).await,
            Engine::Postgres(table) => table.proposals(rows).await,
        }
    }

    pub(crate) fn shape(&self) -> &Shape {
        match &self.engine {
            Engine::Sqlite(table) => table.shape(),
            Engine::Postgres(table) => table.shape(),
        }
    }

    /// Writes bids of ours, all of them or none.
    pub(crate) async fn write(&self, bids: Vec<Showing>) -> Result<Written, LegacyError> {
        match &self.engine {
            Engine::Sqlite(table) => table.mirror(bids).await,
            Engine::Postgres(table) => table.mirror(bids).await,
        }
    }

    pub(crate) fn no_name_fits(&self, bid: &Bid) -> String {
        format!("{}: the columns of `bids` are too short for {}", self.place(), bid.posting)
    }

    pub(crate) fn cant_be_written(&self, bid: &Bid) -> LegacyError {
        LegacyError {
            message: format!("{}: a row of {} can't be written into `bids`", self.place(), bid.posting),
            hint: Some("is `bids` unique in another way than by marketplace, job and status?".to_owned()),
            retryable: false,
        }
    }

    /// The names that the columns can hold, if any. Old instances have no row under the others, and none can be written.
    pub(crate) fn storable(&self, names: &[LegacyName]) -> Option<Vec<LegacyName>> {
        let fits = |column: &str, text: &str| {
            let longest = self.shape().column(column).and_then(|column| column.max_chars);
            longest.is_none_or(|longest| text.chars().count() <= longest)
        };
        let fit = |name: &&LegacyName| fits("marketplace", &name.marketplace) && fits("job_id", &name.job_id);
        let fitting: Vec<LegacyName> = names.iter().filter(fit).cloned().collect();
        (!fitting.is_empty()).then_some(fitting)
    }

    /// The bid that rows of one posting, none of them ours, speak for.
    fn import(&self, posting: &PostingId, mut rows: Vec<OldRow>) -> Option<NewImport> {
        rows.sort_by_key(|row| u8::MAX - row.strength());
        let (strongest, others) = rows.split_first()?;
        Some(import_of(posting.clone(), strongest, others, None, &self.origin))
    }
}

#[async_trait]
impl LegacyBids for LegacyDatabase {
    fn names(&self, posting: &PostingId, written: &[String]) -> Vec<LegacyName> {
        let mut ids = spellings(posting);
        ids.extend(written.iter().filter(|text| !ids.contains(text)).cloned().collect::<Vec<_>>());
        let written_as = self.written_as.read().unwrap_or_else(PoisonError::into_inner);
        let others = written_as.get(posting.marketplace()).into_iter().flatten().map(String::as_str);
        // Ours comes first: an instance whose source writes it so may not have bid yet.
        let marketplaces: Vec<&str> = std::iter::once(posting.marketplace()).chain(others).collect();
        let name = |id: &str, marketplace: &str| LegacyName {
            marketplace: marketplace.to_owned(),
            job_id: id.to_owned(),
        };
        ids.iter().flat_map(|id| marketplaces.iter().map(|marketplace| name(id, marketplace))).collect()
    }

    async fn refresh(&self) -> Result<(), LegacyError> {
        // One more than there may be: a table with more is refused, not cut.
        let limit = MAX_MARKETPLACES + 1;
        let names = match &self.engine {
            Engine::Sqlite(table) => table.marketplaces(limit).await?,
            Engine::Postgres(table) => table.marketplaces(limit).await?,
        };
        let read = spellings_among(self.place(), names)?;
        *self.written_as.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    async fn find(
        &self,
        postings: &[(PostingId, Vec<LegacyName>)],
    ) -> Result<Vec<Option<NewImport>>, LegacyError> {
        let names = postings.iter().filter_map(|(_, names)| self.storable(names)).flatten().collect();
        let by_name = self.by_name(names).await?;
        let each = postings.iter().map(|(posting, names)| {
            let rows = names.iter().filter_map(|name| by_name.get(name)).flatten();
            self.import(posting, rows.filter(|row| !row.mirrored).cloned().collect())
        });
        Ok(each.collect())
    }

    fn says_anything_new(&self, found: &NewImport, events: &[BidEvent]) -> bool {
        !Known::from_events(events).has_all(&Known::of(found))
    }

    async fn mirror(
        &self,
        bid: &Bid,
        names: &[LegacyName],
        overruled: Option<&NewImport>,
    ) -> Result<Mirrored, LegacyError> {
        let Some(names) = self.storable(names) else {
            return Ok(Mirrored::Impossible { detail: self.no_name_fits(bid) });
        };
        let showing = Showing {
            names: names.clone(),
            claim: bid.claim_id.to_string(),
            epoch: bid.epoch.0,
            status: self.shape().word("PENDING"),
            new: new_row(bid, (self.now)()),
            overruled: overruled.map(Known::of).unwrap_or_default(),
            only_missing: false,
        };
        for _ in 0..ROUNDS {
            let rows = match self.write(vec![showing.clone()]).await? {
                Written::Done => return Ok(Mirrored::Done),
                Written::Overtaken => {
                    let detail = format!("a later claim on {} stands there", bid.posting);
                    return Ok(Mirrored::Impossible { detail });
                }
                Written::Foreign(rows) if !rows.is_empty() => rows,
                Written::Foreign(_) => showing.foreign_among(&self.rows(names.clone()).await?),
            };
            if let Some(found) = self.import(&bid.posting, rows) {
                return Ok(Mirrored::Taken(Box::new(found)));
            }
        }
        Err(self.cant_be_written(bid))
    }

    async fn missing(&self, postings: &[Vec<LegacyName>]) -> Result<Vec<bool>, LegacyError> {
        let storable: Vec<_> =
            postings.iter().map(|names| self.storable(names).unwrap_or_default()).collect();
        let by_name = self.by_name(storable.iter().flatten().cloned().collect()).await?;
        Ok(storable.iter().map(|names| names.iter().any(|name| !by_name.contains_key(name))).collect())
    }

    async fn show(&self, bids: Vec<(Bid, Vec<LegacyName>)>) -> Result<(), LegacyError> {
        self.show_named(bids, &mut Earlier::default()).await
    }

    async fn settle(&self, claim: ClaimId, became: Option<BidState>) -> Result<(), LegacyError> {
        let status = became.map(|state| self.shape().word(word_of(state)));
        let (claim, at) = (claim.to_string(), (self.now)());
        match &self.engine {
            Engine::Sqlite(table) => table.settle(claim, status, at).await,
            Engine::Postgres(table) => table.settle(claim, status, at).await,
        }
    }
}

/// How each marketplace is written, besides our way.
///
/// # Errors
/// There are too many: an instance that writes one of those left out would neither see our bids nor our locks.
fn spellings_among(place: &str, names: Vec<String>) -> Result<Spellings, LegacyError> {
    let refused = |message: String| LegacyError {
        message: format!("{place}: {message}"),
        hint: Some("bring the names in the column `marketplace` of `bids` into one form".to_owned()),
        retryable: false,
    };
    if names.len() > MAX_MARKETPLACES {
        return Err(refused(format!("`bids` names more than {MAX_MARKETPLACES} marketplaces")));
    }
    let mut read = Spellings::new();
    for name in names {
        let own = marketplace_name(&name);
        if name == own {
            continue;
        }
        let others = read.entry(own.clone()).or_default();
        others.push(name);
        if others.len() >= MAX_SPELLINGS {
            return Err(refused(format!(
                "`bids` writes the marketplace {own} in more than {MAX_SPELLINGS} ways"
            )));
        }
    }
    Ok(read)
}

/// A row's posting here, if its texts can be one.
pub(crate) fn posting_of(row: &OldRow) -> Result<PostingId, String> {
    canonical(&row.marketplace, &row.job_id).map_err(|e| e.to_string())
}

pub(crate) fn broken_off(error: &tokio::task::JoinError) -> LegacyError {
    LegacyError { message: format!("a call broke off: {error}"), hint: None, retryable: false }
}

/// A statement without its heading.
pub(crate) fn no_comments(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join(" ").trim().trim_end_matches(';').to_owned()
}

/// The columns that are read, as text; NULL for those that there are not.
pub(crate) fn selected(shape: &Shape) -> String {
    let optional = OPTIONAL.into_iter().map(|name| match shape.column(name) {
        Some(_) => format!("CAST(b.{name} AS TEXT)"),
        None => "CAST(NULL AS TEXT)".to_owned(),
    });
    DEMANDED
        .into_iter()
        .map(|name| format!("CAST(b.{name} AS TEXT)"))
        .chain(optional)
        .collect::<Vec<_>>()
        .join(", ")
}
