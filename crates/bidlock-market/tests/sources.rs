//! Every reader on made-up samples: typed fields, one key across sources, broken rows, clear errors.
#![allow(clippy::unwrap_used, reason = "also the functions beside the tests are only part of them")]

use std::collections::HashSet;
use std::path::PathBuf;

use bidlock_market::{
    Ambiguity, BudgetKind, FeedInput, Fetch, FieldMap, Format, IdentityBasis, Posting, ReadOptions,
    SourceError, expand, read, read_bytes,
};

fn options() -> ReadOptions {
    ReadOptions::auto("2024-05-13T12:00:00Z".parse().unwrap())
}

fn of(marketplace: &str) -> ReadOptions {
    ReadOptions { marketplace: Some(marketplace.to_owned()), ..options() }
}

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn fetch(name: &str, options: &ReadOptions) -> Fetch {
    read(&FeedInput::File(sample(name)), options).unwrap()
}

fn postings(name: &str, options: &ReadOptions) -> Vec<Posting> {
    fetch(name, options).rows.into_iter().map(Result::unwrap).collect()
}

fn keys(postings: &[Posting]) -> Vec<String> {
    postings.iter().map(|posting| posting.id.to_string()).collect()
}

/// A budget in one line: kind, minor units, currency, period.
fn budget(posting: &Posting) -> String {
    let side = |money: Option<bidlock_ledger::Money>| {
        money.map_or("-".to_owned(), |m| format!("{} {}", m.minor, m.currency))
    };
    let budget = &posting.budget;
    format!("{:?} {} {} {:?}", budget.kind, side(budget.low), side(budget.high), budget.per)
}

#[test]
fn upwork_rss_is_the_same_as_xml_and_as_json() {
    let xml = postings("upwork_rss.xml", &options());
    let json = postings("upwork_rss.json", &options());
    let without_source = |postings: &[Posting]| {
        let mut postings = postings.to_vec();
        postings.iter_mut().for_each(|posting| posting.source.name.clear());
        postings
    };
    assert_eq!(without_source(&xml), without_source(&json));
    assert_eq!(fetch("upwork_rss.xml", &options()).format, Format::UpworkRss);
    assert_eq!(xml[0].id.to_string(), "upwork/~0100000000000000a1");
    assert_eq!(
        xml.iter().map(budget).collect::<Vec<_>>(),
        ["Fixed 150000 USD - None", "Hourly 1500 USD 3000 USD Some(Hour)", "None - - None"]
    );
    assert_eq!(xml[0].title, "Fixed thing R&D");
    assert_eq!(xml[0].description, "First line of a made-up text & more");
    assert_eq!(xml[0].skills, ["Rust", "Data Entry"]);
    assert_eq!(xml[0].client.country.as_deref(), Some("Iceland"));
    assert_eq!(xml[0].posted_at.unwrap().to_string(), "2024-05-06T09:46:00Z");
    assert_eq!(xml[2].source.row, 3);
}

#[test]
fn upwork_search_has_one_key_in_all_schemas() {
    let nested = postings("upwork_search.json", &options());
    let flat = postings("upwork_search_flat.json", &options());
    let page = postings("page.html", &options());
    assert_eq!(keys(&nested), ["upwork/1900000000000000017", "upwork/1900000000000000018"]);
    assert_eq!(keys(&flat), keys(&nested[..1]));
    assert_eq!(keys(&page), keys(&nested[..1]));
    assert_eq!(budget(&nested[0]), "Hourly 1500 USD 3000 USD Some(Hour)");
    assert_eq!(budget(&nested[1]), "Fixed 25000 USD - None");
    assert_eq!(budget(&flat[0]), "Hourly - - Some(Hour)");
    let client = &nested[0].client;
    assert_eq!(
        (client.spent.unwrap().minor, client.reviews, client.payment_verified),
        (123_456, Some(7), Some(true))
    );
    assert_eq!(flat[0].client.spent.unwrap().minor, 123_456);
    assert_eq!(flat[0].client.payment_verified, Some(false));
    let cost = nested[0].bid_cost.as_ref().unwrap();
    assert_eq!((cost.units, cost.unit.as_str(), nested[0].proposals), (12, "connects", Some(3)));
    assert_eq!(budget(&page[0]), "Hourly 700 USD 1000 USD Some(Hour)");
    assert_eq!(page[0].location.as_deref(), Some("Iceland, Malta"));
    assert_eq!(page[0].description, "A made-up text.");
}

