//! What processes say: outcomes and leases from stdout, notes from stderr, all into the history.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
    task::JoinHandle,
};

use crate::{
    history::{Outcome, What},
    world::recorder::Recorder,
};

/// A longer line of stderr is cut: the history is for reading.
const MAX_NOTE_CHARS: usize = 400;
/// How much of stderr is kept for error messages.
const LAST_WORDS_BYTES: usize = 600;
/// The key under which a worker's line holds what belongs into the history.
pub(crate) const LEASE: &str = "lease";

/// One process's ear.
#[derive(Debug)]
pub(crate) struct Listener {
    holder: String,
    recorder: Arc<Recorder>,
    heard: Mutex<Heard>,
}

/// What is remembered beside the history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// Whether it has said anything of its work: until then it reads settings and connects.
    pub(crate) is_at_work: bool,
    /// How many postings the last pass has put off.
    pub(crate) put_off: u64,
    /// The last of stderr.
    pub(crate) last_words: String,
}

impl Listener {
    pub(crate) fn new(holder: &str, recorder: &Arc<Recorder>) -> Arc<Listener> {
        let recorder = Arc::clone(recorder);
        Arc::new(Listener { holder: holder.to_owned(), recorder, heard: Mutex::default() })
    }

    /// Listens to a child until both of its pipes are closed.
    pub(crate) fn listen(self: &Arc<Listener>, child: &mut Child) -> Vec<JoinHandle<()>> {
        let stdout = child.stdout.take().map(|pipe| {
            let ear = Arc::clone(self);
            tokio::spawn(read(pipe, move |line| ear.hear(line)))
        });
        let stderr = child.stderr.take().map(|pipe| {
            let ear = Arc::clone(self);
            tokio::spawn(read(pipe, move |line| ear.note(line)))
        });
        stdout.into_iter().chain(stderr).collect()
    }

    /// What was heard up to now.
    pub(crate) fn heard(&self) -> Heard {
        self.inside().clone()
    }

    /// Takes in lines of stderr.
    pub(crate) fn note(&self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut inside = self.inside();
            if inside.last_words.len() + line.len() > LAST_WORDS_BYTES {
                inside.last_words.clear();
            }
            inside.last_words.push_str(line);
            inside.last_words.push('\n');
            drop(inside);
            let text = line.chars().take(MAX_NOTE_CHARS).collect();
            self.recorder.add(What::Note { holder: self.holder.clone(), text });
        }
    }

    /// Takes in one line of stdout.
    fn hear(&self, line: &str) {
        let Ok(mut line) = serde_json::from_str::<Value>(line) else { return };
        self.inside().is_at_work = true;
        if let Some(lease) = line.get_mut(LEASE) {
            if let Ok(lease) = serde_json::from_value(lease.take()) {
                self.recorder.add(What::Lease(lease));
            }
            return;
        }
        let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
        match text("event").as_deref() {
            Some("summary") => {
                self.inside().put_off = line.get("deferred").and_then(Value::as_u64).unwrap_or(0);
                self.recorder.add(What::Pass { holder: self.holder.clone(), summary: line });
            }
            Some(event @ ("outcome" | "approved")) => self.outcome(event, text),
            Some("invalid") => {
                let (source, reason) =
                    (text("source").unwrap_or_default(), text("reason").unwrap_or_default());
                self.note(&format!("{source}: {reason}"));
            }
            _ => {}
        }
    }

    fn outcome(&self, event: &str, text: impl Fn(&str) -> Option<String>) {
        let outcome = text("outcome").unwrap_or_default();
        // One line per sighting and pass: the ledger says the same.
        if outcome == "already_bid" {
            return;
        }
        self.recorder.add(What::Outcome(Outcome {
            holder: self.holder.clone(),
            event: event.to_owned(),
            marketplace: text("marketplace").unwrap_or_default(),
            posting: text("posting").unwrap_or_default(),
            outcome,
            bid: text("bid"),
            state: text("state"),
            reason: text("reason"),
        }));
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Heard> {
        // A number and a text: whole between any two statements.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads to the end. A line cut off by a kill is no JSON, and counts for nothing.
async fn read(pipe: impl AsyncRead + Unpin, each: impl Fn(&str)) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        each(&line);
    }
}
