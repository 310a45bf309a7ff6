//! What of a text may be shown: never a password, and no more than a person can read.

/// What stands where something was hidden.
const HIDDEN: &str = "***";

/// A URL as it may be shown: with its user, never with a password. On the web a user name without one is a token.
///
/// Passwords are found also where somebody forgot to encode them (`redis://:se/cret@host`), left out the scheme
/// (`bob:secret@host/db`) or wrote another driver's form (`host=h password=secret`): where a text can be read in two ways,
/// what may be a password in one of them is hidden. A path stays as it is.
pub fn without_password(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => format!("{}://{}", without_user(scheme), of_url(scheme, rest)),
        None => without_user(text),
    }
}

/// A text in a message: without a password, without control characters, cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    /// More does not help to find it in the file.
    const MOST_CHARS: usize = 80;
    let shown = without_password(text);
    let mut quoted = String::new();
    for c in shown.chars().take(MOST_CHARS) {
        if c.is_control() { quoted.extend(c.escape_default()) } else { quoted.push(c) }
    }
    if shown.chars().nth(MOST_CHARS).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

/// Whether a text is a path for sure, whatever stands in it.
pub(crate) fn is_plain_path(text: &str) -> bool {
    text.starts_with(['/', '.', '~']) || text.to_ascii_lowercase().starts_with("sqlite")
}

/// Where a text without a scheme says a server nevertheless, as far as it holds a password: how much of it may be shown, and
/// what comes behind the password.
fn password_without_scheme(text: &str) -> Option<(&str, &str)> {
    if is_plain_path(text) {
        return None;
    }
    if let Some(end) = password_word_end(text) {
        return Some((&text[..end], ""));
    }
    let (user, place) = text.rsplit_once('@')?;
    user.contains(':').then_some(("", &text[text.len() - place.len() - 1..]))
}

/// Behind `password=` in `host=h password = secret` or `Server=h;Pwd=secret`, as other drivers write it.
fn password_word_end(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let ends = |word: &str| {
        let behind = |at: usize| {
            let rest = &lower[at + word.len()..];
            rest.trim_start().starts_with('=').then(|| lower.len() - rest.trim_start().len() + 1)
        };
        lower.match_indices(word).find_map(|(at, _)| behind(at))
    };
    ["password", "passwd", "pwd"].into_iter().filter_map(ends).min()
}

/// Whether a text without `://` says a server, in whatever form: `host=db dbname=bids`, `db.internal:5432/bids`,
/// `Server=db;Uid=u`, `bob@db/bids`. As a path it would be a ledger of its own on each host, which nobody meant; a path
/// with these characters says that it is one by its first.
pub(crate) fn is_server_without_scheme(text: &str) -> bool {
    // `postgres//db/bids`: a scheme without its colon.
    let begins_as_url = text.split_once("//").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
    });
    !text.contains("://") && !is_plain_path(text) && (begins_as_url || text.contains(['=', ';', ':', '@']))
}

fn without_user(text: &str) -> String {
    match password_without_scheme(text) {
        Some((before, behind)) => format!("{before}{HIDDEN}{}", without_query(behind)),
        None => text.to_owned(),
    }
}

/// What stands behind `://`.
fn of_url(scheme: &str, rest: &str) -> String {
    let scheme = scheme.to_ascii_lowercase();
    let (is_web, is_file) =
        (scheme.starts_with("http"), scheme.starts_with("sqlite") || scheme.ends_with("unix"));
    let ends_authority = |c: char| matches!(c, '/' | '?' | '#') || (is_web && c == '\\');
    let authority_end = rest.find(ends_authority).unwrap_or(rest.len());
    let hosts = rest[..authority_end].rsplit('@').next().unwrap_or_default();
    let is_readable = are_hosts(hosts) || (is_file && hosts.is_empty());
    let query = rest.find(['?', '#']).unwrap_or(rest.len());
    let searched = match (is_readable, is_web || is_file) {
        (true, true) => authority_end,
        // A database has no `@` in its name: the password has a `/`.
        (true, false) => query,
        (false, _) => rest.len(),
    };
    // With an `@` further on it is not sure that what looks like a path is one.
    let is_path_sure = !is_readable || is_web || is_file || !rest[query..].contains('@');
    let place = |text: &str| match text.find(ends_authority).filter(|_| !is_path_sure) {
        Some(path) => format!("{}{HIDDEN}", &text[..=path]),
        None => without_query(text),
    };
    match rest[..searched].rfind('@') {
        // Nor is it sure that the password has ended here.
        Some(at) if !is_path_sure => format!("{}@{HIDDEN}", user(&rest[..at], is_web)),
        Some(at) => format!("{}@{}", user(&rest[..at], is_web), place(&rest[at + 1..])),
        None if is_readable => place(rest),
        // The host may be missing, and the password stand in its place.
        None => match rest.split_once(':') {
            Some((name, _)) => format!("{}:{HIDDEN}", without_query(name)),
            None => without_query(rest),
        },
    }
}

