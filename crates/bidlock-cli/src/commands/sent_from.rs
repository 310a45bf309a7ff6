//! Which ledgers this user has bids in, on this host: whoever names another one later, or forgets to name any, may mean one
//! of these. A file of one JSON object for each, beside the default ledger.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bidlock_config::LedgerPlace;
use serde::{Deserialize, Serialize};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentFrom {
    /// By this a ledger is known under whatever name it is reached.
    pub(super) ledger: String,
    #[serde(flatten)]
    pub(super) at: At,
}

/// Where it was when it was sent from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum At {
    /// In this file, by its whole path.
    File(PathBuf),
    /// At this URL, whose secrets are left out: it is shown, and not connected to.
    Server(String),
}

/// Keeps that this ledger is sent from.
///
/// # Errors
/// The list can't be written, or is not one.
pub(super) fn keep(list: &Path, ledger: &str, place: &LedgerPlace) -> io::Result<()> {
    let at = match place {
        LedgerPlace::Sqlite(path) => At::File(path.canonicalize()?),
        LedgerPlace::Postgres(url) => At::Server(url.to_string()),
    };
    let kept = SentFrom { ledger: ledger.to_owned(), at };
    let text = text(list)?;
    if parse(&text)?.contains(&kept) {
        return Ok(());
    }
    if let Some(folder) = list.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // One write at the end of the file: scanners that start together keep each other's lines.
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let line = format!("{end}{}\n", serde_json::to_string(&kept)?);
    OpenOptions::new().append(true).create(true).mode(0o600).open(list)?.write_all(line.as_bytes())
}

/// All of them.
///
/// # Errors
/// The list can't be read, or is not one.
pub(super) fn all(list: &Path) -> io::Result<Vec<SentFrom>> {
    parse(&text(list)?)
}

fn text(list: &Path) -> io::Result<String> {
    match fs::read_to_string(list) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

fn parse(text: &str) -> io::Result<Vec<SentFrom>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("line {} names no ledger", number + 1))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bidlock_config::ServerUrl;

    use super::*;

    #[test]
    fn ledgers_are_kept_once_and_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        let list = at("made/on the way/sent-from.jsonl");
        assert_eq!(all(&list).unwrap(), []);
        fs::write(at("bids.db"), "").unwrap();
        std::os::unix::fs::symlink(at("bids.db"), at("link.db")).unwrap();
        let file = |name: &str| LedgerPlace::Sqlite(at(name));
        let server = |url: &str| LedgerPlace::Postgres(ServerUrl::new(url));
        let one = server("postgres://a:secret@db/bids?sslpassword=secret");
        for (ledger, place) in [
            ("1", file("bids.db")),
            ("1", file("link.db")),
            ("2", one.clone()),
            ("1", file("bids.db")),
            ("2", one.clone()),
            ("3", one.clone()),
        ] {
            keep(&list, ledger, &place).unwrap();
        }
        keep(&list, "4", &file("never made")).unwrap_err();
        let line = |ledger: &str, at| SentFrom { ledger: ledger.to_owned(), at };
        let kept = [
            line("1", At::File(at("bids.db"))),
            line("2", At::Server(one.to_string())),
            line("3", At::Server(one.to_string())),
        ];
        assert_eq!(all(&list).unwrap(), kept);
        assert!(!fs::read_to_string(&list).unwrap().contains("secret"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&list), mode(list.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_list_that_a_person_has_edited_is_read_and_a_torn_one_is_told_and_not_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("sent-from.jsonl");
        let server = LedgerPlace::Postgres(ServerUrl::new("postgres://db/bids"));
        fs::write(&list, "\n{\"ledger\": \"1\", \"file\": \"/a\"}").unwrap();
        keep(&list, "2", &server).unwrap();
        assert_eq!(all(&list).unwrap().len(), 2);
        for torn in ["{\"ledger\": \"1\", \"fi", "{\"ledger\": \"1\", \"redis\": \"redis://db\"}", "\0"] {
            let text = format!("\n{torn}\n");
            fs::write(&list, &text).unwrap();
            for error in [all(&list).unwrap_err(), keep(&list, "2", &server).unwrap_err()] {
                assert!(error.to_string().contains("line 2"), "{error}");
            }
            assert_eq!(fs::read_to_string(&list).unwrap(), text);
        }
    }
}
