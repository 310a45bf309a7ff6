//! [`FeedInput`]: the files a command line names, and the error of a file that cannot be read.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::posting::MAX_TEXT_BYTES;

/// The largest file read: postings are kept in memory while a file is read.
pub const MAX_INPUT_BYTES: u64 = 256 * 1024 * 1024;
/// The most files taken from the folders of one call.
pub const MAX_FILES: usize = 100_000;
/// The deepest folder entered below a named one; also what ends a circle of links.
pub const MAX_FOLDER_DEPTH: usize = 16;

/// Extensions that postings are expected behind, in a folder.
const KNOWN_EXTENSIONS: &[&str] = &[
    "atom", "csv", "htm", "html", "json", "jsonfeed", "jsonl", "jsonld", "ndjson", "rdf", "rss", "tsv", "xml",
];

/// One file to read postings from, or standard input. One input is one fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedInput {
    /// A file that the user named: it must be readable as postings.
    File(PathBuf),
    /// A file found in a folder that the user named: if it holds no postings, it is skipped with a note.
    InFolder(PathBuf),
    /// Standard input.
    Stdin,
}

impl FeedInput {
    /// The name used in messages and in `Posting::source`.
    pub fn name(&self) -> String {
        match self {
            FeedInput::File(path) | FeedInput::InFolder(path) => path.display().to_string(),
            FeedInput::Stdin => "stdin".to_owned(),
        }
    }

    /// Whether a file of this name is worth opening; always true for what the user named.
    pub(super) fn looks_like_postings(&self) -> bool {
        let FeedInput::InFolder(path) = self else { return true };
        path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
            KNOWN_EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
        })
    }

    /// The whole content, at most [`MAX_INPUT_BYTES`].
    pub(super) fn bytes(&self) -> Result<Vec<u8>, SourceError> {
        let unreadable = |error: std::io::Error| SourceError::Unreadable { source_name: self.name(), error };
        let mut bytes = Vec::new();
        let read = match self {
            FeedInput::File(path) | FeedInput::InFolder(path) => {
                let file = std::fs::File::open(path).map_err(unreadable)?;
                file.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)
            }
            FeedInput::Stdin => std::io::stdin().lock().take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes),
        };
        read.map_err(unreadable)?;
        if bytes.len() as u64 > MAX_INPUT_BYTES {
            return Err(SourceError::TooLarge { source_name: self.name() });
        }
        Ok(bytes)
    }
}

/// The inputs that command-line arguments name: files as they are, folders as their files (recursive,
/// sorted by path; hidden ones and links to folders are left out), `-` as standard input.
///
/// # Errors
/// An argument is a URL, does not exist, or a folder holds too many files. Standard input may be named once.
pub fn expand(arguments: &[String]) -> Result<Vec<FeedInput>, SourceError> {
    let mut inputs = Vec::new();
    for argument in arguments {
        if argument == "-" {
            if !inputs.contains(&FeedInput::Stdin) {
                inputs.push(FeedInput::Stdin);
            }
            continue;
        }
        if let Some(url) = shown_url(argument) {
            return Err(SourceError::UrlArgument { url });
        }
        let path = PathBuf::from(argument);
        let kind = std::fs::metadata(&path)
            .map_err(|error| SourceError::Unreadable { source_name: argument.clone(), error })?;
        if kind.is_dir() {
            let mut files = Vec::new();
            walk(&path, 0, &mut files)?;
            files.sort();
            inputs.extend(files.into_iter().map(FeedInput::InFolder));
        } else {
            inputs.push(FeedInput::File(path));
        }
    }
    Ok(inputs)
}

/// A URL as it may be shown: scheme, host and path. A feed's user, password and query are often secrets, and
/// messages end in logs. `None` where the text is no URL.
fn shown_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_scheme) {
        return None;
    }
    // Cut by hand, so that a URL which cannot be parsed is no less hidden.
    let rest = rest.split(['?', '#']).next().unwrap_or("");
    // A password may hold a slash that nobody escaped: all before the last `@` goes.
    let rest = rest.rsplit('@').next().unwrap_or("");
    Some(super::text::cut(&format!("{scheme}://{rest}"), MAX_TEXT_BYTES).to_owned())
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let unreadable =
        |error: std::io::Error| SourceError::Unreadable { source_name: folder.display().to_string(), error };
    if depth > MAX_FOLDER_DEPTH {
        return Err(SourceError::TooDeep { source_name: folder.display().to_string() });
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Follows links; one that leads nowhere is left out like a file that was just deleted.
        let Ok(kind) = std::fs::metadata(&path) else { continue };
        let linked = entry.file_type().map_err(unreadable)?.is_symlink();
        if kind.is_dir() && !linked {
            walk(&path, depth + 1, files)?;
        } else if kind.is_file() {
            if files.len() >= MAX_FILES {
                return Err(SourceError::TooManyFiles { source_name: folder.display().to_string() });
            }
            files.push(path);
        }
    }
    Ok(())
}

/// A whole file gives no postings at all; names the file and the way out. Rows that cannot be read are
/// not this: they are reported one by one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("cannot read {source_name}: {error}; check the path and its permissions")]
    Unreadable {
        /// The file.
        source_name: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The file is over [`MAX_INPUT_BYTES`].
    #[error("{source_name} is larger than {} MiB; split it into several files", MAX_INPUT_BYTES / 1024 / 1024)]
    TooLarge {
        /// The file.
        source_name: String,
    },
    /// A folder holds more than [`MAX_FILES`] files.
    #[error("{source_name} brings the files to more than {MAX_FILES}; name smaller folders")]
    TooManyFiles {
        /// The folder.
        source_name: String,
    },
    /// Folders are nested deeper than [`MAX_FOLDER_DEPTH`].
    #[error("{source_name} is nested deeper than {MAX_FOLDER_DEPTH} folders; name it directly")]
    TooDeep {
        /// The folder.
        source_name: String,
    },
    /// A URL was given where a file belongs.
    #[error(
        "{url} is a URL: fetch it with curl and pipe it into `bidlock scan -`, as in `curl -fsS URL | bidlock scan -`"
    )]
    UrlArgument {
        /// The URL without user, password, query and fragment.
        url: String,
    },
    /// The content holds no postings in any known form, or not in the demanded one.
    #[error("{source_name} holds no postings: {why}")]
    NotPostings {
        /// The file.
        source_name: String,
        /// What was looked for, and the way out.
        why: String,
    },
    /// Nothing tells which marketplace the postings are of.
    #[error(
        "{source_name} does not tell which marketplace its postings are of; say it with --marketplace NAME"
    )]
    NoMarketplace {
        /// The file.
        source_name: String,
    },
    /// The marketplace given in the options cannot be a name.
    #[error("--marketplace `{name}`: {why}")]
    InvalidMarketplace {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field map is wrong.
    #[error(transparent)]
    Map(#[from] super::map::MapError),
}

impl SourceError {
    /// Whether the file is just no file of postings, so that a folder's reader may pass over it.
    pub(super) fn is_not_postings(&self) -> bool {
        matches!(self, SourceError::NotPostings { .. })
    }
}
