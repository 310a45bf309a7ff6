//! Each target on its seeds, and on what a few edits make of them. Nothing guides the edits: cargo-fuzz goes deeper, and is run
//! by hand.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use bidlock_fuzz::{config, feed_reader, lock_key, marketplace_answer, posting_id};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};

/// What readers of texts, numbers and addresses have stumbled over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"'",
    b"\\",
    b"/",
    b":",
    b"@",
    b"?",
    b"#",
    b"%",
    b"%2F",
    b"&amp;",
    b"<",
    b"[",
    b"{",
    b",",
    b"=",
    b"-1",
    b"18446744073709551616",
    "\u{feff}".as_bytes(),
    "\u{130}".as_bytes(),
];
/// Most edits of one seed.
const EDITS: usize = 6;
/// Most bytes that one edit takes out or copies.
const LONGEST: usize = 64;

/// One change of the bytes at some place.
#[derive(Clone, Debug)]
enum Edit {
    Put(Index, u8),
    Insert(Index, &'static [u8]),
    TakeOut(Index, usize),
    /// Some of the bytes once more, elsewhere.
    Repeat(Index, usize, Index),
    /// Some of another seed's.
    Splice(Index, Index, usize, Index),
    End(Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (at(), select(&TOKENS[..])).prop_map(|(at, token)| Edit::Insert(at, token)),
        (at(), 1..LONGEST).prop_map(|(at, length)| Edit::TakeOut(at, length)),
        (at(), 1..LONGEST, at()).prop_map(|(from, length, to)| Edit::Repeat(from, length, to)),
        (at(), at(), 1..LONGEST, at())
            .prop_map(|(seed, from, length, to)| Edit::Splice(seed, from, length, to)),
        at().prop_map(Edit::End),
    ];
    prop::collection::vec(edit, 1..=EDITS)
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
            Edit::Put(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Edit::Put(..) => {}
            Edit::Insert(at, token) => insert(&mut bytes, at, token),
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
            Edit::End(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
    bytes
}

/// The target on the files of this folder, and on so many edits of them.
fn try_all(seeds: &str, cases: u32, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(seeds);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds.iter().for_each(|seed| check(seed));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let tried = TestRunner::new(config).run(&(any::<Index>(), edits()), |(seed, edits)| {
        let bytes = edited(&seeds, seed, edits);
        let caught = std::panic::catch_unwind(|| check(&bytes));
        caught.map_err(|_| TestCaseError::fail(format!("\"{}\" says why above", bytes.escape_ascii())))
    });
    tried.unwrap_or_else(|found| panic!("{found}"));
}

#[test]
fn settings() {
    try_all("seeds/config", 30_000, config::check);
}

#[test]
fn feeds() {
    try_all("../crates/bidlock-market/testdata", 10_000, feed_reader::check);
}

#[test]
fn keys_of_locks() {
    try_all("seeds/lock_key", 30_000, lock_key::check);
}

#[test]
fn answers_of_a_marketplace() {
    try_all("seeds/marketplace_answer", 4_000, marketplace_answer::check);
}

#[test]
fn ids_of_postings() {
    try_all("seeds/posting_id", 10_000, posting_id::check);
}
