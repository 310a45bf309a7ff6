//! What a record proves.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{AcceptedBid, AnswerLine, Line, RequestLine, read_lines};

/// What a record proves: how many submissions reached the marketplace, and whether it has two bids of ours
/// on one posting.
///
/// It is read from the record alone, which may still be written to: what has not been written yet is not
/// counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Requests of every kind.
    pub requests: u64,
    /// Readable submissions received, whatever became of them.
    pub submissions: u64,
    /// Bids accepted.
    pub accepted: u64,
    /// Bids accepted on a posting that had one which was not withdrawn. The proof: 0.
    pub duplicates: u64,
    /// Bids refused because the posting had one which was not withdrawn: duplicates anywhere else.
    pub duplicates_refused: u64,
    /// Bids accepted on a posting again after all earlier ones were withdrawn. Not duplicates.
    pub accepted_after_withdrawal: u64,
    /// Bids withdrawn.
    pub withdrawn: u64,
    /// Idempotency keys that came with more than one submission: something was sent again.
    pub keys_seen_again: u64,
    /// Submissions that came by following a redirect.
    pub followed_redirects: u64,
    /// Requests without an answer line: the sandbox was stopped while it had them.
    pub unanswered: u64,
    /// Submissions by what became of them: a status, `reset` or `silent`.
    pub answers: BTreeMap<String, u64>,
    /// Lines that are a sandbox's, its starts among them: where there is none, the file is no record.
    pub readable_lines: u64,
    /// Lines that can't be read, such as one torn by a power loss.
    pub unreadable_lines: u64,
    /// Per marketplace and posting. As JSON, a list.
    #[serde(serialize_with = "as_list")]
    pub postings: BTreeMap<(String, String), PostingRecord>,
}

/// What a record holds about one posting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PostingRecord {
    /// Submissions received.
    pub received: u64,
    /// The ids of the bids accepted, in order.
    pub accepted: Vec<String>,
    /// The ids of the bids withdrawn.
    pub withdrawn: Vec<String>,
    /// Bids accepted while there was one that was not withdrawn.
    pub duplicates: u64,
}

impl Report {
    /// Reads a record.
    ///
    /// # Errors
    /// The file can't be read. Lines that make no sense are counted instead.
    pub fn read(path: impl AsRef<Path>) -> Result<Report, ReportError> {
        let path = path.as_ref();
        let failed = |source| ReportError { path: path.to_owned(), source };
        let file = BufReader::new(File::open(path).map_err(failed)?);
        let mut tally = Tally::default();
        let read = read_lines(file, |line| tally.add(line)).map_err(failed)?;
        Ok(tally.report(read.unreadable))
    }

    /// The postings with more than one bid at one time: (marketplace, posting) and what the record holds.
    pub fn duplicated(&self) -> impl Iterator<Item = (&(String, String), &PostingRecord)> {
        self.postings.iter().filter(|(_, posting)| posting.duplicates > 0)
    }

    /// The postings on which a bid was accepted.
    pub fn postings_accepted(&self) -> u64 {
        self.postings.values().filter(|posting| !posting.accepted.is_empty()).count() as u64
    }
}

/// The record can't be read.
#[derive(Debug, thiserror::Error)]
#[error("can't read the sandbox's record {}", path.display())]
pub struct ReportError {
    path: PathBuf,
    source: io::Error,
}

/// The report while it is being added up.
#[derive(Default)]
struct Tally {
    report: Report,
    keys: BTreeMap<String, u64>,
    /// Requests without an answer so far, and whether they are submissions.
    open: BTreeMap<u64, bool>,
    /// Where each bid belongs.
    bids: BTreeMap<String, (String, String)>,
}

impl Tally {
    fn add(&mut self, line: Line) {
        self.report.readable_lines += 1;
        match line {
            Line::Start { .. } => {}
            Line::Request(request) => self.request(request),
            Line::Answer(answer) => self.answer(answer),
        }
    }

    fn request(&mut self, request: RequestLine) {
        self.report.requests += 1;
        self.open.insert(request.seq, request.submission.is_some());
        let Some(submission) = request.submission else { return };
        self.report.submissions += 1;
        self.report.followed_redirects += u64::from(submission.followed_redirect);
        if let Some(key) = submission.idempotency_key {
            *self.keys.entry(key).or_default() += 1;
        }
        self.report.postings.entry((submission.marketplace, submission.posting_id)).or_default().received +=
            1;
    }

