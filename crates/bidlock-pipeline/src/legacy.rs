//! The replaced system, while instances of it still run: its bids count, and ours are shown to it.
//!
//! Those instances know neither ledger nor canonical ids. They lock `bid_lock:MARKETPLACE:JOB` as their source writes
//! both, look into their table `bids`, and bid where it has no row. So, for each posting: every key that they may lock
//! is locked beside the posting's own; under these locks their table is read, and what is found there enters the
//! ledger; and our bid stands in their table before it may be sent. Where their table can't be reached, nothing is sent;
//! nor where one of those locks was lost by then, since whoever has it looked before our bid stood there.
//!
//! What a person has said of their bid stands: a posting that was freed for a new bid is not shut again by the very rows
//! that the person had before him.

use async_trait::async_trait;
use bidlock::{Attempt, Held, Lease, LeaseView, LockKey, Renewed};
pub use bidlock_ledger::LEGACY_HOLDER;
use bidlock_ledger::{
    Applied, Bid, BidBrief, BidEvent, BidFilter, BidId, BidState, Change, ClaimId, ImportOutcome, Move,
    NewImport, Page, PostingId, WallTime,
};
use uuid::Uuid;

use crate::{
    batch::Batch,
    outcome::{DeferReason, Outcome},
    pipeline::{Pipeline, PipelineError, lock_key},
};

/// How many postings are locked at once, and never more than are sent at once. Old instances try a lock once and pass on,
/// so that with the locks of a whole batch held until its last bid is sent they find nothing free. This is what goes out at
/// once by default: a lock is held for about as long as the marketplace takes to answer. It costs one more round to the
/// locks and to the old table for each so many postings.
const LOCKED_AT_ONCE: usize = 16;

/// How often a row that others move meanwhile is shut again before it counts as a fault.
const ROUNDS: usize = 8;

/// A name under which the replaced system may know a posting: nothing in it is brought into one form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegacyName {
    /// As its instances write it.
    pub marketplace: String,
    /// As its instances write it.
    pub job_id: String,
}

/// The replaced system's database can't be used: nothing is sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct LegacyError {
    /// What broke, and where.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// Whether asking again can help.
    pub retryable: bool,
}

/// Whether our bid stands in the replaced system's table.
#[derive(Clone, Debug)]
pub enum Mirrored {
    /// It does: instances of the replaced system that look now see it.
    Done,
    /// There is a bid that is not ours, and ours was not written.
    Taken(Box<NewImport>),
    /// It can't stand there under any of the names, so that no instance would pass over the posting.
    Impossible {
        /// What is in the way.
        detail: String,
    },
}

/// The replaced system's table of bids.
#[async_trait]
pub trait LegacyBids: std::fmt::Debug + Send + Sync + 'static {
    /// Reads anew how it writes marketplaces: an instance may have begun to write one in another way.
    ///
    /// # Errors
    /// It can't answer, or there are more ways than can be locked: nothing may be sent.
    async fn refresh(&self) -> Result<(), LegacyError>;

    /// The names under which it may know a posting, as of the last [`refresh`](Self::refresh), the best first, given
    /// the texts by which a source names it ([`bidlock_market::Posting::written`]). Never empty, and bounded.
    fn names(&self, posting: &PostingId, written: &[String]) -> Vec<LegacyName>;

    /// The strongest of the bids that it has under these names and that are not mirrored ones of ours; one answer a
    /// posting, in order.
    ///
    /// # Errors
    /// It can't answer: nothing may be sent.
    async fn find(
        &self,
        postings: &[(PostingId, Vec<LegacyName>)],
    ) -> Result<Vec<Option<NewImport>>, LegacyError>;

    /// Whether the rows of which this bid was made say more than these events know of: a row that is not in them, or one
    /// whose status or times are others by now.
    fn says_anything_new(&self, found: &NewImport, events: &[BidEvent]) -> bool;

    /// Writes our bid, which is not sent yet, under these names, unless there is one that is not ours: both in one
    /// transaction. The rows of which `overruled` was made are left as they are and in nobody's way: old instances pass
    /// over the posting for them. Harmless to repeat.
    ///
    /// # Errors
    /// It may or may not stand there: nothing may be sent.
    async fn mirror(
        &self,
        bid: &Bid,
        names: &[LegacyName],
        overruled: Option<&NewImport>,
    ) -> Result<Mirrored, LegacyError>;

    /// Whether some of these names, of one posting each, have no row at all; one answer a posting, in order.
    ///
    /// # Errors
    /// It can't answer.
    async fn missing(&self, postings: &[Vec<LegacyName>]) -> Result<Vec<bool>, LegacyError>;

    /// Shows these bids of ours, as they stand, under those of these names that have no row. What was not sent is left alone
    /// where an old instance has a row under any of them. Harmless to repeat.
    ///
    /// # Errors
    /// Not all of them may stand there.
    async fn show(&self, bids: Vec<(Bid, Vec<LegacyName>)>) -> Result<(), LegacyError>;

    /// Says what became of the bid that this claim mirrored; `None`: nothing was accepted, and the mirrored bid goes.
    /// Changes nothing that another claim has mirrored since.
    ///
    /// # Errors
    /// It may or may not be written. The replaced system still sees the bid that was mirrored, so nothing is unsafe.
    async fn settle(&self, claim: ClaimId, became: Option<BidState>) -> Result<(), LegacyError>;
}

