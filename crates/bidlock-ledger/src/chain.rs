//! The hash chain over a bid's events: BLAKE3 over the hash before and every field of the line.
//!
//! It shows that a line was changed, is missing, or that the tail was cut (against the row's own count of
//! events). It does not protect from somebody who may write to the whole file and computes every hash anew:
//! there is no secret in it. Copy the last hash elsewhere if that matters.

use std::fmt::Write as _;

use serde_json::Value;

use crate::bid::BidEvent;

/// Changes whenever the canonical form does.
const FORMAT: &[u8] = b"bidlock event 1";

/// The hash of a line: BLAKE3 in hex over the previous line's hash (empty for the first) and each field,
/// length first, so that no two lines have the same bytes. The line's own `hash` is not looked at.
pub fn link(previous: &str, event: &BidEvent) -> String {
    let mut fields = Fields(blake3::Hasher::new());
    fields.add(FORMAT);
    fields.add(previous.as_bytes());
    fields.add(event.bid.0.as_bytes());
    fields.add(&event.seq.to_le_bytes());
    fields.add(&event.at.0.to_le_bytes());
    fields.add_optional(event.action.map(|a| a.as_str()));
    fields.add_optional(event.from.map(|s| s.as_str()));
    fields.add(event.to.as_str().as_bytes());
    fields.add(event.claim_id.0.as_bytes());
    fields.add(&event.epoch.0.to_le_bytes());
    fields.add(event.actor.as_bytes());
    fields.add_optional(event.reason.as_deref());
    fields.add(canonical(&event.detail).as_bytes());
    fields.add_optional(event.event_key.as_deref());
    fields.0.finalize().to_hex().to_string()
}

/// Checks a bid's whole history against the number of events that its row counts.
///
/// # Errors
/// The first line that breaks the chain. A line that was changed together with its own hash shows at the
/// line after it.
pub fn verify(events: &[BidEvent], expected_count: u32) -> Result<(), ChainBreak> {
    let mut previous = "";
    for (event, seq) in events.iter().zip(1..) {
        if event.seq != seq {
            return Err(ChainBreak { seq, fault: ChainFault::Missing });
        }
        if link(previous, event) != event.hash {
            return Err(ChainBreak { seq, fault: ChainFault::Changed });
        }
        previous = &event.hash;
    }
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    match count.cmp(&expected_count) {
        std::cmp::Ordering::Less => Err(ChainBreak { seq: count + 1, fault: ChainFault::Cut }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => {
            Err(ChainBreak { seq: expected_count + 1, fault: ChainFault::Uncounted })
        }
    }
}

/// Where a history is broken, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history is broken at event {seq}: {fault}")]
pub struct ChainBreak {
    /// The first line that does not hold.
    pub seq: u32,
    /// What is wrong with it.
    pub fault: ChainFault,
}

/// How a history can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The line does not match its hash, or does not follow the line before.
    #[error("the line was changed, or the line before it was")]
    Changed,
    /// Another line stands where this one should.
    #[error("the line is missing")]
    Missing,
    /// The bid counts more events than there are.
    #[error("this line and all after it are missing, though the bid counts them")]
    Cut,
    /// There are more events than the bid counts.
    #[error("the bid does not count this line")]
    Uncounted,
}

struct Fields(blake3::Hasher);

impl Fields {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn add_optional(&mut self, text: Option<&str>) {
        self.add(&[u8::from(text.is_some())]);
        self.add(text.unwrap_or_default().as_bytes());
    }
}

/// JSON with sorted keys and without blanks, whatever order the map type keeps.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                // Writing to a string can't fail.
                let _ = write!(text, "{}:", Quoted(key));
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::String(string) => {
            let _ = write!(text, "{}", Quoted(string));
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

/// A JSON string; the plain ones, which are nearly all, without a detour.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            true => write!(f, "\"{}\"", self.0),
            false => Value::from(self.0).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{Action, BidId, BidState, ClaimId, Epoch, WallTime};

    fn history(length: u32) -> Vec<BidEvent> {
        let mut events: Vec<BidEvent> = Vec::new();
        for seq in 1..=length {
            let mut event = BidEvent {
                bid: BidId(Uuid::from_u128(7)),
                seq,
                at: WallTime(1_000 + i64::from(seq)),
                action: (seq > 1).then_some(Action::EnterSubmitting),
                from: (seq > 1).then_some(BidState::Claimed),
                to: BidState::Submitting,
                claim_id: ClaimId(Uuid::from_u128(9)),
                epoch: Epoch(1),
                actor: "here:1:0123abcd".to_owned(),
                reason: None,
                detail: json!({"b": 0.1 + 0.2, "a": [1, null, {"z": 1, "y": "x"}]}),
                event_key: None,
                hash: String::new(),
            };
            event.hash = link(events.last().map_or("", |e| &e.hash), &event);
            events.push(event);
        }
        events
    }

    #[test]
    fn a_whole_history_holds_also_after_a_trip_through_json() {
        verify(&history(4), 4).unwrap();
        verify(&[], 0).unwrap();
        let text = serde_json::to_string(&history(4)).unwrap();
        verify(&serde_json::from_str::<Vec<BidEvent>>(&text).unwrap(), 4).unwrap();
    }

    #[test]
    fn the_first_broken_line_is_named() {
        let broken = |change: &dyn Fn(&mut Vec<BidEvent>)| {
            let mut events = history(5);
            change(&mut events);
            verify(&events, 5).unwrap_err()
        };
        let at = |seq, fault| ChainBreak { seq, fault };
        assert_eq!(broken(&|e| e[2].actor.push('x')), at(3, ChainFault::Changed));
        assert_eq!(broken(&|e| e[2].reason = Some(String::new())), at(3, ChainFault::Changed));
        assert_eq!(broken(&|e| e[2].detail = json!({})), at(3, ChainFault::Changed));
        assert_eq!(broken(&|e| drop(e.remove(2))), at(3, ChainFault::Missing));
        assert_eq!(broken(&|e| e.truncate(3)), at(4, ChainFault::Cut));
        assert_eq!(broken(&|e| e.clear()), at(1, ChainFault::Cut));
        assert_eq!(verify(&history(5), 4).unwrap_err(), at(5, ChainFault::Uncounted));
        let rehashed = |e: &mut Vec<BidEvent>| {
            e[2].actor.push('x');
            e[2].hash = link(&e[1].hash.clone(), &e[2]);
        };
        assert_eq!(broken(&rehashed), at(4, ChainFault::Changed), "its follower does not follow it any more");
    }

    /// The canonical form is a contract with every ledger that exists: a change needs a new FORMAT.
    #[test]
    fn the_hash_of_a_known_line_stays() {
        let value = json!({"b": 1, "a\n": ["\"", 2.5, true, {}, "ä\\ \u{7f}"], "": null});
        assert_eq!(canonical(&value), "{\"\":null,\"a\\n\":[\"\\\"\",2.5,true,{},\"ä\\\\ \u{7f}\"],\"b\":1}");
        assert_eq!(serde_json::from_str::<Value>(&canonical(&value)).unwrap(), value);
        assert_eq!(history(1)[0].hash, "ce71882a91c43bf214c6b4410cb98eb07fa3cfacd9a31b5044498a254cefd46f");
    }
}
