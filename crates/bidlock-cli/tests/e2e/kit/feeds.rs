//! Made-up feeds in several shapes, with the same postings in several of them, and a generator of numbers
//! that a printed seed repeats.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// A seed's numbers: SplitMix64.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From `BIDLOCK_TEST_SEED`, or the given one; printed, so that a failure can be repeated.
    pub fn new(test: &str, otherwise: u64) -> Dice {
        let given = std::env::var("BIDLOCK_TEST_SEED").ok();
        let seed = given.map_or(otherwise, |text| text.parse().expect("BIDLOCK_TEST_SEED is a whole number"));
        println!("{test}: BIDLOCK_TEST_SEED={seed}");
        Dice(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 16).unwrap() % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// A folder of feeds with `postings` distinct postings: JSON lines, a CSV table, a JSON array in an envelope.
/// Every posting stands in two files at least, in each at another place. Read them with `--marketplace test`.
pub fn folder(at: &Path, postings: usize, dice: &mut Dice) -> PathBuf {
    let folder = at.join("feeds");
    std::fs::create_dir_all(&folder).unwrap();
    let mut order: Vec<usize> = (0..postings).collect();
    dice.shuffle(&mut order);
    std::fs::write(folder.join("a.jsonl"), json_lines(&order)).unwrap();
    dice.shuffle(&mut order);
    std::fs::write(folder.join("b.csv"), csv(&order[..postings / 2])).unwrap();
    dice.shuffle(&mut order);
    std::fs::write(folder.join("c.json"), envelope(&order)).unwrap();
    folder
}

/// The id of one posting.
pub fn id(n: usize) -> String {
    format!("job-{n:05}")
}

fn json_lines(order: &[usize]) -> String {
    order.iter().fold(String::new(), |mut text, n| {
        writeln!(
            text,
            r#"{{"id":"{}","title":"Task number {n}","url":"https://jobs.example/p/{n}?utm_source=a","budget":{}}}"#,
            id(*n),
            100 + n
        )
        .unwrap();
        text
    })
}

fn envelope(order: &[usize]) -> String {
    let items: Vec<serde_json::Value> = order
        .iter()
        .map(|n| serde_json::json!({ "job_id": id(*n), "title": format!("Task number {n}"), "budget": 100 + n }))
        .collect();
    serde_json::json!({ "status": "ok", "jobs": items }).to_string()
}

fn csv(order: &[usize]) -> String {
    order.iter().fold("job_id,title,budget\n".to_owned(), |mut text, n| {
        writeln!(text, "{},\"Task number {n}\",{}", id(*n), 100 + n).unwrap();
        text
    })
}
