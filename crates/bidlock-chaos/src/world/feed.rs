//! A made-up feed that grows while the run goes on: several files in the shapes of real ones, in which each posting is
//! seen more than once and its id is written in more than one way.
//!
//! The n-th posting follows from the seed and n alone, so that nothing needs to be remembered.

use std::{io, path::Path};

use bidlock_ledger::{InvalidPostingId, PostingId};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

const TRADES: &[&str] = &["Rust", "Bookkeeping", "Logo", "Translation", "Kubernetes", "Piano", "Map-making"];
const TASKS: &[&str] = &[
    "service for a bakery",
    "tidy-up for a small museum",
    "help with the harvest & sales figures",
    "check before the audit",
    "prototype for a tide clock",
    "\u{201c}second opinion\u{201d} wanted",
];
/// How many of 100 postings stand a second time in their own file, and a second time in another one.
const AGAIN_IN_FILE: u32 = 20;
const AGAIN_ELSEWHERE: u32 = 40;

/// Where a posting is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Market {
    Upwork,
    Freelancer,
    /// A board that does not exist, with ids of its own.
    Meadow,
}

/// One made-up posting.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    market: Market,
    /// The number in its id.
    number: u64,
    title: String,
    dollars: u32,
    in_file_again: bool,
    elsewhere: bool,
}

impl Made {
    /// The n-th posting, from 0, of this seed's feed.
    pub(crate) fn nth(seed: u64, n: u32) -> Made {
        // A multiplier that spreads neighbours, as any odd one with many bits does.
        let mut dice = StdRng::seed_from_u64(seed ^ (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let market = match n % 4 {
            0 | 1 => Market::Upwork,
            2 => Market::Freelancer,
            _ => Market::Meadow,
        };
        // Numbers never meet: the index is in them. None ends in a zero, which would look like a rounded one.
        let salt = dice.random_range(0..1_000_000_u64);
        let number = match market {
            Market::Upwork => 1_900_000_000_000_000_000 + salt * 100_000_000_000 + u64::from(n) * 10 + 7,
            Market::Freelancer => 31_000_000 + u64::from(n) * 10 + salt % 9 + 1,
            Market::Meadow => u64::from(n) * 10 + salt % 9 + 1,
        };
        let (trade, task) = (TRADES.choose(&mut dice), TASKS.choose(&mut dice));
        Made {
            market,
            number,
            title: format!("{} {} #{n}", trade.unwrap_or(&"Some"), task.unwrap_or(&"work")),
            dollars: dice.random_range(2..60) * 50,
            in_file_again: dice.random_range(0..100) < AGAIN_IN_FILE,
            elsewhere: dice.random_range(0..100) < AGAIN_ELSEWHERE,
        }
    }

    /// Its canonical identity.
    ///
    /// # Errors
    /// None that is known: made-up ids are short and plain.
    pub(crate) fn id(&self) -> Result<PostingId, InvalidPostingId> {
        match self.market {
            Market::Upwork => PostingId::new("upwork", self.number.to_string()),
            Market::Freelancer => PostingId::new("freelancer", self.number.to_string()),
            Market::Meadow => PostingId::new("meadow", format!("MD-{:08}", self.number)),
        }
    }

    /// Every form in which its id stands in the feed.
    pub(crate) fn written(&self) -> Vec<String> {
        let mut all = vec![self.in_file(0)];
        if self.in_file_again {
            all.push(self.in_file(1));
        }
        if self.elsewhere {
            let (platform, id) = self.exported();
            all.push(format!("{platform} {id}"));
        }
        all
    }

    /// As its own file has it: a link with a tracking query and an escape in one sighting, and without them in another;
    /// a number; an id beside another case of its marketplace.
    fn in_file(&self, variant: u32) -> String {
        let number = self.number;
        match (self.market, variant) {
            (Market::Upwork, 0) => format!("https://www.upwork.com/jobs/Some-title_%7E02{number}?source=rss"),
            (Market::Upwork, _) => {
                format!("https://upwork.com/jobs/~02{number}/?utm_source=mail&utm_medium=digest")
            }
            (Market::Freelancer, _) => number.to_string(),
            (Market::Meadow, 0) => format!("meadow MD-{number:08}"),
            (Market::Meadow, _) => format!("Meadow MD-{number:08}"),
        }
    }

    /// As a table that somebody exported has it.
    fn exported(&self) -> (&'static str, Value) {
        match self.market {
            // A whole number beyond 53 bits: whoever reads it as a float bids on another posting.
            Market::Upwork => ("Upwork", json!(self.number)),
            Market::Freelancer => ("freelancer.com", json!(self.number.to_string())),
            Market::Meadow => ("meadow", json!(format!("meadow:MD-{:08}", self.number))),
        }
    }
}

/// Some postings as files.
#[derive(Debug, Default)]
pub(crate) struct Page {
    rss: String,
    projects: Vec<Value>,
    board: String,
    export: Vec<Value>,
}

impl Page {
    /// These postings.
    pub(crate) fn of(postings: impl IntoIterator<Item = Made>) -> Page {
        let mut page = Page::default();
        for posting in postings {
            page.add(&posting);
        }
        page
    }

    fn add(&mut self, posting: &Made) {
        for variant in 0..1 + u32::from(posting.in_file_again) {
            match posting.market {
                Market::Upwork => self.rss.push_str(&rss_item(posting, variant)),
                Market::Freelancer => self.projects.push(project(posting)),
                Market::Meadow => self.board.push_str(&board_row(posting, variant)),
            }
        }
        if posting.elsewhere {
            let (platform, id) = posting.exported();
            let budget = format!("${}", posting.dollars);
            self.export.push(json!({
                "platform": platform, "job_id": id, "title": posting.title, "budget": budget,
            }));
        }
    }

    /// Writes its files, each in one step: who reads meanwhile reads the old one or the new one.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        let channel = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel><title>Made up</title>\n{}</channel></rss>\n",
            self.rss
        );
        let envelope = json!({ "status": "success", "result": { "projects": self.projects } });
        let board = format!("Job ID,Job Title,Platform,Budget,Skills\n{}", self.board);
        for (kind, text) in [
            ("search.xml", channel),
            ("projects.json", envelope.to_string()),
            ("board.csv", board),
            ("export.json", Value::from(self.export.clone()).to_string()),
        ] {
            let path = folder.join(format!("{name}-{kind}"));
            // Beside the folder that is read, on the same file system.
            let draft = folder.with_extension("draft");
            std::fs::write(&draft, text)?;
            std::fs::rename(&draft, path)?;
        }
        Ok(())
    }
}

