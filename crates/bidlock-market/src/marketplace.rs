//! What bidlock needs from a marketplace: submit a bid, look our bids up, withdraw one.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use bidlock_ledger::{Money, PostingId};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

/// How much earlier than our own sending time a bid may be dated by the marketplace and still count as
/// ours, when it echoes no keys. Two hosts that both run NTP are seconds apart; two minutes also admit a
/// host that does not, and are still shorter than any honest pause between two bids on one posting.
pub const CLOCK_ALLOWANCE: SignedDuration = SignedDuration::from_mins(2);

/// One marketplace, as one submits through it. The minimum that an implementor writes; nothing here
/// repeats a call, keeps state between calls, or knows the ledger.
///
/// Guaranteed by every implementation: one call of [`submit`](Self::submit) lets at most one request
/// leave, and an answer that proves that nothing was accepted is given only where it does prove it.
#[async_trait]
pub trait Marketplace: Debug + Send + Sync + 'static {
    /// How it names itself in the ledger, such as `http:http://127.0.0.1:8080` or `dry-run`. Never holds
    /// credentials.
    fn via(&self) -> &str;

    /// What it can do. Constant for the life of the value.
    fn capabilities(&self) -> Capabilities;

    /// The time limit of one [`submit`](Self::submit) call, from the first connection attempt to the last
    /// byte of the answer. It must be shorter than the claim's TTL, which the caller checks.
    fn time_limit(&self) -> Duration;

    /// Sends one bid, once. The caller has passed the one-way door before; whatever is not proof in the
    /// answer is [`Answer::Lost`].
    async fn submit(&self, submission: &Submission) -> Answer;

    /// Our bids on one posting, as the marketplace tells now. An empty list is never proof that nothing was
    /// accepted: a request may still be under way, and the list may be stale.
    ///
    /// # Errors
    /// Whatever is not a readable list of bids, so that a fault never looks like an empty list.
    async fn look_up(&self, posting: &PostingId) -> Result<Vec<RemoteBid>, LookUpError>;

    /// Asks for the withdrawal of one bid, by the id that the marketplace gave it. Asking again is harmless.
    async fn withdraw(&self, external_ref: &str) -> WithdrawAnswer;
}

/// What a marketplace can do, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// A second bid on one posting is refused. A second line of defence only.
    pub refuses_duplicates: bool,
    /// Our bids can be looked up, so that `unknown` can be settled without a person.
    pub looks_up: bool,
    /// A repeated idempotency key gets the first answer again. Nothing in bidlock relies on it.
    pub honours_idempotency_key: bool,
    /// Whether a person decides before a bid is sent.
    pub approval: Approval,
    /// False for a dry run: [`Marketplace::submit`] must not be called, and no bid is to be recorded.
    pub sends: bool,
}

/// Whether a marketplace's rules let software bid by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Bids may be sent without a person's decision.
    NotNeeded,
    /// A person decides about each bid, unless the owner has configured otherwise.
    ByDefault,
}

/// One bid to send: its frozen payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// What is bid on.
    pub posting: PostingId,
    /// The bid in the ledger.
    pub bid_id: Uuid,
    /// The same for every sending of this bid, and for no other bid.
    pub idempotency_key: Uuid,
    /// The amount, where the posting or a rule gave one.
    pub amount: Option<Money>,
    /// The text of the proposal; may be empty.
    pub proposal: String,
    /// The posting's public page.
    pub posting_url: Option<String>,
}

