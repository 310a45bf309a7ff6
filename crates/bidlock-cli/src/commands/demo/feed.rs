//! A made-up feed: several files in the shapes of real ones, in which each posting is seen more than once and
//! its id is written in more than one way.

use std::path::Path;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};
use serde_json::json;

const TRADES: &[&str] = &[
    "Rust",
    "Python",
    "Bookkeeping",
    "Logo",
    "Translation",
    "PostgreSQL",
    "Proofreading",
    "Kubernetes",
    "Piano",
    "Map-making",
];
const TASKS: &[&str] = &[
    "service for a bakery",
    "tidy-up for a small museum",
    "help with the harvest & sales figures",
    "course for beginners",
    "check before the audit",
    "prototype for a tide clock",
    "\u{201c}second opinion\u{201d} wanted",
    "migration over a weekend",
];
/// How many of 100 postings stand a second time in their own file, and a second time in another one.
const AGAIN_IN_FILE: u32 = 15;
const AGAIN_ELSEWHERE: u32 = 35;

/// Where a posting is offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Market {
    Upwork,
    Freelancer,
    /// A board that does not exist, with ids of its own.
    Meadow,
}

struct Made {
    market: Market,
    /// The number in the id.
    number: u64,
    title: String,
    dollars: u32,
}

/// Writes the feed's files into `folder`. It holds exactly `postings` postings.
///
/// # Errors
/// A file can't be written.
pub(super) fn write(folder: &Path, postings: u32, seed: u64) -> std::io::Result<()> {
    // A tag of its own, so that the feed does not depend on how many faults were drawn.
    let mut rng = StdRng::seed_from_u64(seed ^ 0xfeed);
    let made: Vec<Made> = (0..postings).map(|n| make(n, &mut rng)).collect();
    let mut rss = Vec::new();
    let mut projects = Vec::new();
    let mut board = Vec::new();
    let mut export = Vec::new();
    for posting in &made {
        let again = rng.random_range(0..100) < AGAIN_IN_FILE;
        let elsewhere = rng.random_range(0..100) < AGAIN_ELSEWHERE;
        for variant in 0..1 + u32::from(again) {
            match posting.market {
                Market::Upwork => rss.push(rss_item(posting, variant)),
                Market::Freelancer => projects.push(project(posting)),
                Market::Meadow => board.push(board_row(posting, variant)),
            }
        }
        if elsewhere {
            export.push(export_row(posting));
        }
    }
    for rows in [&mut rss, &mut board] {
        rows.shuffle(&mut rng);
    }
    projects.shuffle(&mut rng);
    export.shuffle(&mut rng);
    std::fs::create_dir_all(folder)?;
    let channel = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel><title>Made up</title>\n{}</channel></rss>\n",
        rss.concat()
    );
    std::fs::write(folder.join("1-search.xml"), channel)?;
    let envelope = json!({ "status": "success", "result": { "projects": projects } });
    std::fs::write(folder.join("2-projects.json"), format!("{envelope:#}\n"))?;
    let header = "Job ID,Job Title,Platform,Budget,Skills\n".to_owned();
    std::fs::write(folder.join("3-board.csv"), header + &board.concat())?;
    std::fs::write(folder.join("4-export.json"), format!("{:#}\n", serde_json::Value::from(export)))
}

fn make(n: u32, rng: &mut StdRng) -> Made {
    let market = match n % 4 {
        0 | 1 => Market::Upwork,
        2 => Market::Freelancer,
        _ => Market::Meadow,
    };
    // Numbers never meet: the index is in them. None ends in a zero, which would look like a rounded one.
    let salt = rng.random_range(0..1_000_000_u64);
    let number = match market {
        Market::Upwork => 1_900_000_000_000_000_000 + salt * 1_000_000_000_000 + u64::from(n) * 10 + 7,
        Market::Freelancer => 31_000_000 + u64::from(n) * 10 + salt % 9 + 1,
        Market::Meadow => u64::from(n) * 10 + salt % 9 + 1,
    };
    let title =
        format!("{} {} #{n}", TRADES.choose(rng).unwrap_or(&"Some"), TASKS.choose(rng).unwrap_or(&"work"));
    Made { market, number, title, dollars: rng.random_range(2..60) * 50 }
}

/// One posting's link, with a tracking query and an escape in one sighting and without them in another.
fn rss_item(posting: &Made, variant: u32) -> String {
    let Made { number, dollars, .. } = posting;
    let title = escaped(&posting.title);
    let link = match variant {
        0 => format!("https://www.upwork.com/jobs/Some-title_%7E02{number}?source=rss"),
        _ => format!("https://upwork.com/jobs/~02{number}/?utm_source=mail&amp;utm_medium=digest"),
    };
    format!(
        "<item><title>{title} - Upwork</title><link>{link}</link><guid>{link}</guid>\
         <description><![CDATA[Please say when you could start.<br /><br /><b>Budget</b>: ${dollars}<br />\
         <b>Posted On</b>: March 01, 2026 08:15 UTC<br /><b>Category</b>: Other<br /><b>Skills</b>: Writing, Patience\
         <br /><b>Country</b>: Iceland<br />]]></description></item>\n"
    )
}

fn project(posting: &Made) -> serde_json::Value {
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
    format!("MD-{:06},\"{title}\",{name},\"${}\",writing; patience\n", posting.number, posting.dollars)
}

/// The same posting once more, as a table that somebody exported would have it.
fn export_row(posting: &Made) -> serde_json::Value {
    let (platform, id) = match posting.market {
        // A whole number beyond 53 bits: whoever reads it as a float bids on another posting.
        Market::Upwork => ("Upwork", json!(posting.number)),
        Market::Freelancer => ("freelancer.com", json!(posting.number.to_string())),
        Market::Meadow => ("meadow", json!(format!("meadow:MD-{:06}", posting.number))),
    };
    json!({ "platform": platform, "job_id": id, "title": posting.title, "budget": format!("${}", posting.dollars) })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bidlock_market::{ReadOptions, expand, read};

    use super::*;

    #[test]
    fn the_feed_holds_exactly_the_postings_asked_for_under_one_id_each() {
        let folder = tempfile::tempdir().unwrap();
        let options = ReadOptions::auto(jiff::Timestamp::UNIX_EPOCH);
        for (postings, seed) in [(20, 1), (400, 7), (1_000, 9)] {
            write(folder.path(), postings, seed).unwrap();
            let inputs = expand(&[folder.path().display().to_string()]).unwrap();
            assert_eq!(inputs.len(), 4);
            let (mut sightings, mut distinct) = (0, HashSet::new());
            for input in inputs {
                for row in read(&input, &options).unwrap().rows {
                    let posting = row.unwrap();
                    assert_eq!(posting.ambiguity, None, "{posting:?}");
                    assert!(posting.budget.bid_amount().is_some(), "{posting:?}");
                    distinct.insert(posting.id);
                    sightings += 1;
                }
            }
            assert_eq!(distinct.len(), postings as usize, "seed {seed}");
            assert!(sightings > distinct.len() * 5 / 4, "{sightings} sightings");
        }
    }

    #[test]
    fn the_same_seed_writes_the_same_feed() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            write(folder.path(), 100, 3).unwrap();
        }
        for name in ["1-search.xml", "2-projects.json", "3-board.csv", "4-export.json"] {
            let text =
                |folder: &tempfile::TempDir| std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(text(&one), text(&two), "{name}");
        }
    }
}
