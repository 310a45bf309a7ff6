//! Any text, any bytes: ids are total and stable, readers never panic.

use bidlock_market::{Format, ReadOptions, canonical, canonical_url, read_bytes};
use proptest::prelude::*;

const MARKETPLACES: &[&str] =
    &["upwork", "freelancer", "remoteok", "weworkremotely", "himalayas", "board", "https"];

/// Texts that ids are made of, so that the rules are hit more often than by chance.
fn id_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("https://"),
        Just("http://www.upwork.com/jobs/"),
        Just("https://himalayas.app/companies/"),
        Just("/jobs/"),
        Just("https://remoteok.com/remote-jobs/"),
        Just("https://weworkremotely.com/listings/"),
        Just("https://www.freelancer.com/projects/"),
        Just("~01"),
        Just("%7E02"),
        Just("ab54d434f54ff0e9"),
        Just("1900000000000000757"),
        Just("wwr:"),
        Just("board:"),
        Just("upwork:"),
        Just("%2F"),
        Just("%25"),
        Just("%"),
        Just("?"),
        Just("&utm_source=x"),
        Just("="),
        Just("#/"),
        Just(".0"),
        Just("e18"),
        Just("-1234567"),
        Just("é"),
        Just("e\u{301}"),
        Just(" "),
        Just("\u{200b}"),
        Just("."),
        Just(".."),
        Just("/"),
        Just("undefined"),
        Just("a.b"),
        Just("www."),
        Just("www.upwork.com/jobs/"),
        Just("freelancer.com/projects/"),
        Just("1900000000000010000"),
        Just("31000017"),
        Just("20190101"),
        Just("31,000,017"),
        Just("seo:"),
        Just("=\""),
        Just("\""),
        Just(","),
        Just("#"),
        Just(":~:"),
        Just("top"),
        Just("\u{ad}"),
        Just("１"),
    ];
    prop_oneof![
        prop::collection::vec(
            prop_oneof![piece.prop_map(str::to_owned), "[a-zA-Z0-9:/.~_%-]{1,6}", "\\PC{1,3}"],
            1..8
        )
        .prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::all().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_ids_are_stable(text in id_like(), marketplace in prop::sample::select(MARKETPLACES)) {
        if let Ok(id) = canonical(marketplace, &text) {
            prop_assert_eq!(canonical(id.marketplace(), id.posting()), Ok(id));
        }
        if let Some(id) = canonical_url(&text) {
            prop_assert_eq!(canonical(id.marketplace(), &text), Ok(id));
        }
    }

    #[test]
    fn readers_never_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(prop::sample::select(&[
                "[", "]", "{", "}", "\"", ":", ",", "\n", "\"id\":1", "\"title\":\"x\"", "\"items\":", "<item>", "</item>", "<rss>", "<feed>",
                "<entry>", "<title>", "&amp;", "&", "<![CDATA[", "]]>", "id,title\n", "1,\"x\"", "<script type=application/ld+json>", "\\", "<", "1e9",
            ][..]), 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
        ],
        format in formats(),
    ) {
        let options = ReadOptions { format, marketplace: Some("board".to_owned()), ..ReadOptions::auto(jiff::Timestamp::UNIX_EPOCH) };
        if let Ok(fetch) = read_bytes("any", &bytes, &options) {
            for (at, row) in fetch.rows.iter().enumerate() {
                if let Err(invalid) = row {
                    prop_assert!(invalid.row as usize <= at + 2 && !invalid.reason.is_empty());
                }
            }
        }
    }
}
