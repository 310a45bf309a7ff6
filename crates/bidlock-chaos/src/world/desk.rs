//! The operator: reconciles, approves, declines, resolves and withdraws now and then, by commands as a person types them.

use std::{collections::VecDeque, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::{
    error::RigError,
    world::crew::{Command, Crew, Said},
};

/// The pause between two commands is drawn up to this.
const MAX_PAUSE_MS: u64 = 1_200;
/// No command of a person's takes longer; one that does is ended.
const LIMIT: Duration = Duration::from_secs(60);
/// How many bids a look lists.
const LISTED: u32 = 50;
/// How many bids are decided after one look.
const DECIDED: usize = 4;

/// What a person looks for.
#[derive(Clone, Copy, Debug)]
enum Look {
    Awaiting,
    Unknown,
    Submitted,
}

impl Look {
    fn state(self) -> &'static str {
        match self {
            Look::Awaiting => "awaiting_approval",
            Look::Unknown => "unknown",
            Look::Submitted => "submitted",
        }
    }

    /// What is done about a bid found so, in the words of the command.
    fn decision(self, bid: &str, dice: &mut StdRng) -> Vec<String> {
        let words: &[&str] = match self {
            Look::Awaiting if dice.random_ratio(1, 8) => {
                &["bid", "decline", bid, "--reason", "the operator does not want it"]
            }
            Look::Awaiting => &["bid", "approve", bid],
            // Right or wrong: a look-up reopens a wrong one. Allowing a new bid with it is a risk that nobody takes here.
            Look::Unknown => {
                &["bid", "resolve", bid, "--as", "not-submitted", "--reason", "the operator finds none"]
            }
            Look::Submitted => &["bid", "withdraw", bid, "--reason", "the operator has thought again"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

/// The operator's desk: one command at a time, beside everything else.
#[derive(Debug)]
pub(crate) struct Desk {
    dice: StdRng,
    /// The flags that lead to the ledger.
    ledger: Vec<String>,
    next_at_ms: u64,
    /// The command that is under way, and what a person looks for with it.
    under_way: Option<(Option<Look>, Command)>,
    to_do: VecDeque<Vec<String>>,
}

impl Desk {
    /// A desk from which the ledger is found by these flags.
    pub(crate) fn new(seed: u64, ledger: Vec<String>) -> Desk {
        // A tag of its own, so that faults and decisions do not depend on each other's number.
        let dice = StdRng::seed_from_u64(seed ^ 0xde5c);
        Desk { dice, ledger, next_at_ms: 0, under_way: None, to_do: VecDeque::new() }
    }

    /// The words of `bidlock reconcile`.
    pub(crate) fn reconcile(&self) -> Vec<String> {
        let mut words = vec!["reconcile".to_owned(), "--json".to_owned()];
        words.extend(self.ledger.iter().cloned());
        words
    }

    /// Begins the next command if it is time, and takes in what the last one came to.
    ///
    /// # Errors
    /// A command can't be started or waited for. That one fails is life.
    pub(crate) async fn tend(&mut self, crew: &Crew, now_ms: u64) -> Result<(), RigError> {
        if let Some((_, task)) = &self.under_way
            && !task.is_finished()
        {
            return Ok(());
        }
        if let Some((look, task)) = self.under_way.take() {
            if let (Some(look), Ok(said)) = (look, task.await) {
                self.decide(look, &said?);
            }
            self.next_at_ms = now_ms + self.dice.random_range(0..MAX_PAUSE_MS);
        }
        if now_ms >= self.next_at_ms {
            let (look, words) = self.next();
            self.under_way = Some((look, crew.command("operator", &words, LIMIT)?));
        }
        Ok(())
    }

    /// Ends with the command that is under way, if any.
    ///
    /// # Errors
    /// It can't be waited for.
    pub(crate) async fn close(&mut self) -> Result<(), RigError> {
        self.to_do.clear();
        match self.under_way.take() {
            // A task that died has told nothing.
            Some((_, task)) => task.await.map_or(Ok(()), |said| said.map(drop)),
            None => Ok(()),
        }
    }

    fn next(&mut self) -> (Option<Look>, Vec<String>) {
        if let Some(mut words) = self.to_do.pop_front() {
            words.extend(self.database());
            return (None, words);
        }
        let look = match self.dice.random_range(0..10) {
            0..4 => return (None, self.reconcile()),
            4..7 => Look::Awaiting,
            7..8 => Look::Unknown,
            _ => Look::Submitted,
        };
        let limit = LISTED.to_string();
        let mut words: Vec<String> =
            ["bid", "list", "--json", "--limit", &limit, "--state", look.state()].map(str::to_owned).into();
        words.extend(self.database());
        (Some(look), words)
    }

    /// `bid` commands have no locks.
    fn database(&self) -> Vec<String> {
        let at = self.ledger.iter().position(|word| word == "--database");
        at.map_or_else(Vec::new, |at| self.ledger[at..].iter().take(2).cloned().collect())
    }

    fn decide(&mut self, look: Look, said: &Said) {
        let listed: Value = serde_json::from_str(&said.out).unwrap_or_default();
        let bids = listed.get("bids").and_then(Value::as_array).cloned().unwrap_or_default();
        let ids: Vec<&str> = bids.iter().filter_map(|bid| bid.get("id")?.as_str()).collect();
        for _ in 0..DECIDED.min(ids.len()) {
            let id = ids[self.dice.random_range(0..ids.len())];
            let words = look.decision(id, &mut self.dice);
            if !self.to_do.contains(&words) {
                self.to_do.push_back(words);
            }
        }
    }
}
