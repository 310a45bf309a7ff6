//! One line of the record, and reading a file of them.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest line that is read, in bytes. A body of the largest allowed size fits, also with all of it escaped.
pub(crate) const MAX_LINE_BYTES: u64 = 8 * 1024 * 1024;

/// One line of the record. A request's line comes before its answer's; `seq` ties the two together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// The sandbox began to listen.
    Start {
        /// When.
        at: Timestamp,
        /// Its modes, as text.
        modes: String,
        /// Its process.
        pid: u32,
    },
    /// A request was read to its end.
    Request(RequestLine),
    /// What became of it.
    Answer(AnswerLine),
}

/// A request, before anything was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// Counts the requests of the whole record, from 1.
    pub seq: u64,
    /// When it had been read.
    pub at: Timestamp,
    /// The address of the connection's other end.
    pub peer: String,
    /// The method.
    pub method: String,
    /// The path, as it was written.
    pub path: String,
    /// The query, as it was written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The headers of interest. `authorization` says only that there was one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body as text; what is no UTF-8 in it is replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The submission in it, if it is a readable one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<SubmissionSeen>,
}

/// What identifies a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionSeen {
    /// The marketplace that it names.
    pub marketplace: String,
    /// The posting that it is for.
    pub posting_id: String,
    /// Its bid id, as the client names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid_id: Option<String>,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// It came by following a redirect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub followed_redirect: bool,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// The request's number.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The status, or `reset`, `silent`.
    pub answer: String,
    /// The fault that made it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The bid that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedBid>,
    /// The first answer, that of the bid with this id, was given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<String>,
    /// Refused, because the posting has this bid, which is not withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// The bid that was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// A bid that the sandbox has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedBid {
    /// The sandbox's id of it.
    pub id: String,
    /// The marketplace that was named.
    pub marketplace: String,
    /// The posting.
    pub posting_id: String,
    /// The idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// What a file of lines holds beside the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// Lines that can't be read: those torn by a power loss, or foreign.
    pub(crate) unreadable: u64,
}

/// Calls `each` with every readable line, in order.
pub(crate) fn read_lines(mut file: impl BufRead, mut each: impl FnMut(Line)) -> io::Result<Read> {
    let mut read = Read::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = file.by_ref().take(MAX_LINE_BYTES);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(read);
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match serde_json::from_slice(text) {
            Ok(line) => each(line),
            Err(_) => read.unreadable += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_foreign_line_is_counted_and_costs_no_other() {
        let answer = AnswerLine {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            answer: "201".to_owned(),
            fault: None,
            accepted: None,
            replayed: None,
            duplicate_of: None,
            withdrawn: None,
        };
        let good = serde_json::to_string(&Line::Answer(answer)).unwrap();
        let text = format!("{good}\n{{\"kind\":\"ans\nhello\n\n{good}\n{}", &good[..20]);
        let mut seen = 0;
        let read = read_lines(text.as_bytes(), |_| seen += 1).unwrap();
        assert_eq!((seen, read.unreadable), (2, 3));
    }
}