    fn answer(&mut self, answer: AnswerLine) {
        if self.open.remove(&answer.seq) == Some(true) {
            *self.report.answers.entry(answer.answer).or_default() += 1;
        }
        if let Some(bid) = answer.accepted {
            self.accepted(bid);
        }
        self.report.duplicates_refused += u64::from(answer.duplicate_of.is_some());
        if let Some(id) = answer.withdrawn
            && let Some(posting) = self.bids.get(&id).and_then(|at| self.report.postings.get_mut(at))
        {
            self.report.withdrawn += 1;
            posting.withdrawn.push(id);
        }
    }

    fn accepted(&mut self, bid: AcceptedBid) {
        self.report.accepted += 1;
        let at = (bid.marketplace, bid.posting_id);
        let posting = self.report.postings.entry(at.clone()).or_default();
        if posting.accepted.len() > posting.withdrawn.len() {
            posting.duplicates += 1;
            self.report.duplicates += 1;
        } else if !posting.accepted.is_empty() {
            self.report.accepted_after_withdrawal += 1;
        }
        posting.accepted.push(bid.id.clone());
        self.bids.insert(bid.id, at);
    }

    fn report(mut self, unreadable: u64) -> Report {
        self.report.unreadable_lines = unreadable;
        self.report.unanswered = self.open.len() as u64;
        self.report.keys_seen_again = self.keys.values().filter(|seen| **seen > 1).count() as u64;
        self.report
    }
}

fn as_list<S: serde::Serializer>(
    postings: &BTreeMap<(String, String), PostingRecord>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        marketplace: &'a str,
        posting_id: &'a str,
        #[serde(flatten)]
        record: &'a PostingRecord,
    }
    serializer.collect_seq(postings.iter().map(|((marketplace, posting_id), record)| Entry {
        marketplace,
        posting_id,
        record,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"
{"kind":"start","at":"2026-03-01T12:00:00Z","modes":"","pid":1}
{"kind":"request","seq":1,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids","submission":{"marketplace":"m","posting_id":"p","idempotency_key":"k1"}}
{"kind":"answer","seq":1,"at":"2026-03-01T12:00:00Z","answer":"reset","fault":"reset-after","accepted":{"id":"b1","marketplace":"m","posting_id":"p"}}
{"kind":"request","seq":2,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids","submission":{"marketplace":"m","posting_id":"p","idempotency_key":"k1"}}
{"kind":"request","seq":3,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids","submission":{"marketplace":"n","posting_id":"p","idempotency_key":"k2"}}
{"kind":"answer","seq":3,"at":"2026-03-01T12:00:00Z","answer":"201","accepted":{"id":"b2","marketplace":"n","posting_id":"p"}}
{"kind":"answer","seq":2,"at":"2026-03-01T12:00:00Z","answer":"201","accepted":{"id":"b3","marketplace":"m","posting_id":"p"}}
{"kind":"request","seq":4,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids/b2/withdraw"}
{"kind":"answer","seq":4,"at":"2026-03-01T12:00:00Z","answer":"200","withdrawn":"b2"}
{"kind":"request","seq":5,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids","submission":{"marketplace":"n","posting_id":"p","idempotency_key":"k3"}}
{"kind":"answer","seq":5,"at":"2026-03-01T12:00:00Z","answer":"201","accepted":{"id":"b4","marketplace":"n","posting_id":"p"}}
{"kind":"request","seq":7,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids","submission":{"marketplace":"n","posting_id":"p","idempotency_key":"k4"}}
{"kind":"answer","seq":7,"at":"2026-03-01T12:00:00Z","answer":"409","duplicate_of":"b4"}
{"kind":"request","seq":6,"at":"2026-03-01T12:00:00Z","peer":"a","method":"POST","path":"/bids","submission":{"marketplace":"m","posting_id":"q","followed_redirect":true}}
{"kind":"ans"#;

    #[test]
    fn a_record_is_added_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, RECORD).unwrap();
        let report = Report::read(&path).unwrap();
        let counts = (report.requests, report.submissions, report.accepted, report.withdrawn);
        assert_eq!(counts, (7, 6, 4, 1));
        assert_eq!((report.duplicates, report.accepted_after_withdrawal), (1, 1));
        assert_eq!(report.duplicates_refused, 1);
        let (at, posting) = report.duplicated().next().unwrap();
        assert_eq!((at.0.as_str(), posting.received), ("m", 2));
        assert_eq!(posting.accepted, ["b1", "b3"]);
        assert_eq!((report.keys_seen_again, report.followed_redirects), (1, 1));
        assert_eq!((report.unanswered, report.unreadable_lines, report.postings_accepted()), (1, 1, 2));
        assert_eq!(
            report.answers,
            [("201".to_owned(), 3), ("409".to_owned(), 1), ("reset".to_owned(), 1)].into()
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["postings"][0]["posting_id"], "p");
        assert!(Report::read(dir.path().join("absent")).unwrap_err().to_string().contains("absent"));
    }
}