impl Pipeline {
    /// The keys that keep everybody else from this posting, the posting's own first.
    pub(crate) fn keys(
        &self,
        posting: &PostingId,
        written: &[String],
    ) -> Result<Vec<LockKey>, PipelineError> {
        let mut keys = vec![lock_key(posting)?];
        let Some(legacy) = &self.options.legacy else { return Ok(keys) };
        for name in legacy.names(posting, written) {
            // A text that can't be in a key is in none of theirs either: an instance that wrote it would have a key
            // that no engine of ours can hold, and the table's row still speaks for it.
            if let Ok(key) = LockKey::verbatim(&name.marketplace, &name.job_id)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// How many postings are locked, worked on and unlocked together; the rest of a batch follows.
    pub(crate) fn locked_at_once(&self) -> usize {
        match self.options.legacy {
            Some(_) => self.options.concurrency.clamp(1, LOCKED_AT_ONCE),
            None => usize::MAX,
        }
    }

    /// Takes all the keys of each posting, or none of them: in the order of the postings, and of each one's keys.
    pub(crate) async fn try_all(
        &self,
        postings: &[Vec<LockKey>],
    ) -> Result<Vec<Result<Vec<Lease>, Held>>, PipelineError> {
        let keys: Vec<LockKey> = postings.iter().flatten().cloned().collect();
        let mut attempts = self.locks.try_lock_many(&keys).await?.into_iter();
        let (mut all, mut given_back) = (Vec::with_capacity(postings.len()), Vec::new());
        for keys in postings {
            let (mut leases, mut held) = (Vec::with_capacity(keys.len()), None);
            for attempt in attempts.by_ref().take(keys.len()) {
                match attempt {
                    Attempt::Acquired(lease) => leases.push(lease),
                    Attempt::Held(other) => held = held.or(Some(other)),
                }
            }
            all.push(match held {
                None => Ok(leases),
                Some(other) => {
                    given_back.append(&mut leases);
                    Err(other)
                }
            });
        }
        if !given_back.is_empty()
            && let Err(error) = self.locks.release_many(given_back).await
        {
            tracing::warn!(%error, "locks could not be released; they expire by their TTL");
        }
        Ok(all)
    }

    /// Reads the replaced system's table for postings that are locked. What it has enters the ledger, and is a bid
    /// already.
    pub(crate) async fn ask_the_legacy(
        &self,
        batch: &mut Batch<'_>,
        held: Vec<(usize, Option<BidBrief>)>,
    ) -> Result<Vec<(usize, Option<BidBrief>)>, PipelineError> {
        let Some(legacy) = self.options.legacy.clone().filter(|_| !held.is_empty()) else { return Ok(held) };
        let asked = held.iter().map(|(index, _)| {
            let posting = batch.posting(*index);
            (posting.id.clone(), legacy.names(&posting.id, batch.written(*index)))
        });
        let found = legacy.find(&asked.collect::<Vec<_>>()).await?;
        let mut open = Vec::with_capacity(held.len());
        for ((index, approved), found) in held.into_iter().zip(found) {
            if batch.has_too_many_texts(index) {
                let detail = "more texts name this posting than can be locked together".to_owned();
                batch.settle(index, Outcome::Deferred(DeferReason::LegacyAway { detail }));
                continue;
            }
            match found {
                Some(found) if !self.is_overruled(&*legacy, &found).await? => {
                    batch.settle(index, self.legacy_outcome(found).await?);
                }
                _ => open.push((index, approved)),
            }
        }
        Ok(open)
    }

    /// Shows bids of ours, which stand in the replaced system's table, under the names by which a source writes their
    /// postings now: a bid knows only those of its own time.
    ///
    /// # Errors
    /// The table or the ledger can't be reached.
    pub(crate) async fn show_under_new_names(&self, batch: &Batch<'_>) -> Result<(), PipelineError> {
        let Some(legacy) = self.options.legacy.as_ref().filter(|_| self.marketplace.capabilities().sends)
        else {
            return Ok(());
        };
        let ours = batch.already_bid().filter(|(index, bid)| {
            bid.holder != LEGACY_HOLDER && is_shown(bid.state) && !batch.has_too_many_texts(*index)
        });
        let (ids, named): (Vec<BidId>, Vec<Vec<LegacyName>>) = ours
            .map(|(index, bid)| (bid.id, legacy.names(&batch.posting(index).id, batch.written(index))))
            .unzip();
        if named.is_empty() {
            return Ok(());
        }
        let mut bids = Vec::new();
        let missing = legacy.missing(&named).await?;
        for ((id, names), _) in ids.into_iter().zip(named).zip(missing).filter(|(_, missing)| *missing) {
            // What the sighting was answered with may be of long ago.
            match self.ledger.bid(id).await? {
                Some(bid) if is_shown(bid.state) && !bid.rebid_allowed => bids.push((bid, names)),
                _ => {}
            }
        }
        if bids.is_empty() { Ok(()) } else { Ok(legacy.show(bids).await?) }
    }

    /// Whether a person has freed the posting for a new bid, knowing all that the old rows say.
    async fn is_overruled(&self, legacy: &dyn LegacyBids, found: &NewImport) -> Result<bool, PipelineError> {
        let known = freed_by_a_person(&*self.ledger, &found.posting).await?;
        Ok(!known.is_empty() && !legacy.says_anything_new(found, &known))
    }

    /// A bid of the replaced system, as this scanner answers it. A dry run writes no row.
    async fn legacy_outcome(&self, found: NewImport) -> Result<Outcome, PipelineError> {
        if !self.marketplace.capabilities().sends {
            return Ok(Outcome::AlreadyBid(unrecorded(&found)));
        }
        let bid = bring_in(&*self.ledger, found).await?;
        let brief = bid.brief();
        self.cache.remember(&bid.posting, &brief, self.clock.now());
        Ok(Outcome::AlreadyBid(brief))
    }

    /// Before the door: our bid stands in the replaced system's table, and every key is still ours after that. Answers an
    /// outcome where that can't be.
    ///
    /// # Errors
    /// The table or the locks can't be reached: the claim is handed back, and nothing was sent.
    pub(crate) async fn show_to_the_legacy(
        &self,
        bid: &Bid,
        written: &[String],
        leases: &[LeaseView],
    ) -> Result<Option<Outcome>, PipelineError> {
        let Some(legacy) = &self.options.legacy else { return Ok(None) };
        match self.mirror(&**legacy, bid, &legacy.names(&bid.posting, written)).await {
            Ok(Mirrored::Done) => {}
            Ok(Mirrored::Taken(found)) => {
                tell_whose_locks_failed(bid, leases).await;
                return match self.legacy_outcome(*found).await {
                    Ok(outcome) => Ok(Some(outcome)),
                    Err(error) => self.leave_for(bid, error).await,
                };
            }
            Ok(Mirrored::Impossible { detail }) => {
                return self.leave(bid, DeferReason::LegacyAway { detail }).await.map(Some);
            }
            Err(error) => return self.leave_for(bid, error).await,
        }
        let (why, error) = match lost(leases).await {
            Ok(None) => return Ok(None),
            Ok(Some(key)) => (DeferReason::LockLost { key }, None),
            Err(error) => (DeferReason::LockLost { key: bid.posting.to_string() }, Some(error)),
        };
        let left = self.leave(bid, why).await?;
        self.tell_the_legacy(bid, &left).await;
        error.map_or(Ok(Some(left)), |error| Err(error.into()))
    }

    /// Writes the bid into the replaced system's table, also beside rows that a person has overruled.
    async fn mirror(
        &self,
        legacy: &dyn LegacyBids,
        bid: &Bid,
        names: &[LegacyName],
    ) -> Result<Mirrored, PipelineError> {
        match legacy.mirror(bid, names, None).await? {
            Mirrored::Taken(found) if self.is_overruled(legacy, &found).await? => {
                Ok(legacy.mirror(bid, names, Some(&found)).await?)
            }
            mirrored => Ok(mirrored),
        }
    }

    /// Hands back a claim that this broke, so that nobody has to wait until it expires.
    async fn leave_for(&self, bid: &Bid, error: PipelineError) -> Result<Option<Outcome>, PipelineError> {
        self.leave(bid, DeferReason::LegacyAway { detail: error.to_string() }).await?;
        Err(error)
    }

    /// After the door: what became of the bid. The replaced system sees it in any case, so a failure is told and no
    /// more.
    pub(crate) async fn tell_the_legacy(&self, before: &Bid, outcome: &Outcome) {
        let Some(legacy) = &self.options.legacy else { return };
        let claim = before.claim_id;
        let became = match outcome {
            Outcome::Submitted(_) => Some(BidState::Submitted),
            Outcome::Refused { .. } => Some(BidState::Rejected),
            Outcome::Unknown { .. } => Some(BidState::Unknown),
            // An approved bid is not this scanner's alone: another may be sending it, and somebody will.
            Outcome::Deferred(_) if before.state == BidState::Approved => return,
            Outcome::Deferred(_) => match self.ledger.bid(before.id).await {
                // Handed back: with proof that nothing was accepted, or before the door.
                Ok(Some(row)) if row.claim_id == claim && row.state == BidState::Abandoned => None,
                // Somebody knew better while we were about to hand it back, and the ledger refused.
                Ok(Some(row)) if row.claim_id == claim && row.state.may_have_arrived() => Some(row.state),
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, %claim, "what became of a bid is not known; the replaced system still sees it");
                    return;
                }
            },
            // Another claim has the row now, and has mirrored it.
            _ => return,
        };
        if let Err(error) = legacy.settle(claim, became).await {
            tracing::warn!(%error, %claim, "the replaced system's table was not brought up to date; it still shows our bid");
        }
    }
}