/// What became of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The marketplace has the bid, under its own id.
    Accepted {
        /// The marketplace's id of the bid.
        external_ref: String,
    },
    /// The marketplace says that a bid exists already (409). Look it up.
    Duplicate {
        /// What it said.
        detail: String,
    },
    /// A no for good: nothing was accepted and the same bid never will be.
    Refused {
        /// The marketplace's own code, or `http_404` and the like.
        code: String,
        /// What it said.
        detail: String,
    },
    /// Not now; nothing was accepted, the same bid may be sent again later.
    TryLater {
        /// How long the marketplace asks to wait, where it says so.
        after: Option<Duration>,
        /// What it said.
        detail: String,
    },
    /// The account may not bid (401, 402, 403): nothing was accepted, and sending stops.
    Stop {
        /// The marketplace's own code, or `http_401` and the like.
        code: String,
        /// What it said.
        detail: String,
    },
    /// There is nothing that takes this bid (404, 405 or 410 without the contract's own words): nothing was accepted.
    /// Where no marketplace has answered at the address yet it is taken for mistyped, and sending stops before more
    /// postings are asked for in vain; where one has, this posting alone waits.
    NotHere {
        /// Which address, and what it said.
        detail: String,
    },
    /// It failed before the first byte of the request could leave: nothing was accepted.
    NotSent {
        /// What failed.
        detail: String,
    },
    /// The request may have arrived. Only a look-up, or a person, can tell.
    Lost {
        /// In what way the answer was lost.
        cause: LostCause,
        /// What was seen.
        detail: String,
    },
}

impl Answer {
    /// Whether this proves that the marketplace accepted nothing from this sending.
    pub fn proves_not_accepted(&self) -> bool {
        match self {
            Answer::Refused { .. }
            | Answer::TryLater { .. }
            | Answer::Stop { .. }
            | Answer::NotHere { .. }
            | Answer::NotSent { .. } => true,
            Answer::Accepted { .. } | Answer::Duplicate { .. } | Answer::Lost { .. } => false,
        }
    }

    /// Whether only a marketplace that speaks our contract says this: whoever hears it knows that the address is right. A
    /// server of something else may answer any status; these it has no reason for.
    pub fn is_a_marketplaces(&self) -> bool {
        match self {
            Answer::Accepted { .. } | Answer::Duplicate { .. } | Answer::TryLater { .. } => true,
            // A code of its own, and not one that stands for a bare status.
            Answer::Refused { code, .. } => !code.starts_with("http_"),
            Answer::Stop { .. } | Answer::NotHere { .. } | Answer::NotSent { .. } | Answer::Lost { .. } => {
                false
            }
        }
    }
}

/// In what way an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCause {
    /// No complete answer within the time limit.
    Timeout,
    /// The connection broke after something may have left.
    ConnectionLost,
    /// A redirect, which is never followed.
    Redirect,
    /// 5xx, or another status that proves nothing.
    ServerError,
    /// It says yes, but in no readable way.
    UnreadableAnswer,
}

/// One bid of ours, as the marketplace lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteBid {
    /// The marketplace's id of the bid.
    pub external_ref: String,
    /// The posting, as the marketplace writes it.
    pub posting_id: String,
    /// The idempotency key, where the marketplace keeps and shows it.
    pub idempotency_key: Option<String>,
    /// The marketplace's word for the state of the bid; empty where it says none.
    pub status: String,
    /// When the marketplace says that it was made.
    pub created_at: Option<Timestamp>,
}

/// The place behind the name of a marketplace in the ledger, for people: `http://127.0.0.1:8080` of
/// `http:http://127.0.0.1:8080`. A name without a URL is its own.
pub fn place_of(via: &str) -> &str {
    via.split_once(':').map(|(_, place)| place).filter(|place| place.contains("://")).unwrap_or(via)
}

