//! [`Coexistence`]: beside which replaced systems a ledger is kept, as the ledger itself remembers it.
//!
//! A scanner that does not know of them would lock none of their keys and show them none of its bids. So the first import
//! and the first scan beside a replaced system write it down, and from then on a scanner that does not name it sends
//! nothing, until a person has said that its instances have stopped.

use bidlock_ledger::{Actor, LedgerStore, NewNote, Note, WallTime};
use bidlock_pipeline::{LegacyError, PipelineError};
use serde::{Deserialize, Serialize};

use crate::database::LegacyDatabase;

/// The name of the ledger's note.
const NOTE: &str = "replaced_systems";
/// The most systems that one ledger replaces.
const MAX_SYSTEMS: usize = 32;
/// How often a note is written anew that others write at the same moment.
const ROUNDS: usize = 16;

/// Whether instances of a replaced system bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instances {
    /// They may.
    Running,
    /// A person has said that none does.
    Stopped,
}

/// A replaced system, as the ledger remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// See [`LegacyDatabase::identity`].
    pub id: String,
    /// Where it was when it was first met, without a password.
    pub place: String,
    /// What was said last of its instances.
    pub instances: Instances,
    /// Who said it.
    pub by: String,
    /// When.
    pub at: WallTime,
}

/// What a ledger remembers of replaced systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coexistence {
    systems: Vec<System>,
    /// The note's version.
    version: i64,
}

impl Coexistence {
    /// What this ledger remembers.
    ///
    /// # Errors
    /// The ledger can't answer, or its note can't be read: then nothing may be sent.
    pub async fn of(ledger: &dyn LedgerStore) -> Result<Coexistence, PipelineError> {
        ledger.note(NOTE).await?.map_or_else(|| Ok(Coexistence::default()), read)
    }

    /// All systems, in the order in which they were met.
    pub fn systems(&self) -> &[System] {
        &self.systems
    }

    /// The one with this identity.
    pub fn find(&self, id: &str) -> Option<&System> {
        self.systems.iter().find(|system| system.id == id)
    }

    /// Whether a person has said that no instance of this one runs any more.
    pub fn has_stopped(&self, database: &LegacyDatabase) -> bool {
        self.find(database.identity()).is_some_and(|system| system.instances == Instances::Stopped)
    }

    /// Where this one was when it was first met, if that was elsewhere: a cluster of PostgreSQL that was copied, or restored
    /// from a backup, calls itself by the same name as the first one.
    pub fn first_met_elsewhere(&self, database: &LegacyDatabase) -> Option<&System> {
        let rest = |place: &str| place.split_once("://").map_or(place, |(_, rest)| rest).to_owned();
        let server = |place: &str| rest(place).rsplit_once('@').map_or(rest(place), |(_, it)| it.to_owned());
        let system = self.find(database.identity()).filter(|_| database.place().contains("://"));
        system.filter(|system| server(&system.place) != server(database.place()))
    }

    /// All that were first met at this place, as [`Place::shown`](crate::Place::shown) tells it.
    pub fn at_place<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a System> {
        self.systems.iter().filter(move |system| system.place == place)
    }

    /// One whose instances may run, and which is not this one: a scanner that works beside this one alone must not send.
    pub fn running_besides(&self, named: Option<&LegacyDatabase>) -> Option<&System> {
        let is_named = |system: &&System| named.is_some_and(|named| named.identity() == system.id);
        self.systems.iter().find(|system| system.instances == Instances::Running && !is_named(system))
    }
}

/// Writes down that this ledger is kept beside this system, if it is not known yet: its instances may run. What a person
/// has said of it stays.
///
/// # Errors
/// The ledger can't be written, or others write the note again and again.
pub async fn remember(
    ledger: &dyn LedgerStore,
    database: &LegacyDatabase,
    actor: &Actor,
    at: WallTime,
) -> Result<(), PipelineError> {
    let (id, place) = (database.identity(), database.place());
    write(ledger, actor, |known| {
        if known.iter().any(|system| system.id == id) {
            return false;
        }
        let (id, place, by) = (id.to_owned(), place.to_owned(), actor.0.clone());
        known.push(System { id, place, instances: Instances::Running, by, at });
        true
    })
    .await
}

/// Writes down what a person says of the instances of the system with this identity, which the ledger knows.
///
/// # Errors
/// As [`remember`].
pub async fn say(
    ledger: &dyn LedgerStore,
    id: &str,
    instances: Instances,
    actor: &Actor,
    at: WallTime,
) -> Result<(), PipelineError> {
    write(ledger, actor, |known| {
        let said = known.iter_mut().filter(|system| system.id == id && system.instances != instances);
        let mut any = false;
        for system in said {
            (system.instances, system.by, system.at, any) = (instances, actor.0.clone(), at, true);
        }
        any
    })
    .await
}

/// Changes the note: on what it says at that moment, however many write it. `change` says whether there is anything to
/// write.
async fn write(
    ledger: &dyn LedgerStore,
    actor: &Actor,
    change: impl Fn(&mut Vec<System>) -> bool,
) -> Result<(), PipelineError> {
    for _ in 0..ROUNDS {
        let Coexistence { mut systems, version } = Coexistence::of(ledger).await?;
        if !change(&mut systems) {
            return Ok(());
        }
        if systems.len() > MAX_SYSTEMS {
            return Err(refused(format!("this ledger replaces more than {MAX_SYSTEMS} systems")).into());
        }
        let value = serde_json::to_string(&systems).map_err(|e| refused(e.to_string()))?;
        let note = NewNote { name: NOTE.to_owned(), after: version, value, actor: actor.clone() };
        if ledger.write_note(&note).await? {
            return Ok(());
        }
    }
    Err(refused("others write down what this ledger replaces, again and again".to_owned()).into())
}

fn read(note: Note) -> Result<Coexistence, PipelineError> {
    let systems = serde_json::from_str(&note.value).map_err(|e| {
        refused(format!(
            "what the ledger remembers of replaced systems (version {}) can't be read: {e}",
            note.version
        ))
    })?;
    Ok(Coexistence { systems, version: note.version })
}

fn refused(message: String) -> LegacyError {
    LegacyError {
        message,
        hint: Some("nothing was sent; is another bidlock at work on this ledger?".to_owned()),
        retryable: false,
    }
}
