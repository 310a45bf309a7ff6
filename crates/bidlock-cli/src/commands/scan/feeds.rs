//! Reads feeds on a thread of its own, ahead of the pipeline, by a bounded queue.

use bidlock_market::{FeedInput, FieldMap, Format, InvalidRow, Posting, ReadOptions, expand, read};
use futures::{Stream, stream};
use tokio::sync::mpsc;

use crate::{config::Config, failure::CliError};

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
    format: Format,
    map: Option<FieldMap>,
    marketplace: Option<String>,
}

impl Feeds {
    pub(super) fn new(config: &Config, arguments: &[String]) -> Result<Feeds, CliError> {
        let format = config
            .scan
            .format
            .parse()
            .map_err(|e| CliError::usage(format!("{}: {e}", config.named("scan.format"))))?;
        let map = config.scan.map.as_deref().map(|path| {
            let named = config.named("scan.map");
            let text = std::fs::read_to_string(path).map_err(|e| {
                CliError::usage(format!("{named}: cannot read {}: {e}", path.display()))
                    .hint("name a TOML file that says which field means what; docs/feeds.md shows one")
            })?;
            FieldMap::parse(&path.display().to_string(), &text)
                .map_err(|e| CliError::usage(e.to_string()).hint("docs/feeds.md lists every key of a map"))
        });
        let feeds = Feeds {
            arguments: arguments.to_vec(),
            format,
            map: map.transpose()?,
            marketplace: config.scan.marketplace.clone(),
        };
        // A path that does not exist is said before any engine is opened.
        expand(&feeds.arguments).map_err(|e| CliError::usage(e.to_string()))?;
        Ok(feeds)
    }

    /// One pass: every file is one fetch, read when its turn comes.
    pub(super) fn read(&self) -> impl Stream<Item = Item> + use<> {
        let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
        let (arguments, map, marketplace) =
            (self.arguments.clone(), self.map.clone(), self.marketplace.clone());
        let format = self.format;
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
                let options =
                    ReadOptions { format, map: map.clone(), marketplace: marketplace.clone(), now: now() };
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

/// A file counts as fetched when it is read.
fn now() -> jiff::Timestamp {
    use bidlock::Clock;
    jiff::Timestamp::try_from(bidlock::SystemClock.wall()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