/// The first of these that is not ours any more. The store is asked: what this process believes may have been overtaken.
async fn lost(leases: &[LeaseView]) -> bidlock::Result<Option<String>> {
    for lease in leases {
        if lease.renew().await? == Renewed::Lost {
            return Ok(Some(lease.key().to_string()));
        }
    }
    Ok(None)
}

/// An old instance wrote its bid between our look and our row, though every lock of the posting was ours: it keeps to
/// other locks, or slept longer than its own lived.
async fn tell_whose_locks_failed(bid: &Bid, leases: &[LeaseView]) {
    if !leases.is_empty() && matches!(lost(leases).await, Ok(None)) {
        tracing::warn!(
            posting = %bid.posting,
            "an old instance bid on a posting while we held all of its locks: does it lock on the same server and \
             database number as this scan? If it does, it slept for longer than its lock lived"
        );
    }
}

/// What the ledger knows of bids on this posting that a person has said were never accepted, and has freed for a new
/// bid: their events. None where there is no such bid.
///
/// # Errors
/// The ledger can't answer.
pub async fn freed_by_a_person(
    ledger: &dyn bidlock_ledger::LedgerStore,
    posting: &PostingId,
) -> Result<Vec<BidEvent>, PipelineError> {
    let filter = BidFilter {
        marketplace: Some(posting.marketplace().to_owned()),
        posting: Some(posting.posting().to_owned()),
        states: vec![BidState::NotSubmitted],
        ..BidFilter::default()
    };
    let mut events = Vec::new();
    // A page: a posting on which a person has freed more bids than that is no posting.
    for bid in ledger.list(&filter, &Page::default()).await? {
        if bid.rebid_allowed {
            events.append(&mut ledger.history(bid.id).await?);
        }
    }
    Ok(events)
}