#[test]
fn a_source_without_ids_keeps_its_key_while_the_rest_of_the_row_moves() {
    let rows = postings("upwork_feed.json", &options());
    assert_eq!(rows[0].id, rows[1].id);
    assert_eq!((rows[0].identity, &rows[0].ambiguity), (IdentityBasis::ContentKey, &None));
    assert!(rows[0].id.posting().starts_with("content:v1:"));
    assert_eq!(budget(&rows[0]), "Fixed 300000 USD - None");
    assert_eq!(rows[0].posted_at.unwrap().to_string(), "2024-05-13T11:38:00Z");
    assert_eq!((rows[1].proposals, rows[1].proposals_tier.as_deref()), (Some(5), Some("5 to 10")));
    assert_eq!(
        (rows[0].client.spent.unwrap().minor, rows[0].client.payment_verified),
        (7_000_000, Some(true))
    );
    assert_eq!(rows[0].client.country.as_deref(), Some("Iceland"));
}

#[test]
fn a_posting_has_one_key_whatever_source_shows_it() {
    let board = postings("job_board.json", &options());
    assert_eq!(
        keys(&board),
        [
            "himalayas/made-up/first-role",
            "himalayas/made-up/second-role",
            "weworkremotely/made-up-third-role"
        ]
    );
    assert!(board.iter().all(|posting| posting.ambiguity.is_none()));
    assert_eq!(budget(&board[0]), "Range 6000000 EUR 8000000 EUR Some(Year)");
    let feed = postings("wwr.rss", &options());
    assert_eq!(keys(&feed), keys(&board[2..]));
    assert_eq!(feed[0].posted_at.unwrap().to_string(), "2026-01-07T03:20:13Z");
    // Filed under another name, the ids keep their rules.
    assert_eq!(keys(&postings("wwr.rss", &of("Mine"))), ["mine/made-up-third-role"]);
}

#[test]
fn freelancer_and_remote_ok() {
    let projects = postings("freelancer.json", &options());
    assert_eq!(keys(&projects), ["freelancer/31000017", "freelancer/31000018"]);
    assert_eq!(budget(&projects[0]), "Range 1250000 INR 3750000 INR None");
    assert_eq!(budget(&projects[1]), "Hourly 1500 JPY 2500 JPY Some(Hour)");
    assert_eq!((projects[0].biddable, projects[1].biddable), (Some(true), Some(false)));
    assert_eq!(projects[0].client.country.as_deref(), Some("Iceland"));
    assert_eq!(projects[0].description, "A made-up text");
    let found = fetch("remoteok.json", &options());
    assert!(found.notes.iter().any(|note| note.contains("notice")), "{:?}", found.notes);
    let role = found.rows[0].as_ref().unwrap();
    assert_eq!((found.rows.len(), role.id.to_string().as_str()), (1, "remoteok/1100017"));
    assert_eq!((role.description.as_str(), role.budget.kind), ("You’ll do nothing", BudgetKind::None));
}

#[test]
fn plain_feeds_and_tables() {
    let atom = postings("feed.atom", &of("board"));
    assert_eq!(keys(&atom), ["board/tag:board.example,2024:17", "board/https://board.example/jobs/18"]);
    assert_eq!(
        (atom[0].title.as_str(), atom[0].skills.as_slice()),
        ("Made-up & role", ["rust".to_owned()].as_slice())
    );
    assert_eq!(atom[0].posted_at.unwrap().to_string(), "2024-05-13T09:46:00Z");
    assert!(
        atom[0].description.contains("made-up") && !atom[0].description.contains("http"),
        "{}",
        atom[0].description
    );
    let feed = postings("feed.json", &of("board"));
    assert_eq!(keys(&feed), ["board/17"]);
    let table = fetch("jobs.csv", &of("board"));
    for note in ["id: Job ID", "title: Job Title", "url: Link", "client_country: Client Country"] {
        assert!(table.notes.iter().any(|given| given == note), "{note}: {:?}", table.notes);
    }
    let rows: Vec<&Posting> = table.rows.iter().flatten().collect();
    assert_eq!(rows[0].id.to_string(), "board/J-17");
    assert_eq!(budget(rows[0]), "Hourly 1500 USD 3000 USD Some(Hour)");
    assert_eq!(budget(rows[1]), "Fixed 150050 EUR - None");
    assert_eq!(rows[0].posted_at.unwrap().to_string(), "2024-05-13T09:00:00Z");
}

