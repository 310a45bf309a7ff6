//! No bytes make a feed reader panic, in any format; what it reads is sound: canonical ids are stable, rows
//! are numbered, texts are bounded.
#![no_main]

use bidlock_market::posting::{MAX_DESCRIPTION_BYTES, MAX_TEXT_BYTES};
use bidlock_market::{Format, ReadOptions, canonical, read_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // A low first byte chooses format and marketplace; any other file is read as it is, so the samples in
    // crates/bidlock-market/testdata serve as seeds.
    let formats: Vec<Format> = Format::all().collect();
    let marketplaces = [None, Some("board"), Some("upwork")];
    let (choice, bytes) = match data.split_first() {
        Some((choice, rest)) if usize::from(*choice) < formats.len() * marketplaces.len() => (usize::from(*choice), rest),
        _ => (formats.len(), data),
    };
    let format = formats[choice % formats.len()];
    let marketplace = marketplaces[choice / formats.len()];
    let options = ReadOptions {
        format,
        marketplace: marketplace.map(str::to_owned),
        ..ReadOptions::auto(jiff::Timestamp::UNIX_EPOCH)
    };
    let Ok(fetch) = read_bytes("fuzz", bytes, &options) else { return };
    for row in fetch.rows.iter().flatten() {
        assert!(row.title.len() <= MAX_TEXT_BYTES && row.description.len() <= MAX_DESCRIPTION_BYTES);
        assert!(row.source.row >= 1);
        let again = canonical(row.id.marketplace(), row.id.posting());
        assert_eq!(again.as_ref(), Ok(&row.id), "not stable");
    }
});
