//! The JSON of the generic HTTP contract: what is sent, and what can be read from an answer.

use bidlock_ledger::{Money, PostingId};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::marketplace::{RemoteBid, Submission};
use crate::marketplaces::Token;

/// The longest id of a bid that is taken from a marketplace, in bytes.
const MAX_REF_BYTES: usize = 512;
/// The longest quotation of a marketplace's own words, in characters: enough for a person to see what it
/// means, too short for a whole error page in the ledger.
const MAX_DETAIL_CHARS: usize = 300;
/// The longest code taken from a marketplace, in characters.
const MAX_CODE_CHARS: usize = 80;

/// The body of `POST /bids`.
#[derive(Serialize)]
pub(super) struct BidBody<'a> {
    marketplace: &'a str,
    posting_id: &'a str,
    bid_id: Uuid,
    idempotency_key: Uuid,
    amount: Option<Money>,
    proposal: &'a str,
    posting_url: Option<&'a str>,
}

impl<'a> BidBody<'a> {
    pub(super) fn new(s: &'a Submission) -> BidBody<'a> {
        BidBody {
            marketplace: s.posting.marketplace(),
            posting_id: s.posting.posting(),
            bid_id: s.bid_id,
            idempotency_key: s.idempotency_key,
            amount: s.amount,
            proposal: &s.proposal,
            posting_url: s.posting_url.as_deref(),
        }
    }
}

/// What an answer's body says, as far as it can be read.
#[derive(Debug)]
pub(super) struct Said {
    /// The bid's id, or why there is none.
    pub(super) id: Result<String, String>,
    /// The bid's state.
    pub(super) status: Option<String>,
    /// It has the contract's own form of a refusal: a text under `code`. The pages by which servers say that there is
    /// nothing at an address have none.
    pub(super) is_refusal: bool,
    code: Option<String>,
    words: String,
}

impl Said {
    /// Reads a body; `token` is hidden in all of it before anything is cut, so that no part of it is left.
    pub(super) fn read(body: &[u8], token: Option<&Token>) -> Said {
        let (id, status, is_refusal, code, message) = match serde_json::from_slice::<Value>(body) {
            Ok(json) => (
                json.get("id").ok_or_else(|| "the answer holds no id".to_owned()).and_then(id_text),
                text_at(&json, &["status"]),
                text_at(&json, &["code"]).is_some(),
                text_at(&json, &["code", "error_code", "error"]),
                text_at(&json, &["message", "detail", "reason"]),
            ),
            Err(why) => (Err(format!("the answer is not JSON ({why})")), None, false, None, None),
        };
        let words = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        Said {
            id: id.map(|id| hidden_in_id(id, token)),
            status: status.map(|status| hidden_in_id(status, token)),
            is_refusal,
            code: code.map(|code| shortened(&code, MAX_CODE_CHARS, token)),
            words: shortened(&words, MAX_DETAIL_CHARS, token),
        }
    }

    /// For a body that could not be read to its end.
    pub(super) fn nothing(why: &str) -> Said {
        Said { id: Err(why.to_owned()), status: None, is_refusal: false, code: None, words: why.to_owned() }
    }

    /// The words for a person.
    pub(super) fn detail(&self, status: u16) -> String {
        match self.words.as_str() {
            "" => format!("status {status}"),
            words => format!("status {status}: {words}"),
        }
    }

