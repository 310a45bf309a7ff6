//! The ledger of the simulation: the ledger in memory behind a network that fails.

use std::sync::Arc;

use async_trait::async_trait;
use bidlock_ledger::{
    Applied, Bid, BidEvent, BidFilter, BidId, BidState, Change, ClaimOutcome, Claimant, ErrorKind, Health,
    ImportOutcome, LedgerError, LedgerId, LedgerStore, Liveness, MemoryLedger, NewClaim, NewImport, NewNote,
    Note, Page, PostingId, Result, Standing, Swept, WallTime,
};
use futures::FutureExt;

use crate::{
    body::Body,
    history::Happening,
    world::{Engine, Fate, World},
};

/// One process's connection to the ledger.
#[derive(Debug)]
pub(crate) struct SimLedger {
    pub(crate) store: MemoryLedger,
    pub(crate) body: Arc<Body>,
}

impl SimLedger {
    /// A call that is done at once, late, or never; and its answer, if that comes back.
    async fn call<T, F>(
        &self,
        operation: &'static str,
        work: impl FnOnce(MemoryLedger, Arc<World>) -> F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let fate = self.body.call(Engine::Ledger).await;
        let world = Arc::clone(&self.body.world);
        let lost = || LedgerError::new(ErrorKind::Unavailable, operation, "the call failed").maybe_applied();
        match fate {
            Fate::NotApplied => {
                self.body.answer().await;
                Err(lost())
            }
            Fate::Late(millis) => {
                let work = work(self.store.clone(), Arc::clone(&world)).map(drop).boxed();
                world.do_later(millis, work);
                self.body.answer().await;
                Err(lost())
            }
            Fate::Done | Fate::ReplyLost => {
                let answer = work(self.store.clone(), world).await;
                self.body.answer().await;
                if fate == Fate::ReplyLost { Err(lost()) } else { answer }
            }
        }
    }
}

#[async_trait]
impl LedgerStore for SimLedger {
    fn ledger_id(&self) -> LedgerId {
        self.store.ledger_id()
    }

    async fn standing(&self, postings: &[PostingId]) -> Result<Vec<Standing>> {
        let postings = postings.to_vec();
        self.call("standing", move |store, _| async move { store.standing(&postings).await }).await
    }

    async fn claim(&self, requests: &[NewClaim]) -> Result<Vec<ClaimOutcome>> {
        let requests = requests.to_vec();
        let work = move |store: MemoryLedger, world: Arc<World>| async move {
            let answers = store.claim(&requests).await?;
            for (request, answer) in requests.iter().zip(&answers) {
                if let ClaimOutcome::Granted(claim) = answer {
                    world.tell(Happening::Claimed {
                        holder: request.claimant.holder.clone(),
                        bid: claim.bid.id,
                        claim: claim.bid.claim_id,
                        epoch: claim.bid.epoch.0,
                    });
                }
            }
            Ok(answers)
        };
        self.call("claim", work).await
    }

    async fn import(&self, bids: &[NewImport]) -> Result<Vec<ImportOutcome>> {
        let bids = bids.to_vec();
        self.call("import", move |store, _| async move { store.import(&bids).await }).await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        let changes = changes.to_vec();
        let work = move |store: MemoryLedger, world: Arc<World>| async move {
            let answers = store.apply(&changes).await?;
            for (change, answer) in changes.iter().zip(&answers) {
                if let Applied::Moved { bid, .. } = answer {
                    world.tell(Happening::Moved {
                        actor: change.actor.0.clone(),
                        bid: bid.id,
                        action: change.action.action(),
                        to: bid.state,
                        named: change.at.claim,
                        claim: bid.claim_id,
                        claimant: bid.claimant.holder.clone(),
                    });
                }
            }
            Ok(answers)
        };
        self.call("apply", work).await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept> {
        self.call("sweep", move |store, _| async move { store.sweep(limit).await }).await
    }

    async fn bid(&self, id: BidId) -> Result<Option<Bid>> {
        self.call("bid", move |store, _| async move { store.bid(id).await }).await
    }

    async fn list(&self, filter: &BidFilter, page: &Page) -> Result<Vec<Bid>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.call("list", move |store, _| async move { store.list(&filter, &page).await }).await
    }

    async fn count(&self, filter: &BidFilter) -> Result<Vec<(BidState, u64)>> {
        let filter = filter.clone();
        self.call("count", move |store, _| async move { store.count(&filter).await }).await
    }

    async fn history(&self, id: BidId) -> Result<Vec<BidEvent>> {
        self.call("history", move |store, _| async move { store.history(id).await }).await
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        let name = name.to_owned();
        self.call("note", move |store, _| async move { store.note(&name).await }).await
    }

    async fn write_note(&self, note: &NewNote) -> Result<bool> {
        let note = note.clone();
        self.call("write a note", move |store, _| async move { store.write_note(&note).await }).await
    }

    async fn sent_since(&self, marketplace: &str, since: WallTime) -> Result<u64> {
        let marketplace = marketplace.to_owned();
        self.call("sent_since", move |store, _| async move { store.sent_since(&marketplace, since).await })
            .await
    }

    async fn liveness(&self, claimant: &Claimant) -> Result<Liveness> {
        self.store.liveness(claimant).await
    }

    async fn check(&self) -> Result<Health> {
        self.store.check().await
    }
}
