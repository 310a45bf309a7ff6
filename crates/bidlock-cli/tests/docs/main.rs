//! The README and the docs say what is true: their commands parse, their links and names lead somewhere, their
//! examples are the files, and every key is explained.
#![allow(clippy::unwrap_used, clippy::panic, reason = "also in the functions that only tests call")]

mod names;
mod pages;

use std::{
    fs,
    process::{Command, Output},
};

use self::pages::{blocks, pages, root, text};

fn bidlock(args: &[String]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bidlock"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("BIDLOCK_") || name.ends_with("_URL"))
    {
        command.env_remove(name);
    }
    command
        .args(args)
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path());
    command.current_dir(root()).output().unwrap()
}

fn run(line: &str) -> (i32, String, String) {
    let output = bidlock(&words(line));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The words of a shell command, up to a pipe, a comment or a redirection. Single quotes are all that the docs use.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            '|' | '#' | '>' | '&' if !quoted && !any => return words,
            _ => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

#[test]
fn every_command_in_the_docs_parses() {
    let mut commands = 0;
    for (path, page) in pages() {
        for (_, lines) in blocks(&page).into_iter().filter(|(kind, _)| *kind != "text") {
            for line in lines {
                let line = line.trim_start_matches("$ ");
                let Some(at) = line.find("bidlock ").filter(|at| *at == 0 || line[..*at].ends_with("| "))
                else {
                    continue;
                };
                let mut args = words(&line[at + "bidlock ".len()..]);
                // With --help nothing is done, and an unknown flag or command is refused all the same.
                let cut = args.iter().position(|a| a == "--").unwrap_or(args.len());
                args.insert(cut, "--help".to_owned());
                let output = bidlock(&args);
                assert!(
                    output.status.success(),
                    "{path}: {line}\n{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                commands += 1;
            }
        }
    }
    assert!(commands > 30, "only {commands} commands were found");
}

/// One line for each state that has a way on, as the table of transitions stands: `to` by `action`, `action`; …
#[test]
fn the_life_cycle_page_lists_the_table_of_transitions() {
    use bidlock_ledger::{BidState, state::TRANSITIONS};
    let page = text("docs/bid-lifecycle.md");
    let table: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "| From | May become |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let mut expected = Vec::new();
    for from in BidState::ALL {
        let mut ways: Vec<(BidState, Vec<&str>)> = Vec::new();
        for rule in TRANSITIONS.iter().filter(|rule| rule.from == from) {
            let action = rule.action.as_str();
            match ways.iter_mut().find(|(to, _)| *to == rule.to) {
                Some((_, actions)) => actions.push(action),
                None => ways.push((rule.to, vec![action])),
            }
        }
        let ways: Vec<String> =
            ways.iter().map(|(to, actions)| format!("`{to}` by {}", actions.join(", "))).collect();
        let ways = if ways.is_empty() { "nothing: final".to_owned() } else { ways.join("; ") };
        expected.push(format!("| `{from}` | {ways} |"));
    }
    let expected = expected.join("\n");
    assert_eq!(table.join("\n"), expected, "docs/bid-lifecycle.md should list:\n{expected}\n");
}

#[test]
fn the_examples_in_the_docs_are_the_files() {
    for (page, file) in [("docs/feeds.md", "examples/map.toml"), ("docs/rules.md", "examples/rules.toml")] {
        assert!(text(page).contains(&text(file)), "{page} does not show {file} as it is");
    }
    let example = text("crates/bidlock-pipeline/examples/bid_once.rs");
    let lines: Vec<&str> = example.lines().map(str::trim).collect();
    let readme = text("README.md");
    for (_, block) in blocks(&readme).into_iter().filter(|(kind, _)| *kind == "rust") {
        for line in block {
            assert!(lines.contains(&line.trim()), "not in bid_once.rs: {line}");
        }
    }
}

#[test]
fn the_example_feeds_are_read_as_the_docs_say() {
    let (code, stdout, stderr) = run("scan examples/feeds --json");
    assert_eq!(code, 0, "{stderr}");
    let summary: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&summary["sightings"], &summary["submitted"], &summary["ambiguous_identity"]),
        (&9.into(), &6.into(), &1.into())
    );
    let (code, stdout, stderr) = run("scan examples/odd.csv --map examples/map.toml --json");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("\"attic\"") && stdout.contains("\"41-B\""), "{stdout}");
    let (code, stdout, stderr) = run("posting evaluate examples/odd.csv --map examples/map.toml");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("1200.00 EUR"), "cents: {stdout}");
    let (code, stdout, stderr) = run("posting evaluate examples/feeds --rules examples/rules.toml");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("suitable   meadow/MD-000102  76.00 USD"), "{stdout}");
    let (code, stdout, _) =
        run("posting canonical 'https://www.upwork.com/jobs/Some-title_%7E021900000000000000017?source=rss'");
    assert_eq!((code, stdout.trim()), (0, "upwork/1900000000000000017"));
}

/// What an error about an unknown key offers instead is the list of keys.
#[test]
fn every_key_of_rules_and_maps_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let page = text("docs/rules.md");
    let tables = ["skills", "keywords", "budget", "client", "posting", "cost", "bid"];
    let mut keys = 0;
    for table in tables.into_iter().chain(["", "budget.limit"]) {
        let heading = match table {
            "" => String::new(),
            "budget.limit" => "[[budget.limit]]\n".to_owned(),
            table => format!("[{table}]\n"),
        };
        fs::write(&file, format!("{heading}zzz = 1\n")).unwrap();
        let (code, _, stderr) = run(&format!("posting evaluate examples/feeds --rules {}", file.display()));
        assert_eq!(code, 2, "{stderr}");
        let offered = stderr.split("expected").nth(1).unwrap_or_else(|| panic!("no keys in: {stderr}"));
        for key in offered.split('`').skip(1).step_by(2).filter(|key| !key.contains(char::is_whitespace)) {
            let named = match table {
                "" | "budget.limit" => format!("`{key}"),
                table if key == "limit" => format!("[[{table}.limit]]"),
                table => format!("`{table}.{key}`"),
            };
            let told = page.contains(&named) || (table.is_empty() && page.contains(&format!("`{key}.")));
            assert!(told, "docs/rules.md does not explain {table}.{key} ({named})");
            keys += 1;
        }
    }
    assert!(keys >= 25, "only {keys} keys were offered");

    let page = text("docs/feeds.md");
    let fields = text("crates/bidlock-market/src/sources/map.rs");
    let listed = fields.split("The keys are those of `auto`'s table:").nth(1).unwrap();
    for key in listed.split("A field").next().unwrap().split('`').skip(1).step_by(2) {
        assert!(page.contains(&format!("`{key}`")), "docs/feeds.md does not explain {key}");
    }
    let (_, _, stderr) = run("scan examples/feeds --format zzz");
    for format in
        stderr.split("use one of ").nth(1).unwrap().split(',').map(|f| f.split_whitespace().next().unwrap())
    {
        assert!(
            format == "auto" || page.contains(&format!("`{format}`")),
            "docs/feeds.md does not list {format}"
        );
    }
}