#[test]
fn a_field_map_reads_what_auto_cannot() {
    let SourceError::NotPostings { why, .. } =
        read(&FeedInput::File(sample("custom.json")), &of("x")).unwrap_err()
    else {
        panic!("another error");
    };
    assert!(why.contains("job.headline") && why.contains("--map"), "{why}");
    let map =
        FieldMap::parse("custom.toml", &std::fs::read_to_string(sample("custom.toml")).unwrap()).unwrap();
    let rows = postings("custom.json", &ReadOptions { map: Some(map), ..options() });
    assert_eq!(keys(&rows), ["example/K1", "example/K2"]);
    assert_eq!(
        (budget(&rows[0]), budget(&rows[1])),
        ("Fixed 1250 EUR - None".to_owned(), "Fixed 7500 EUR - None".to_owned())
    );
    assert_eq!(rows[0].client.name.as_deref(), Some("Made-up Inc"));
}

#[test]
fn a_broken_row_is_reported_and_ambiguous_ones_are_marked() {
    let fetch = fetch("lines.jsonl", &of("board"));
    let invalid = fetch.rows[1].as_ref().unwrap_err();
    assert_eq!(invalid.row, 2);
    assert!(invalid.to_string().contains("lines.jsonl, row 2: is not valid JSON"), "{invalid}");
    let third = fetch.rows[2].as_ref().unwrap();
    assert_eq!(third.identity, IdentityBasis::ContentKey);
    let told = third.ambiguity.as_ref().unwrap().to_string();
    assert!(told.contains("`undefined`"), "{told}");
    for row in [0, 3] {
        let ambiguity = fetch.rows[row].as_ref().unwrap().ambiguity.as_ref().unwrap();
        assert!(matches!(ambiguity, Ambiguity::ConflictingTitles { .. }));
        assert!(ambiguity.to_string().contains("`Another title`"), "{ambiguity}");
    }
}

