//! Each target on its seeds, and on what a few edits make of them. Nothing guides the edits: cargo-fuzz goes deeper, and is run
//! by hand. `BIDLOCK_TEST_SEED=N` chooses other edits than those of every run.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use bidlock_fuzz::{config, feed_reader, lock_key, marketplace_answer, posting_id};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

/// What readers of texts, numbers and addresses have stumbled over.
const TOKENS: &[&str] = &[
    "\0",
    "\n",
    "\r\n",
    " ",
    "\"",
    "'",
    "\\",
    "/",
    ":",
    "@",
    "?",
    "#",
    "%",
    "%2F",
    "%2e",
    "&amp;",
    "<",
    "[",
    "{",
    ",",
    "=",
    "-1",
    "18446744073709551616",
    "\u{feff}",
    "\u{200b}",
    "\u{130}",
];
/// Most edits of one seed.
const EDITS: usize = 4;
/// Most bytes that one edit takes out or copies.
const LONGEST: usize = 64;

/// One change of the bytes at some place.
#[derive(Clone, Debug)]
enum Edit {
    Put(Index, u8),
    /// Another digit in the place of one: of a status, an amount, an id.
    Digit(Index, u8),
    Insert(Index, &'static str),
    TakeOut(Index, usize),
    /// Some of the bytes once more, elsewhere.
    Repeat(Index, usize, Index),
    /// Some of another seed's.
    Splice(Index, Index, usize, Index),
    /// A line of this seed, or of another one, at the beginning of a line.
    Line(Option<Index>, Index, Index),
    End(Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (at(), b'0'..=b'9').prop_map(|(at, digit)| Edit::Digit(at, digit)),
        (at(), select(TOKENS)).prop_map(|(at, token)| Edit::Insert(at, token)),
        (at(), 1..LONGEST).prop_map(|(at, length)| Edit::TakeOut(at, length)),
        (at(), 1..LONGEST, at()).prop_map(|(from, length, to)| Edit::Repeat(from, length, to)),
        (at(), at(), 1..LONGEST, at())
            .prop_map(|(seed, from, length, to)| Edit::Splice(seed, from, length, to)),
        (prop::option::of(at()), at(), at()).prop_map(|(seed, line, to)| Edit::Line(seed, line, to)),
        at().prop_map(Edit::End),
    ];
    prop::collection::vec(edit, 1..=EDITS)
}

fn put(places: Vec<&mut u8>, at: Index, byte: u8) {
    let length = places.len();
    if let Some(place) = (length > 0).then(|| places.into_iter().nth(at.index(length))).flatten() {
        *place = byte;
    }
}

fn piece(bytes: &[u8], from: Index, length: usize) -> Vec<u8> {
    let from = from.index(bytes.len() + 1);
    bytes[from..bytes.len().min(from + length)].to_vec()
}

fn insert(bytes: &mut Vec<u8>, at: Index, piece: &[u8]) {
    let at = at.index(bytes.len() + 1);
    bytes.splice(at..at, piece.iter().copied());
}

fn edited(seeds: &[Vec<u8>], seed: Index, edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = seeds[seed.index(seeds.len())].clone();
    for edit in edits {
        match edit {
            Edit::Put(at, byte) => put(bytes.iter_mut().collect(), at, byte),
            Edit::Digit(at, digit) => {
                put(bytes.iter_mut().filter(|b| b.is_ascii_digit()).collect(), at, digit)
            }
            Edit::Insert(at, token) => insert(&mut bytes, at, token.as_bytes()),
            Edit::TakeOut(at, length) => {
                let from = at.index(bytes.len() + 1);
                bytes.drain(from..bytes.len().min(from + length));
            }
            Edit::Repeat(from, length, to) => {
                let again = piece(&bytes, from, length);
                insert(&mut bytes, to, &again);
            }
            Edit::Splice(seed, from, length, to) => {
                let other = piece(&seeds[seed.index(seeds.len())], from, length);
                insert(&mut bytes, to, &other);
            }
            Edit::Line(seed, line, to) => {
                let from = seed.map_or(&bytes, |seed| &seeds[seed.index(seeds.len())]);
                let lines: Vec<&[u8]> = from.split_inclusive(|byte| *byte == b'\n').collect();
                let line = lines.get(line.index(lines.len() + 1)).map_or(Vec::new(), |line| line.to_vec());
                let starts: Vec<usize> =
                    (0..=bytes.len()).filter(|at| *at == 0 || bytes[at - 1] == b'\n').collect();
                let at = starts[to.index(starts.len())];
                bytes.splice(at..at, line);
            }
            Edit::End(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
    bytes
}

/// The files of a folder of this package.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The target on these seeds, and on so many edits of them.
fn try_all(seeds: &[Vec<u8>], cases: u32, check: fn(&[u8])) {
    seeds.iter().for_each(|seed| check(seed));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    // Each try on the way to a small input panics too.
    std::panic::set_hook(Box::new(|_| {}));
    let seed: u64 = std::env::var("BIDLOCK_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let tried = TestRunner::new_with_rng(config, rng).run(&(any::<Index>(), edits()), |(seed, edits)| {
        let bytes = edited(seeds, seed, edits);
        std::panic::catch_unwind(|| check(&bytes)).map_err(|panic| {
            let why = panic.downcast::<String>().map_or_else(|_| "it panics".to_owned(), |text| *text);
            TestCaseError::fail(format!("b\"{}\": {why}", bytes.escape_ascii()))
        })
    });
    drop(std::panic::take_hook());
    tried.unwrap_or_else(|found| panic!("{found}"));
}

#[test]
fn config() {
    try_all(&files("seeds/config"), 30_000, config::check);
}

#[test]
fn feed_reader() {
    let files = files("../crates/bidlock-market/testdata");
    // As auto takes it, and as if somebody had said that it is of this format and marketplace.
    let choices = (0..feed_reader::choices()).map(Some).chain([None]);
    let chosen =
        choices.flat_map(|choice| files.iter().map(move |file| choice.into_iter().chain(file.clone())));
    try_all(&chosen.map(Iterator::collect).collect::<Vec<_>>(), 10_000, feed_reader::check);
}

#[test]
fn lock_key() {
    try_all(&files("seeds/lock_key"), 30_000, lock_key::check);
}

#[test]
fn marketplace_answer() {
    try_all(&files("seeds/marketplace_answer"), 12_000, marketplace_answer::check);
}

#[test]
fn posting_id() {
    try_all(&files("seeds/posting_id"), 10_000, posting_id::check);
}