    /// The marketplace's own code, or one made of the status.
    pub(super) fn code(&self, status: u16) -> String {
        self.code.clone().unwrap_or_else(|| format!("http_{status}"))
    }
}

fn hidden_in_id(id: String, token: Option<&Token>) -> String {
    match token {
        Some(token) => token.hide_in_id(&id),
        None => id,
    }
}

/// The bids of `posting` in the answer to `GET /bids`. Bids of other postings are left out, so that a
/// marketplace that ignores the query does not make them look like ours.
///
/// What the rest of bidlock gets to see is without the token; the posting is compared as it was sent.
pub(super) fn bids(
    body: &[u8],
    posting: &PostingId,
    token: Option<&Token>,
) -> Result<Vec<RemoteBid>, String> {
    let json: Value = serde_json::from_slice(body).map_err(|why| format!("not JSON ({why})"))?;
    let list = json.get("bids").and_then(Value::as_array).ok_or("it holds no list `bids`")?;
    let mut ours = Vec::new();
    for (at, bid) in list.iter().enumerate() {
        let bid = remote_bid(bid).map_err(|why| format!("bid number {} {why}", at + 1))?;
        if bid.posting_id == posting.posting() {
            ours.push(RemoteBid {
                external_ref: hidden_in_id(bid.external_ref, token),
                status: hidden_in_id(bid.status, token),
                // A key of ours is a UUID, which is compared; anything else is nobody's to see.
                idempotency_key: bid.idempotency_key.map(|key| match key.parse::<Uuid>() {
                    Ok(_) => key,
                    Err(_) => hidden_in_id(key, token),
                }),
                ..bid
            });
        }
    }
    Ok(ours)
}

fn remote_bid(json: &Value) -> Result<RemoteBid, String> {
    let id_at = |name: &str| {
        json.get(name)
            .ok_or_else(|| format!("holds no {name}"))
            .and_then(|v| id_text(v).map_err(|why| format!("has an unusable {name}: {why}")))
    };
    let idempotency_key = match json.get("idempotency_key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key.clone()),
        Some(_) => return Err("has an idempotency_key that is not text".to_owned()),
    };
    Ok(RemoteBid {
        external_ref: id_at("id")?,
        posting_id: id_at("posting_id")?,
        idempotency_key,
        status: text_at(json, &["status"]).unwrap_or_default(),
        // A date that can't be read is no date: it only rules out finding the bid by time.
        created_at: text_at(json, &["created_at"]).and_then(|text| text.parse().ok()),
    })
}

/// An id as text. Integers are taken as they are written; a float is refused, since a large id would have
/// lost digits on its way.
fn id_text(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(n) if n.is_i64() || n.is_u64() => n.to_string(),
        Value::Number(_) => {
            return Err("the id is a number with a fraction, or too large to be exact".to_owned());
        }
        _ => return Err("the id is neither text nor a whole number".to_owned()),
    };
    if text.is_empty() {
        return Err("the id is empty".to_owned());
    }
    if text.len() > MAX_REF_BYTES || text.chars().any(char::is_control) {
        return Err(format!("the id is longer than {MAX_REF_BYTES} bytes or holds control characters"));
    }
    Ok(text)
}

fn text_at(json: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match json.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    })
}

