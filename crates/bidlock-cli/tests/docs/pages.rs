//! The pages for readers, and what stands in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every file under a folder of the repository, with its path from the root; but for what is built there.
pub(crate) fn files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if !entry.path().is_dir() {
            files.push(path);
        } else if !["target", "corpus", "artifacts"].contains(&entry.file_name().to_str().unwrap()) {
            files.extend(self::files(&path));
        }
    }
    files
}

/// Every page for readers, with its path from the root.
pub(crate) fn pages() -> Vec<(String, String)> {
    let first = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned);
    let docs = files("docs").into_iter().filter(|path| path.ends_with(".md"));
    first.into_iter().chain(docs).map(|path| (path.clone(), text(&path))).collect()
}

/// The code blocks of a page: what stands behind the opening marks, and the lines.
pub(crate) fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(kind), None) => open = Some((kind, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// The lines of a page that stand in no code block.
pub(crate) fn prose(page: &str) -> Vec<&str> {
    let mut is_code = false;
    let is_prose = |line: &&str| {
        let is_mark = line.starts_with("```");
        is_code ^= is_mark;
        !is_code && !is_mark
    };
    page.lines().filter(is_prose).collect()
}

/// What stands between backquotes.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the table below this heading line, cell by cell.
pub(crate) fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let lines = page.lines().skip_while(|line| *line != heading).skip(2);
    let rows: Vec<Vec<&str>> = lines
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").collect())
        .collect();
    assert!(!rows.is_empty(), "no table with the heading {heading}");
    rows
}
