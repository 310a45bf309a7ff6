//! Reads feeds on a thread of its own, ahead of the pipeline, by a bounded queue.

use bidlock_config::Config;
use bidlock_market::{FeedInput, InvalidRow, Posting, ReadOptions, expand, read};
use futures::{Stream, stream};
use tokio::sync::mpsc;

use crate::{app::App, commands::posting::read_options, failure::CliError};

/// How many rows the reader may be ahead: a batch is being filled while the last one is worked on.
const READ_AHEAD: usize = 2_048;

/// What the feeds of one pass give, in order.
pub(super) enum Item {
    /// A sighting.
    Posting(Box<Posting>),
    /// A row that can't be read.
    Invalid(InvalidRow),
    /// What `auto` chose, or a file of the folder that holds no postings.
    Note(String),
    /// A whole file that can't be read; names the file and the way out.
    Unreadable(String, String),
}

/// The feeds of a command line, checked once, read in each pass.
pub(super) struct Feeds {
    arguments: Vec<String>,
    options: ReadOptions,
}

impl Feeds {
    pub(super) fn new(config: &Config, arguments: &[String]) -> Result<Feeds, CliError> {
        let feeds = Feeds { arguments: arguments.to_vec(), options: read_options(config)? };
        // A path that does not exist is said before any engine is opened.
        expand(&feeds.arguments).map_err(|e| CliError::usage(e.to_string()))?;
        Ok(feeds)
    }

    /// One pass: every file is one fetch, read when its turn comes.
    pub(super) fn read(&self) -> impl Stream<Item = Item> + use<> {
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let (arguments, mut options) = (self.arguments.clone(), self.options.clone());
        tokio::task::spawn_blocking(move || {
            let inputs = match expand(&arguments) {
                Ok(inputs) => inputs,
                Err(error) => {
                    // The folder was there a moment ago; a closed queue means that nobody listens any more.
                    let _ = sender.blocking_send(Item::Unreadable(arguments.join(" "), error.to_string()));
                    return;
                }
            };
            for input in inputs {
                // A file counts as fetched when it is read.
                options.now = App::now();
                if !forward(&input, &options, &sender) {
                    return;
                }
            }
        });
        stream::poll_fn(move |cx| receiver.poll_recv(cx))
    }
}

/// Sends what one file gives. False when nobody listens any more.
fn forward(input: &FeedInput, options: &ReadOptions, sender: &mpsc::Sender<Item>) -> bool {
    let fetch = match read(input, options) {
        Ok(fetch) => fetch,
        Err(error) => return sender.blocking_send(Item::Unreadable(input.name(), error.to_string())).is_ok(),
    };
    for note in fetch.notes {
        if sender.blocking_send(Item::Note(format!("{}: {note}", fetch.source))).is_err() {
            return false;
        }
    }
    fetch.rows.into_iter().all(|row| {
        let item = match row {
            Ok(posting) => Item::Posting(Box::new(posting)),
            Err(invalid) => Item::Invalid(invalid),
        };
        sender.blocking_send(item).is_ok()
    })
}
