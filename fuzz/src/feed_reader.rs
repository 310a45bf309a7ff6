//! No bytes make a feed reader panic, in any format; what it reads is sound: canonical ids are stable, rows are numbered in
//! order, texts are bounded, the same bytes give the same rows, and one id under two titles is never bid on silently.

use std::collections::HashMap;

use bidlock_ledger::PostingId;
use bidlock_market::posting::{MAX_DESCRIPTION_BYTES, MAX_TEXT_BYTES};
use bidlock_market::{Format, ReadOptions, canonical, read_bytes};

const MARKETPLACES: [Option<&str>; 3] = [None, Some("board"), Some("upwork")];

/// So many first bytes choose format and marketplace.
pub fn choices() -> u8 {
    u8::try_from(Format::all().count() * MARKETPLACES.len()).expect("few formats")
}

/// Panics where one of these does not hold.
pub fn check(data: &[u8]) {
    // A low first byte chooses format and marketplace; any other file is read as it is, so the samples in
    // crates/bidlock-market/testdata serve as seeds.
    let formats: Vec<Format> = Format::all().collect();
    let (choice, bytes) = match data.split_first() {
        Some((choice, rest)) if usize::from(*choice) < choices().into() => (usize::from(*choice), rest),
        _ => (formats.len(), data),
    };
    let format = formats[choice % formats.len()];
    let marketplace = MARKETPLACES[choice / formats.len()];
    let options = ReadOptions {
        format,
        marketplace: marketplace.map(str::to_owned),
        ..ReadOptions::auto(jiff::Timestamp::UNIX_EPOCH)
    };
    let Ok(fetch) = read_bytes("fuzz", bytes, &options) else { return };
    let again = read_bytes("fuzz", bytes, &options).expect("it was read before");
    assert_eq!(fetch.rows, again.rows, "another reading");
    let numbers: Vec<u64> =
        fetch.rows.iter().map(|row| row.as_ref().map_or_else(|bad| bad.row, |row| row.source.row)).collect();
    assert!(
        numbers.first().is_none_or(|first| *first >= 1) && numbers.is_sorted_by(|a, b| a < b),
        "{numbers:?}"
    );
    let mut titles: HashMap<&PostingId, String> = HashMap::new();
    for row in fetch.rows.iter().flatten() {
        assert!(row.title.len() <= MAX_TEXT_BYTES && row.description.len() <= MAX_DESCRIPTION_BYTES);
        let again = canonical(row.id.marketplace(), row.id.posting());
        assert_eq!(again.as_ref(), Ok(&row.id), "not stable");
        // Case and blanks aside, what is not marked has one title.
        let title = row.title.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ");
        if row.ambiguity.is_none() {
            let first = titles.entry(&row.id).or_insert_with(|| title.clone());
            assert_eq!(*first, title, "two titles under {}", row.id);
        }
    }
}
