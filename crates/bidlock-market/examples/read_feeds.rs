//! Reads files or folders of postings and says what was found: `cargo run -p bidlock-market --example
//! read_feeds -- FEED…` (the made-up samples, when nothing is named).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example that shows its result")]

use std::collections::HashSet;
use std::error::Error;

use bidlock_market::{ReadOptions, expand, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut feeds: Vec<String> = std::env::args().skip(1).collect();
    if feeds.is_empty() {
        feeds.push(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata").to_owned());
    }
    // A file counts as fetched now; a fixed moment makes the output the same every time.
    let options = ReadOptions::auto("2026-01-01T00:00:00Z".parse()?);
    let (mut sightings, mut invalid, mut ambiguous, mut distinct) = (0, 0, 0, HashSet::new());
    for input in expand(&feeds)? {
        let fetch = match read(&input, &options) {
            Ok(fetch) => fetch,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        println!("{}: {} rows of {}", fetch.source, fetch.rows.len(), fetch.format);
        for row in fetch.rows {
            sightings += 1;
            match row {
                Ok(posting) => {
                    ambiguous += usize::from(posting.ambiguity.is_some());
                    distinct.insert(posting.id);
                }
                Err(row) => {
                    invalid += 1;
                    eprintln!("{row}");
                }
            }
        }
    }
    println!(
        "{sightings} sightings of {} postings; {invalid} invalid rows, {ambiguous} ambiguous",
        distinct.len()
    );
    Ok(())
}
