//! What the docs name is there: headings, files, tests; canaries, faults and invariants, as the code lists them.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use bidlock_canary::Canary;
use bidlock_chaos::{canaries::scenario, checker::Invariant, fault::FaultKind};

use crate::pages::{files, pages, prose, quoted, root, table, text};

/// The names by which links find a page's headings, made as code hosts make them.
fn anchors(page: &str) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            let name: String =
                line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
            let name = name.replace(' ', "-");
            let before = seen.entry(name.clone()).or_default();
            *before += 1;
            if *before == 1 { name } else { format!("{name}-{}", *before - 1) }
        })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_of_it() {
    for (path, page) in pages() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for part in page.split("](").skip(1) {
            let link = part.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let there = if target.is_empty() { root().join(&path) } else { folder.join(target) };
            assert!(there.exists(), "{path} links to {target}, which is not there");
            if !heading.is_empty() {
                let there = std::fs::read_to_string(there).unwrap();
                assert!(
                    anchors(&there).iter().any(|anchor| anchor == heading),
                    "{path} links to {link}: no such heading"
                );
            }
        }
    }
}

/// `NAME` stands for what a reader chooses.
fn is_placeholder(text: &str) -> bool {
    text.contains("NAME") || text.contains("TARGET") || text.contains(char::is_whitespace)
}

/// A file of code, by its name.
fn is_code(text: &str) -> bool {
    [".rs", ".sql", ".lua", ".c"].iter().any(|end| text.len() > end.len() && text.ends_with(end))
}

/// Paths from the root are there as they stand; a file of code by its last part alone is there somewhere.
#[test]
fn every_file_that_the_docs_name_is_there() {
    let folders = ["crates", "scripts", "docs", "examples", "fuzz"];
    let all: Vec<String> = folders.into_iter().flat_map(files).collect();
    let mut named = 0;
    for (path, page) in pages() {
        for text in quoted(&prose(&page).join("\n")).filter(|text| !is_placeholder(text)) {
            let text = text.split('*').next().unwrap();
            let is_whole = folders.iter().any(|folder| text.starts_with(&format!("{folder}/")));
            if is_whole {
                assert!(root().join(text).exists(), "{path} names {text}, which is not there");
            } else if is_code(text) {
                let end = format!("/{text}");
                assert!(all.iter().any(|file| file.ends_with(&end)), "{path} names {text}: there is none");
            }
            named += u32::from(is_whole || is_code(text));
        }
    }
    assert!(named > 200, "only {named} files were found");
}

/// Suites that are modules of one binary: a file without its line there would never be built.
#[test]
fn every_suite_has_its_line_in_its_binary() {
    let all = files("crates");
    let mains = all.iter().filter(|path| path.contains("/tests/") && path.ends_with("/main.rs"));
    let mut suites = 0;
    for main in mains {
        let (folder, text) = (main.trim_end_matches("main.rs"), text(main));
        let inside = all.iter().filter_map(|path| path.strip_prefix(folder)?.strip_suffix(".rs"));
        for suite in inside.filter(|suite| !suite.contains('/') && *suite != "main") {
            assert!(text.contains(&format!("mod {suite};")), "{main} lacks {suite}");
            suites += 1;
        }
    }
    assert!(suites > 50, "only {suites} suites were found");
}

/// A path that does not begin at the root is one from a folder of a path that stands before it in its row, or from that
/// file's own folder of modules.
fn beside(text: &str, before: &[PathBuf]) -> Option<PathBuf> {
    before.iter().rev().find_map(|path| {
        let modules = path.with_extension("");
        let folders = modules.ancestors().filter(|folder| folder.components().count() > 1);
        folders.map(|folder| folder.join(text)).find(|path| root().join(path).exists())
    })
}

#[test]
fn every_row_of_where_to_look_names_files_that_are_there() {
    for row in table(&text("ARCHITECTURE.md"), "| Question | File |") {
        let mut before: Vec<PathBuf> = Vec::new();
        for text in row[1..].iter().flat_map(|cell| quoted(cell)) {
            let text = text.split('*').next().unwrap();
            if root().join(text).exists() {
                before.push(Path::new(text).to_owned());
            } else if is_code(text) || text.ends_with('/') {
                let path = beside(text, &before);
                before.push(path.unwrap_or_else(|| panic!("{text} is not there: {row:?}")));
            }
        }
        let is_general = row[1].starts_with("no single function");
        assert!(is_general || !before.is_empty(), "no file: {row:?}");
    }
}

/// Whether there is a test of this name: a function, or a line of a list from which a macro makes them.
fn is_test(name: &str, sources: &str) -> bool {
    sources.contains(&format!("fn {name}(")) || sources.contains(&format!("\n    {name}: "))
}

