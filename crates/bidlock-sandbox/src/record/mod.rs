//! The record: a file of JSON lines that holds every request before it was answered, and every answer.

mod line;
mod report;
mod writer;

pub(crate) use self::{
    line::read_lines,
    writer::{Recorded, Recorder, WriteWatch},
};
pub use self::{
    line::{AcceptedBid, AnswerLine, Line, RequestLine, SubmissionSeen},
    report::{PostingRecord, Report, ReportError},
};