/// Why a look-up has no list to show. In none of these cases is anything known about our bids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookUpError {
    /// It can't be reached: nothing is there, or the way is closed.
    #[error(
        "look-up at {} failed: {detail}; check that the marketplace is reachable, then run `bidlock reconcile` again",
        place_of(via)
    )]
    Unreachable {
        /// The marketplace.
        via: String,
        /// What failed.
        detail: String,
    },
    /// It was reached, and gave no whole answer: too slow, or the connection broke.
    #[error("look-up at {} was not answered: {detail}; run `bidlock reconcile` again", place_of(via))]
    Unanswered {
        /// The marketplace.
        via: String,
        /// What happened.
        detail: String,
    },
    /// It asks to wait.
    #[error("look-up at {} must wait: {detail}", place_of(via))]
    TryLater {
        /// The marketplace.
        via: String,
        /// How long, where it says so.
        after: Option<Duration>,
        /// What it said.
        detail: String,
    },
    /// It answered with a status that carries no list.
    #[error("look-up at {} was answered with status {status}: {detail}", place_of(via))]
    Status {
        /// The marketplace.
        via: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// The list can't be read.
    #[error("look-up at {} gave an answer that can't be read: {detail}", place_of(via))]
    Unreadable {
        /// The marketplace.
        via: String,
        /// What is wrong with it.
        detail: String,
    },
    /// This marketplace has no look-up.
    #[error("{} has no look-up; settle the bid by hand with `bidlock bid resolve`", place_of(via))]
    Unsupported {
        /// The marketplace.
        via: String,
    },
}

/// What became of one request to withdraw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WithdrawAnswer {
    /// The bid is withdrawn, now or already before.
    Withdrawn,
    /// The marketplace knows no such bid.
    NotFound {
        /// What it said.
        detail: String,
    },
    /// The bid stays; it is submitted as before, or already decided.
    Refused {
        /// The marketplace's own code, or `http_409` and the like.
        code: String,
        /// What it said.
        detail: String,
        /// The state that the marketplace names in its refusal, such as `won`.
        status: Option<String>,
    },
    /// Nothing was changed; ask again later. Also an account that may not act, or a marketplace that could
    /// not be reached.
    TryLater {
        /// How long to wait, where it says so.
        after: Option<Duration>,
        /// What it said.
        detail: String,
    },
    /// The withdrawal may have happened; ask again.
    Lost {
        /// In what way the answer was lost.
        cause: LostCause,
        /// What was seen.
        detail: String,
    },
    /// This marketplace withdraws nothing by request.
    Unsupported,
}