fn sources() -> String {
    files("crates").into_iter().filter(|path| path.ends_with(".rs")).map(|path| text(&path)).collect()
}

#[test]
fn every_invariant_names_tests_that_are_there() {
    let (page, sources) = (text("ARCHITECTURE.md"), sources());
    let rows = table(&page, "| | Invariant | Mechanism | Test |");
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let expected = Invariant::ALL.map(Invariant::name);
    assert_eq!(names, expected.split_last_chunk::<2>().unwrap().0, "all but unknowns and processes");
    for row in rows {
        let tests: Vec<&str> = quoted(row.last().unwrap()).collect();
        assert!(!tests.is_empty(), "no test: {row:?}");
        for test in tests {
            assert!(is_test(test, &sources), "there is no test {test}");
        }
    }
}

/// On these pages, names of four words and more are names of tests, or of seeds.
#[test]
fn the_pages_on_reliability_name_tests_that_are_there() {
    let (sources, seeds) = (sources(), files("fuzz/seeds"));
    let mut tests = 0;
    for (path, page) in pages().into_iter().filter(|(path, _)| path.starts_with("docs/reliability")) {
        for name in quoted(&prose(&page).join("\n")) {
            let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !is_name || name.matches('_').count() < 3 {
                continue;
            }
            let is_seed = seeds.iter().any(|seed| seed.ends_with(&format!("/{name}")));
            assert!(is_seed || is_test(name, &sources), "{path}: there is no test {name}");
            tests += 1;
        }
    }
    assert!(tests > 15, "only {tests} were found");
}

/// Every canary with what it removes, and an invariant that the rig finds broken without it.
#[test]
fn the_table_of_canaries_is_their_list() {
    let page = text("docs/reliability/canaries.md");
    let rows = table(&page, "| Canary | Removes | Plan | The rig says |");
    let listed: Vec<(&str, &str)> = rows.iter().map(|row| (row[0].trim_matches('`'), row[1])).collect();
    assert_eq!(listed, Canary::ALL.map(|canary| (canary.as_str(), canary.removes())));
    for (canary, row) in Canary::ALL.into_iter().zip(&rows) {
        match scenario(canary) {
            Some(plan) => {
                let broken = row[3].split(", ").any(|name| name == plan.breaks.name());
                assert!(broken, "{canary} breaks {} first of all: {row:?}", plan.breaks.name());
            }
            None => assert!(row[2] == "none" && row[3].starts_with("nothing"), "{row:?}"),
        }
    }
}

/// `7, 16 to 19` as numbers.
fn numbers(cell: &str) -> BTreeSet<u8> {
    let range = |part: &str| {
        let (from, to) = part.split_once(" to ").unwrap_or((part, part));
        from.parse().unwrap()..=to.parse().unwrap()
    };
    cell.split(", ").flat_map(range).collect()
}

/// Every fault stands in one row, with its numbers in the catalogue.
#[test]
fn the_table_of_nemeses_is_the_list_of_faults() {
    let page = text("docs/reliability/fault-rig.md");
    let mut left: Vec<FaultKind> = FaultKind::ALL.to_vec();
    for row in table(&page, "| Fault | What is done | Numbers |") {
        let is_here = |kind: &FaultKind| {
            quoted(row[0]).any(|name| match name.strip_suffix('*') {
                Some(begin) => kind.name().starts_with(begin),
                None => kind.name() == name,
            })
        };
        let here: Vec<FaultKind> = left.extract_if(.., |kind| is_here(kind)).collect();
        let named = quoted(row[0]).count();
        assert!(row[0].contains('*') || here.len() == named, "one of these is no fault: {row:?}");
        let expected: BTreeSet<u8> = here.iter().flat_map(|kind| kind.catalogue()).copied().collect();
        assert_eq!(numbers(row[2]), expected, "{row:?}");
    }
    assert!(left.is_empty(), "docs/reliability/fault-rig.md does not list {left:?}");
}

#[test]
fn every_invariant_stands_in_the_tables_of_what_is_looked_at() {
    let rig = text("docs/reliability/fault-rig.md");
    let of_rig: Vec<&str> = table(&rig, "| | Looked at |").iter().map(|row| row[0]).collect();
    assert_eq!(of_rig, Invariant::ALL.map(Invariant::name));
    let layers = text("docs/reliability.md");
    let heading = "| | Model | Simulation | Crash sweep | System calls | Rig | Fuzzing |";
    let rows = table(&layers, heading);
    let of_layers: Vec<&str> = rows.iter().map(|row| row[0].split(' ').next().unwrap()).collect();
    assert_eq!(of_layers, of_rig[..of_rig.len() - 2], "all but unknowns and processes");
}