fn rss_item(posting: &Made, variant: u32) -> String {
    let (title, link) = (escaped(&posting.title), escaped(&posting.in_file(variant)));
    format!(
        "<item><title>{title} - Upwork</title><link>{link}</link><guid>{link}</guid>\
         <description><![CDATA[Please say when you could start.<br /><br /><b>Budget</b>: ${}<br />\
         <b>Posted On</b>: March 01, 2026 08:15 UTC<br /><b>Category</b>: Other<br /><b>Skills</b>: Writing, Patience\
         <br /><b>Country</b>: Iceland<br />]]></description></item>\n",
        posting.dollars
    )
}

fn project(posting: &Made) -> Value {
    json!({
        "id": posting.number,
        "title": posting.title,
        "seo_url": format!("misc/some-title-{}", posting.number),
        "type": "fixed",
        "budget": { "minimum": posting.dollars, "maximum": posting.dollars * 2 },
        "currency": { "code": "USD" },
        "bid_stats": { "bid_count": 3 },
        "frontend_project_status": "open",
    })
}

fn board_row(posting: &Made, variant: u32) -> String {
    let name = if variant == 0 { "meadow" } else { "Meadow" };
    let title = posting.title.replace('"', "\"\"");
    format!("MD-{:08},\"{title}\",{name},\"${}\",writing; patience\n", posting.number, posting.dollars)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use bidlock_market::{ReadOptions, expand, read};

    use super::*;

    #[test]
    fn readers_find_exactly_the_postings_that_were_made_under_the_ids_that_were_meant() {
        let folder = tempfile::tempdir().unwrap();
        let feed = folder.path().join("feed");
        std::fs::create_dir(&feed).unwrap();
        let options = ReadOptions::auto(jiff::Timestamp::UNIX_EPOCH);
        for (postings, seed) in [(20, 1), (1_000, 7)] {
            Page::of((0..postings).map(|n| Made::nth(seed, n))).write(&feed, "all").unwrap();
            let mut sightings: HashMap<PostingId, usize> = HashMap::new();
            for input in expand(&[feed.display().to_string()]).unwrap() {
                for row in read(&input, &options).unwrap().rows {
                    let posting = row.unwrap();
                    assert_eq!(posting.ambiguity, None, "{posting:?}");
                    *sightings.entry(posting.id).or_default() += 1;
                }
            }
            let made: Vec<Made> = (0..postings).map(|n| Made::nth(seed, n)).collect();
            let ids: HashSet<PostingId> = made.iter().map(|made| made.id().unwrap()).collect();
            assert_eq!(sightings.keys().cloned().collect::<HashSet<_>>(), ids, "seed {seed}");
            for posting in made {
                assert_eq!(sightings[&posting.id().unwrap()], posting.written().len(), "{posting:?}");
            }
        }
    }
}
