//! Which ledgers this user has begun to send from, or imported into, on this host: whoever names another one later, or
//! forgets to name any, may mean one of these. A folder beside the default ledger, with a file of JSON for each place of
//! each, which is there whole or not at all.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use bidlock_config::LedgerPlace;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentFrom {
    /// By this a ledger is known under whatever name it is reached.
    pub(super) ledger: String,
    #[serde(flatten)]
    pub(super) at: At,
    /// Whether a person has said that it is meant to stand beside others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) meant: bool,
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
/// The file can't be written.
pub(super) fn keep(folder: &Path, ledger: &str, place: &LedgerPlace, meant: bool) -> io::Result<()> {
    let at = match place {
        LedgerPlace::Sqlite(path) => At::File(path.canonicalize()?),
        LedgerPlace::Postgres(url) => At::Server(url.to_string()),
    };
    let mut kept = SentFrom { ledger: ledger.to_owned(), at, meant: false };
    // Called by ledger and place.
    let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, serde_json::to_string(&kept)?.as_bytes());
    let path = folder.join(name.to_string()).with_extension(EXTENSION);
    kept.meant = meant;
    // One that can't be read is written anew.
    if !read(&path).is_ok_and(|there| there == kept) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Where this fails, the temporary file is deleted.
        let (mut file, temporary) = tempfile::NamedTempFile::new_in(folder)?.into_parts();
        writeln!(file, "{}", serde_json::to_string(&kept)?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
    }
    // A name is durable with its folder alone. It may be of another scanner, which has not come so far.
    File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |around| File::open(around)?.sync_all())
}

/// All of them, each with its file; `Err` for one that says nothing.
///
/// # Errors
/// The folder can't be read.
pub(super) fn all(folder: &Path) -> io::Result<Vec<(PathBuf, io::Result<SentFrom>)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    // What a process that was killed has begun is called otherwise.
    paths.retain(|path| path.extension().is_some_and(|end| end == EXTENSION));
    paths.sort();
    Ok(paths.into_iter().map(|path| (path.clone(), read(&path))).collect())
}

const EXTENSION: &str = "json";

fn read(path: &Path) -> io::Result<SentFrom> {
    serde_json::from_slice(&fs::read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it names no ledger"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bidlock_config::ServerUrl;

    use super::*;

    #[test]
    fn each_place_of_a_ledger_is_kept_once_and_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        let notes = at("made/on the way/sent-from");
        assert!(all(&notes).unwrap().is_empty());
        fs::write(at("bids.db"), "").unwrap();
        fs::write(at("moved.db"), "").unwrap();
        std::os::unix::fs::symlink(at("bids.db"), at("link.db")).unwrap();
        let file = |name: &str| LedgerPlace::Sqlite(at(name));
        let server = LedgerPlace::Postgres(ServerUrl::new("postgres://a:secret@db/bids?sslpassword=secret"));
        for (ledger, place) in [
            ("1", file("bids.db")),
            ("1", file("link.db")),
            ("1", file("moved.db")),
            ("2", server.clone()),
            ("3", server.clone()),
            ("2", server.clone()),
        ] {
            keep(&notes, ledger, &place, false).unwrap();
        }
        keep(&notes, "4", &file("never made"), false).unwrap_err();
        let all = all(&notes).unwrap();
        let mut kept: Vec<_> = all.iter().map(|(_, read)| read.as_ref().unwrap().clone()).collect();
        kept.sort_by_key(|sent| format!("{sent:?}"));
        let sent = |ledger: &str, at| SentFrom { ledger: ledger.to_owned(), at, meant: false };
        let at_server = At::Server(server.to_string());
        let files = ["bids.db", "moved.db"].map(|name| sent("1", At::File(at(name))));
        assert_eq!(kept, [&files[..], &[sent("2", at_server.clone()), sent("3", at_server)]].concat());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&notes), mode(&all[0].0)), (0o700, 0o600));
        assert!(all.iter().all(|(path, _)| !fs::read_to_string(path).unwrap().contains("secret")));
        // What a person says of it later stands in the same file.
        keep(&notes, "2", &server, true).unwrap();
        let said: Vec<_> =
            super::all(&notes).unwrap().into_iter().map(|(_, read)| read.unwrap().meant).collect();
        assert_eq!(said.len(), all.len());
        assert_eq!(said.iter().filter(|meant| **meant).count(), 1);
    }

    #[test]
    fn what_says_nothing_is_told_and_written_anew_by_its_own_ledger_alone() {
        let folder = tempfile::tempdir().unwrap();
        let server = LedgerPlace::Postgres(ServerUrl::new("postgres://db/bids"));
        keep(folder.path(), "1", &server, false).unwrap();
        let note = all(folder.path()).unwrap().remove(0).0;
        // Of a process that was killed.
        fs::write(folder.path().join(".tmpKilled"), "{\"led").unwrap();
        for torn in ["", "{\"ledger\": \"2\", \"fi", "{\"ledger\": \"2\", \"redis\": \"redis://db\"}", "\0"] {
            fs::write(&note, torn).unwrap();
            let [(path, Err(error))] = &all(folder.path()).unwrap()[..] else { panic!("{torn}") };
            assert_eq!((path, error.to_string()), (&note, "it names no ledger".to_owned()));
            keep(folder.path(), "2", &server, false).unwrap();
            assert_eq!(fs::read_to_string(&note).unwrap(), torn);
            keep(folder.path(), "1", &server, false).unwrap();
            let all = all(folder.path()).unwrap();
            assert!(all.len() == 2 && all.iter().all(|(_, read)| read.is_ok()));
            fs::remove_file(all.iter().find(|(path, _)| *path != note).unwrap().0.clone()).unwrap();
        }
    }
}