/// Brings a bid of the replaced system into the ledger. A row of ours that could still be sent is shut by it.
///
/// # Errors
/// The ledger failed, or others move the row again and again.
pub async fn bring_in(
    ledger: &dyn bidlock_ledger::LedgerStore,
    found: NewImport,
) -> Result<Bid, PipelineError> {
    let posting = found.posting.clone();
    for _ in 0..ROUNDS {
        let Some(outcome) = ledger.import(std::slice::from_ref(&found)).await?.pop() else { break };
        let existing = match outcome {
            ImportOutcome::Imported(bid) => return Ok(*bid),
            ImportOutcome::Existing(bid) => *bid,
        };
        if !can_be_sent(existing.state) {
            return Ok(existing);
        }
        let change = Change::new(existing.claim_ref(), found.actor.clone(), Move::Import)
            .because(found.reason.clone())
            .with_detail(found.detail.clone());
        if let Some(Applied::Moved { bid, .. } | Applied::Already(bid)) = ledger.apply(&[change]).await?.pop()
        {
            return Ok(*bid);
        }
    }
    Err(PipelineError::Invariant(format!("the bid on {posting} moves again and again under an import")))
}

/// Whether the replaced system is to see a bid in this state: it was sent, may have been, or may yet be.
pub fn is_shown(state: BidState) -> bool {
    !matches!(state, BidState::Declined | BidState::Abandoned | BidState::NotSubmitted)
}

/// The states that [`Move::Import`] shuts.
pub fn can_be_sent(state: BidState) -> bool {
    bidlock_ledger::state::rules_for(bidlock_ledger::Action::Import).any(|rule| rule.from == state)
}

/// A bid that only the replaced system knows: without a name in the ledger.
fn unrecorded(found: &NewImport) -> BidBrief {
    BidBrief {
        id: BidId(Uuid::nil()),
        state: found.state,
        claim_id: ClaimId(Uuid::nil()),
        holder: LEGACY_HOLDER.to_owned(),
        claim_remaining: None,
        created_at: found.sent_at.unwrap_or(WallTime(0)),
    }
}