/// The bid among `remote` (our bids on one posting) that the sending with `key` made, if any.
///
/// By key where the marketplace echoes keys: as soon as one bid shows a key, only an equal key counts.
/// Where none is echoed, by time: the first bid made at `sent_at` or later, less [`CLOCK_ALLOWANCE`]. A bid
/// of `earlier_refs` (withdrawn ones of ours) is never the one, nor is one without a date, nor anything by
/// time when `sent_at` is not known. `None` is not proof that nothing was accepted.
pub fn find_ours<'a>(
    remote: &'a [RemoteBid],
    key: Uuid,
    sent_at: Option<Timestamp>,
    earlier_refs: &[String],
) -> Option<&'a RemoteBid> {
    let mut candidates = remote.iter().filter(|bid| !earlier_refs.contains(&bid.external_ref));
    if remote.iter().any(|bid| bid.idempotency_key.is_some()) {
        return candidates.find(|bid| {
            // Parsed, so that upper case or braces around the same key do not hide it.
            bid.idempotency_key.as_deref().and_then(|text| Uuid::parse_str(text.trim()).ok()) == Some(key)
        });
    }
    // An overflow can only be before the first timestamp there is, which excludes nothing.
    let from = sent_at?.checked_sub(CLOCK_ALLOWANCE).unwrap_or(Timestamp::MIN);
    candidates
        .filter_map(|bid| bid.created_at.map(|at| (at, bid)))
        .filter(|(at, _)| *at >= from)
        .min_by_key(|(at, _)| *at)
        .map(|(_, bid)| bid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "2026-03-01T12:00:00Z";

    fn bid(external_ref: &str, key: Option<&str>, created_at: Option<&str>) -> RemoteBid {
        RemoteBid {
            external_ref: external_ref.to_owned(),
            posting_id: "p1".to_owned(),
            idempotency_key: key.map(str::to_owned),
            status: "active".to_owned(),
            created_at: created_at.map(|at| at.parse().unwrap()),
        }
    }

    fn found(remote: &[RemoteBid], sent_at: Option<&str>, earlier: &[&str]) -> Option<String> {
        let earlier: Vec<String> = earlier.iter().map(|r| (*r).to_owned()).collect();
        let sent_at = sent_at.map(|at| at.parse().unwrap());
        find_ours(remote, Uuid::from_u128(7), sent_at, &earlier).map(|b| b.external_ref.clone())
    }

    #[test]
    fn an_equal_key_is_ours_whatever_the_time_and_the_spelling() {
        let ours = Uuid::from_u128(7).to_string().to_uppercase();
        let other = Uuid::from_u128(8).to_string();
        let remote =
            [bid("1", Some(&other), Some(SENT)), bid("2", Some(&ours), Some("2001-01-01T00:00:00Z"))];
        assert_eq!(found(&remote, Some(SENT), &[]).as_deref(), Some("2"));
        assert_eq!(found(&remote, None, &[]).as_deref(), Some("2"));
    }

    #[test]
    fn where_keys_are_echoed_time_says_nothing() {
        let other = Uuid::from_u128(8).to_string();
        let remote = [bid("1", Some(&other), Some(SENT)), bid("by hand", None, Some(SENT))];
        assert_eq!(found(&remote, Some(SENT), &[]), None);
        assert_eq!(found(&[bid("1", Some("no key at all"), Some(SENT))], Some(SENT), &[]), None);
    }

    #[test]
    fn without_keys_the_first_bid_since_the_sending_is_ours() {
        let remote = [
            bid("no date", None, None),
            bid("before", None, Some("2026-03-01T11:57:59Z")),
            bid("later", None, Some("2026-03-01T12:30:00Z")),
            bid("within the allowance", None, Some("2026-03-01T11:58:00Z")),
        ];
        assert_eq!(found(&remote, Some(SENT), &[]).as_deref(), Some("within the allowance"));
        assert_eq!(found(&remote[..2], Some(SENT), &[]), None);
        assert_eq!(found(&remote, None, &[]), None);
    }

    #[test]
    fn an_earlier_withdrawn_bid_of_ours_is_never_the_one() {
        let key = Uuid::from_u128(7).to_string();
        let by_time = [bid("withdrawn", None, Some(SENT))];
        assert_eq!(found(&by_time, Some(SENT), &["withdrawn"]), None);
        let by_key = [bid("withdrawn", Some(&key), Some(SENT)), bid("now", Some(&key), Some(SENT))];
        assert_eq!(found(&by_key, Some(SENT), &["withdrawn"]).as_deref(), Some("now"));
        assert_eq!(found(&by_key[..1], Some(SENT), &["withdrawn"]), None);
    }

    #[test]
    fn a_place_is_shown_once() {
        for (via, place) in [
            ("http:http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http:https://bids.example/v1", "https://bids.example/v1"),
            ("https://bids.example", "https://bids.example"),
            ("dry-run", "dry-run"),
            ("", ""),
        ] {
            assert_eq!(place_of(via), place);
        }
        let error = LookUpError::Unsupported { via: "http:http://h".to_owned() }.to_string();
        assert!(error.starts_with("http://h has no look-up"), "{error}");
    }

    #[test]
    fn only_answers_that_prove_it_count_as_not_accepted() {
        let detail = String::new;
        for (answer, proof) in [
            (Answer::Accepted { external_ref: "1".to_owned() }, false),
            (Answer::Duplicate { detail: detail() }, false),
            (Answer::Lost { cause: LostCause::Timeout, detail: detail() }, false),
            (Answer::Refused { code: detail(), detail: detail() }, true),
            (Answer::TryLater { after: None, detail: detail() }, true),
            (Answer::Stop { code: detail(), detail: detail() }, true),
            (Answer::NotHere { detail: detail() }, true),
            (Answer::NotSent { detail: detail() }, true),
        ] {
            assert_eq!(answer.proves_not_accepted(), proof, "{answer:?}");
        }
    }
}