fn user(text: &str, is_web: bool) -> String {
    let name = text.split(':').next().unwrap_or_default();
    if name.contains(['/', '?', '#', '\\']) {
        HIDDEN.to_owned()
    } else if text.contains(':') {
        format!("{name}:{HIDDEN}")
    } else if is_web {
        HIDDEN.to_owned()
    } else {
        name.to_owned()
    }
}

/// Queries carry passwords too (`?password=…`, `?token=…`); nothing of them is needed to know the place.
fn without_query(place: &str) -> String {
    match place.find(['?', '#']) {
        Some(at) => format!("{}{HIDDEN}", &place[..=at]),
        None => place.to_owned(),
    }
}

/// `host`, `host:port`, `[::1]:port`, several of them with commas.
fn are_hosts(text: &str) -> bool {
    text.split(',').all(|host| {
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_never_show() {
        for (url, shown) in [
            ("postgres://u:s3cret@h/db?password=s3cret", "postgres://u:***@h/db?***"),
            ("https://s3cret@h:1/x@y", "https://***@h:1/x@y"),
            ("redis://:s3@cret@h:6379/0", "redis://:***@h:6379/0"),
            ("postgres://u:s3cret@a:1,[::1]:2/db", "postgres://u:***@a:1,[::1]:2/db"),
            ("redis+unix:///run/r@1.sock?pass=s3cret", "redis+unix:///run/r@1.sock?***"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        for text in [
            "postgres://bidlock@h/db",
            "redis://bob@h:6379/0",
            "postgresql+asyncpg://bidlock@h/db",
            "/a/path.db",
            "/odd:a@b.db",
            "./odd:a@b.db",
            "sqlite:///a:b@c.db",
            "bids@home.db",
            "odd:name.db",
        ] {
            assert_eq!(without_password(text), text, "a user is no secret, and a path has none");
        }
    }

    #[test]
    fn a_password_that_nobody_encoded_is_hidden_too() {
        for (url, shown) in [
            ("redis://:s3/cret@h:6379/0", "redis://:***@h:6379/0"),
            ("redis://:12/s3cret@h", "redis://:***@h"),
            ("postgres://u:12/s3cret@h/db", "postgres://u:***@h/db"),
            ("postgres://u:s3?cret@h/db", "postgres://u:***@h/db"),
            ("postgres://u:s3#cret@h/db", "postgres://u:***@h/db"),
            ("postgres://u:12?s3cret@h/db", "postgres://u:12?***"),
            ("https://u:s3/cret@h/path", "https://u:***@h/path"),
            ("postgres://u:12/s3cret#x@h/db", "postgres://u:12/***"),
            ("postgres://u:12/@s3cret#x@h/db", "postgres://u:***@***"),
            ("postgres://u:12/s3@cret?x@h/db", "postgres://u:***@***"),
            ("postgres://u:p@h/s3cret#x@h/db", "postgres://u:***@***"),
            ("postgres://u:12@s3cret#x@h/db", "postgres://u:***@***"),
            ("postgres://h/db?password=s3cret&x=a:b@c", "postgres://h/***"),
            ("redis://h:port/db?password=s3cret&x=a:b@c", "redis://h:***@c"),
            ("redis://:s3cret", "redis://:***"),
            ("redis:///?x=s3cret:y", "redis:///?***:***"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_password_without_a_scheme_is_hidden_too() {
        for (text, shown) in [
            ("bob:s3cret@h:5432/db?x=1", "***@h:5432/db?***"),
            ("http:u:s3cret@h", "***@h"),
            ("host=h PASSWORD=s3cret user=u", "host=h PASSWORD=***"),
            ("u:s3cret@h://x", "***@h://x"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn a_quoted_text_is_short_and_has_no_control_characters() {
        assert_eq!(quoted("redis://:s3cret@h\u{1b}[1m"), "`redis://:***@h\\u{1b}[1m`");
        assert_eq!(quoted(&"ä".repeat(1_000)).chars().count(), 83);
    }
}