#[test]
fn impossible_ids_are_ambiguous_unless_the_row_knows_better() {
    let rows = |text: &str| -> Vec<Posting> {
        read_bytes("x.json", text.as_bytes(), &of("upwork"))
            .unwrap()
            .rows
            .into_iter()
            .map(Result::unwrap)
            .collect()
    };
    for id in [
        "\"undefined\"",
        "\"\"",
        "null",
        "1.9e18",
        "\"~0119ab\"",
        "\"19000000000000000\"",
        "\"[object Object]\"",
        "\"1.9E+18\"",
    ] {
        let rows = rows(&format!(
            r#"[{{"id": {id}, "title": "A", "description": "x"}}, {{"id": {id}, "title": "B", "description": "y"}}]"#
        ));
        assert!(rows.iter().all(|row| matches!(row.ambiguity, Some(Ambiguity::ImpossibleId { .. }))), "{id}");
        assert_ne!(rows[0].id, rows[1].id, "{id}");
    }
    let better = rows(
        r#"[{"id": "undefined", "title": "A", "url": "https://www.upwork.com/jobs/a_~01ab54d434f54ff0e9"}]"#,
    );
    assert_eq!((better[0].id.posting(), &better[0].ambiguity), ("~01ab54d434f54ff0e9", &None));
    let number = rows(r#"[{"id": 1900000000000000757, "title": "A"}]"#);
    assert_eq!((number[0].id.posting(), &number[0].ambiguity), ("1900000000000000757", &None));
}

#[test]
fn of_several_ids_in_a_row_the_marketplaces_main_form_counts() {
    let key = |row: &str| {
        let rows = read_bytes("x.json", format!("[{row}]").as_bytes(), &of("upwork")).unwrap().rows;
        let posting = rows.into_iter().next().unwrap().unwrap();
        (posting.id.posting().to_owned(), posting.ambiguity.is_some())
    };
    let (decimal, cipher) = ("1900000000000000757", "~01ab54d434f54ff0e9");
    for row in [
        format!(r#"{{"uid":"{decimal}","ciphertext":"{cipher}","title":"J","budget":1}}"#),
        format!(r#"{{"ciphertext":"{cipher}","id":"{decimal}","title":"J"}}"#),
        format!(r#"{{"id":"{cipher}","url":"https://www.upwork.com/jobs/~02{decimal}","title":"J"}}"#),
        format!(r#"{{"id":"row 17","uid":"{decimal}","title":"J"}}"#),
    ] {
        assert_eq!(key(&row), (decimal.to_owned(), false), "{row}");
    }
    assert_eq!(key(&format!(r#"{{"id":"{cipher}","uid":"7","title":"J"}}"#)), (cipher.to_owned(), false));
    // What else stands in a row counts only as an id that cannot be mistaken.
    assert_eq!(key(r#"{"id":"row 17","reference":"R-1","title":"J"}"#), ("row 17".to_owned(), false));
    assert!(key(&format!(r#"{{"id":"job {decimal}","title":"J"}}"#)).1);
}

#[test]
fn a_file_cut_off_anywhere_gives_the_rows_before_the_cut() {
    for name in ["upwork_rss.xml", "upwork_rss.json", "upwork_search.json", "jobs.csv", "job_board.json"] {
        let bytes = std::fs::read(sample(name)).unwrap().trim_ascii_end().to_owned();
        let whole = postings(name, &of("board"));
        let mut seen = HashSet::new();
        for end in (0..bytes.len()).step_by(7) {
            let Ok(fetch) = read_bytes(name, &bytes[..end], &of("board")) else { continue };
            let good: Vec<&Posting> = fetch.rows.iter().flatten().collect();
            let broken = fetch.rows.len() - good.len();
            assert!(broken <= 1, "{name} cut at {end}: {broken} broken rows");
            // A table's last record may be shorter and still whole; other formats say where they end.
            if !name.ends_with(".csv") {
                assert_eq!(broken, 1, "{name} cut at {end}");
                for (row, same) in good.iter().zip(&whole) {
                    assert_eq!(row.id, same.id, "{name} cut at {end}");
                }
            }
            seen.insert(good.len());
        }
        assert!(seen.len() >= whole.len(), "{name}: {seen:?}");
    }
}

#[test]
fn errors_name_the_file_and_the_way_out() {
    let error = |result: Result<Fetch, SourceError>| result.unwrap_err().to_string();
    let message = error(read_bytes("a.csv", b"id,title\n1,x\n", &options()));
    assert!(message.contains("a.csv") && message.contains("--marketplace"), "{message}");
    let message = error(read_bytes("a.txt", b"Dear all", &options()));
    assert!(message.contains("a.txt") && message.contains("--format"), "{message}");
    let message = error(read_bytes("-", b"", &options()));
    assert!(message.contains("is empty"), "{message}");
    let message = error(read_bytes(
        "a.json",
        b"[{\"id\":1,\"title\":\"x\"}]",
        &ReadOptions { format: Format::UpworkSearch, ..options() },
    ));
    assert!(message.contains("upwork-search"), "{message}");
    let message = error(read_bytes("a.csv", b"id,title\n1,x\n", &of(" ")));
    assert!(message.contains("--marketplace"), "{message}");
    let message = expand(&["https://board.example/feed".to_owned()]).unwrap_err().to_string();
    assert!(message.contains("curl") && message.contains("bidlock scan -"), "{message}");
    let message = expand(&["no/such/file.json".to_owned()]).unwrap_err().to_string();
    assert!(message.contains("no/such/file.json"), "{message}");
}

#[test]
fn a_url_in_place_of_a_file_is_named_without_its_secrets() {
    for (url, shown) in [
        (
            "https://me:hunter2@board.example/feed.xml?token=hunter2",
            "https://board.example/feed.xml is a URL",
        ),
        ("HTTPS://board.example/feed#hunter2", "HTTPS://board.example/feed is a URL"),
        ("http://me:hun/hunter2@board.example:99999/feed", "http://board.example:99999/feed is a URL"),
        ("ftp://hunter2@board.example/feed", "ftp://board.example/feed is a URL"),
    ] {
        let message = expand(&[url.to_owned()]).unwrap_err().to_string();
        assert!(message.contains(shown) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_folder_passes_over_what_is_no_file_of_postings() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    std::fs::create_dir(folder.path().join(".git")).unwrap();
    write("README.md", "# Read me");
    write(".hidden.json", "[]");
    write(".git/x.json", "[]");
    write("package.json", r#"{"name": "x", "version": "1"}"#);
    write("b/2.csv", "id,title\n2,x\n");
    write("a.json", r#"[{"id": 1, "title": "x"}]"#);
    let inputs = expand(&[folder.path().display().to_string()]).unwrap();
    let names: Vec<String> =
        inputs.iter().map(|input| input.name().rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["README.md", "a.json", "2.csv", "package.json"]);
    let fetches: Vec<Fetch> = inputs.iter().map(|input| read(input, &of("board")).unwrap()).collect();
    assert_eq!(fetches.iter().map(|fetch| fetch.rows.len()).collect::<Vec<_>>(), [0, 1, 1, 0]);
    assert!(fetches[0].notes[0].starts_with("skipped") && fetches[3].notes[0].starts_with("skipped"));
    let named = FeedInput::File(folder.path().join("package.json"));
    assert!(matches!(read(&named, &of("board")), Err(SourceError::NotPostings { .. })));
}

#[test]
fn a_budget_that_cannot_be_read_is_none_and_said() {
    let table = "id,title,budget,currency\n1,A,$500,\n2,B,abc,\n3,C,3 days,USD\n4,D,450,Bitcoin\n5,E,450,XYZ\n6,F,,\n7,G,450,CAD\n";
    let fetch = read_bytes("jobs.csv", table.as_bytes(), &of("board")).unwrap();
    let read: Vec<String> = fetch.rows.iter().flatten().map(budget).collect();
    assert_eq!(
        read,
        [
            "Fixed 50000 USD - None",
            "None - - None",
            "None - - None",
            "None - - None",
            "None - - None",
            "None - - None",
            "Fixed 45000 CAD - None"
        ]
    );
    for note in [
        "budget: 2 values can't be read, such as \"abc\" (row 2)",
        "currency: 2 values can't be read, such as \"Bitcoin\" (row 4)",
    ] {
        assert!(fetch.notes.iter().any(|given| given == note), "{note}: {:?}", fetch.notes);
    }
    // Half of an offer is no offer.
    let rows = r#"[{"id":"1","title":"A","budget_min":"10","budget_max":"1.200"}]"#;
    let fetch = read_bytes("jobs.json", rows.as_bytes(), &of("board")).unwrap();
    assert_eq!(budget(fetch.rows[0].as_ref().unwrap()), "None - - None");
    let note = "budget_max: 1 value can't be read: \"1.200\" (row 1)";
    assert!(fetch.notes.iter().any(|given| given == note), "{:?}", fetch.notes);
}

#[test]
fn a_map_that_names_what_no_row_has_is_an_error() {
    let rows = r#"[{"key":"1","name":"A"},{"key":"2","name":"B","job":{"pay":5}}]"#;
    let with = |map: &str| {
        let map = FieldMap::parse("map.toml", map).unwrap();
        read_bytes("jobs.json", rows.as_bytes(), &ReadOptions { map: Some(map), ..of("board") })
    };
    // One row that has it is enough.
    assert_eq!(with("id = \"key\"\ntitle = \"name\"\nbudget = \"job.pay\"").unwrap().rows.len(), 2);
    for wrong in ["title = \"Name\"", "title = \"name\"\nbudget = \"job.reward\""] {
        let error = with(&format!("id = \"key\"\n{wrong}")).unwrap_err();
        assert!(matches!(error, SourceError::Map(_)), "{error}");
        let message = error.to_string();
        for part in ["map.toml", "jobs.json", "key, name, job, job.pay"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(
            message.contains("\"Name\"") || message.contains("`budget` is at \"job.reward\""),
            "{message}"
        );
    }
}

/// A system that does not bring ids into one form knows a posting by what its source wrote.
#[test]
fn what_the_source_wrote_is_kept_beside_the_canonical_id() {
    let feed = r#"[{"id": "~021900000000000000017", "title": "A made-up job",
        "url": "https://www.upwork.com/jobs/A-made-up-job_~021900000000000000017?source=rss"},
        {"id": "job_1", "title": "Another"}]"#;
    let fetch = read_bytes("feed.json", feed.as_bytes(), &of("upwork")).unwrap();
    let postings: Vec<Posting> = fetch.rows.into_iter().map(Result::unwrap).collect();
    let written: Vec<&[String]> = postings.iter().map(|p| p.written.as_slice()).collect();
    assert_eq!(postings[0].id.posting(), "1900000000000000017");
    assert_eq!(
        written[0],
        [
            "~021900000000000000017",
            "https://www.upwork.com/jobs/A-made-up-job_~021900000000000000017?source=rss"
        ]
    );
    assert!(written[1].is_empty(), "{written:?}");
}