/// On one line, without control characters and the token, at most `most` characters. The whole text is gone
/// through first, which an answer's own bound allows: a token cut in two would not be found.
fn shortened(text: &str, most: usize, token: Option<&Token>) -> String {
    let seen: String = text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
    let line = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = match token {
        Some(token) => token.hide_in(&line),
        None => line,
    };
    match line.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..2_000), text in "\\PC{0,999}") {
            for body in [&body[..], text.as_bytes()] {
                let said = Said::read(body, None);
                prop_assert!(said.detail(500).chars().count() <= MAX_DETAIL_CHARS + 20);
                let _ = (said.code(500), bids(body, &posting(), None));
            }
        }
    }

    fn posting() -> PostingId {
        PostingId::new("upwork", "1900000000000000757").unwrap()
    }

    #[test]
    fn whole_numbers_are_ids_to_the_last_digit() {
        let id = |body: &str| Said::read(body.as_bytes(), None).id;
        assert_eq!(id(r#"{"id":1900000000000000757}"#).unwrap(), "1900000000000000757");
        assert_eq!(id(r#"{"id":" b-1 "}"#).unwrap(), "b-1");
        for bad in
            [r#"{"id":1e3}"#, r#"{"id":99999999999999999999999}"#, r#"{"id":true}"#, r#"{"id":"a\u0000"}"#]
        {
            assert!(id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_read_and_bids_of_other_postings_are_left_out() {
        let body = r#"{"bids":[
            {"id":7,"posting_id":1900000000000000757,"idempotency_key":null,"status":"active"},
            {"id":"8","posting_id":"another","status":"active"},
            {"id":"9","posting_id":"1900000000000000757","idempotency_key":"k","created_at":"2026-03-01T12:00:00Z"},
            {"id":"10","posting_id":"1900000000000000757","created_at":"some day"}]}"#;
        let list = bids(body.as_bytes(), &posting(), None).unwrap();
        let refs: Vec<&str> = list.iter().map(|b| b.external_ref.as_str()).collect();
        assert_eq!(refs, ["7", "9", "10"]);
        assert_eq!(list[1].idempotency_key.as_deref(), Some("k"));
        assert!(list[1].created_at.is_some() && list[2].created_at.is_none());
        assert_eq!(bids(br#"{"bids":[]}"#, &posting(), None).unwrap(), []);
    }

    #[test]
    fn what_is_no_list_is_an_error_and_never_an_empty_list() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"bids":null}"#,
            r#"{"bids":{}}"#,
            r#"{"bids":[1]}"#,
            r#"{"bids":[{"posting_id":"p"}]}"#,
            r#"{"bids":[{"id":"1"}]}"#,
            r#"{"bids":[{"id":1.5,"posting_id":"p"}]}"#,
            r#"{"bids":[{"id":"1","posting_id":"p","idempotency_key":5}]}"#,
            r#"{"bids":[]"#,
        ] {
            assert!(bids(body.as_bytes(), &posting(), None).is_err(), "{body}");
        }
    }

    #[test]
    fn a_long_page_is_quoted_in_one_short_line() {
        let said = Said::read(format!("<html>\n{}", "ä".repeat(5_000)).as_bytes(), None);
        let detail = said.detail(500);
        assert!(detail.starts_with("status 500: <html> ä") && detail.ends_with('…'), "{detail}");
        assert!(detail.chars().count() < MAX_DETAIL_CHARS + 20 && !detail.contains('\n'));
    }

    #[test]
    fn no_part_of_the_token_is_left_whatever_is_cut() {
        const SECRET: &str = "hunter2-and-a-tail";
        let token = Token::new(SECRET).unwrap();
        for before in 0..320 {
            let text = format!("{} {SECRET} {SECRET}", "x".repeat(before));
            let blanks = format!("{}{SECRET}", " ".repeat(before + 1_000));
            for text in [text, blanks] {
                let json = serde_json::json!({"code": text, "message": text}).to_string();
                for body in [json, text.clone(), format!(r#"{{"other":"{text}"}}"#)] {
                    let said = Said::read(body.as_bytes(), Some(&token));
                    let shown = format!("{}{}", said.code(500), said.detail(500));
                    assert!(!shown.contains("hun"), "{before}: {shown}");
                }
            }
        }
        let said =
            Said::read(format!(r#"{{"id":"b-{SECRET}","status":"{SECRET}"}}"#).as_bytes(), Some(&token));
        assert_eq!((said.id.unwrap().as_str(), said.status.as_deref()), ("b-[token]", Some("[token]")));
        let body = format!(
            r#"{{"bids":[{{"id":"b-{SECRET}","posting_id":"p-{SECRET}","idempotency_key":"k {SECRET}","status":"{SECRET}"}}]}}"#
        );
        // A posting whose id holds the token is found all the same.
        let posting = PostingId::new("board", format!("p-{SECRET}")).unwrap();
        let bid = bids(body.as_bytes(), &posting, Some(&token)).unwrap().remove(0);
        assert!(!format!("{} {:?} {}", bid.external_ref, bid.idempotency_key, bid.status).contains("hun"));
        assert_eq!(bid.posting_id, posting.posting());
    }
}
