//! What operators and shutdown ask of a manager.

use super::LockManager;
use crate::audit::{Actor, AuditRecord};
use crate::backend::{Grant, Health, HeldLock, KeyFilter, MAX_BATCH, MAX_PAGE, Page, Released};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LockKey;
use crate::lease::Ended;

/// How many pages a clean-up of the fleet goes through at the most: locks that are taken meanwhile must not keep it
/// going for ever.
const MAX_CLEANUP_PAGES: usize = 10_000;

/// Whose locks [`LockManager::cleanup_all`] frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupScope {
    /// Those that this manager holds.
    Own,
    /// Everybody's: holders find their leases lost.
    Fleet {
        /// Must be `true`, so that nobody frees the fleet's locks by a default.
        force: bool,
    },
}

impl LockManager {
    /// The live locks that match, ordered by key.
    ///
    /// # Errors
    /// The store broke.
    pub async fn inspect(&self, filter: KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        self.inner.usable("inspect")?;
        self.inner.backend.inspect(&filter, page).await
    }

    /// Frees a lock whoever holds it. Its holder learns of it at its next renewal, and may be at work until then:
    /// the ledger, not the lock, keeps a second bid out. Logged as a warning under the target `bidlock::audit`, and
    /// kept in [`LockManager::audit_trail`].
    ///
    /// # Errors
    /// The store broke; the lock may have been freed.
    pub async fn force_release(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        self.inner.usable("force_release")?;
        let released = self.inner.backend.force_release(key, by).await?;
        let at = self.inner.clock.wall();
        let record = AuditRecord { key: key.clone(), actor: by.clone(), released, at };
        self.inner.audit.record(self.inner.name, record);
        Ok(released)
    }

    /// The last forced releases of this manager, oldest first.
    pub fn audit_trail(&self) -> Vec<AuditRecord> {
        self.inner.audit.records()
    }

    /// Frees all locks in the scope and says how many were freed. Leases that are freed count as ended, not as lost.
    ///
    /// # Errors
    /// The store broke, or the fleet was meant without `force`.
    pub async fn cleanup_all(&self, scope: CleanupScope) -> Result<usize> {
        self.inner.usable("cleanup_all")?;
        match scope {
            CleanupScope::Own => self.release_own().await,
            CleanupScope::Fleet { force: false } => {
                let message = "this would free every lock of every instance";
                Err(Error::new(ErrorKind::Invalid, self.inner.name, "cleanup_all", message)
                    .with_hint("say `force` if that is meant"))
            }
            CleanupScope::Fleet { force: true } => self.release_fleet().await,
        }
    }

    /// Whether the store answers, and how well.
    ///
    /// # Errors
    /// It does not.
    pub async fn check(&self) -> Result<Health> {
        self.inner.usable("check")?;
        self.inner.backend.check().await
    }

    /// Releases what is held, finishes the releases that are under way and stops the background work. Later calls
    /// of this manager are refused; leases that are still about count as ended. Returns how many locks were freed.
    ///
    /// # Errors
    /// The store broke: what is still held ends with its TTL.
    pub async fn shutdown(&self) -> Result<usize> {
        if !self.inner.close() {
            return Ok(0);
        }
        if let Some(renewer) = &self.inner.renewer {
            renewer.stop();
        }
        let freed = self.release_own().await;
        self.inner.releaser.flush(&self.inner.backend, &self.inner.clock).await;
        freed
    }

    async fn release_own(&self) -> Result<usize> {
        let held = self.inner.holdings.snapshot();
        let grants: Vec<Grant> = held
            .iter()
            .filter(|lease| !lease.is_over(&self.inner) && lease.finish(&self.inner) == Ended::Now)
            .map(|lease| lease.grant.clone())
            .collect();
        let mut pending = super::inner::InFlight::releases(&self.inner, grants);
        let mut freed = 0;
        while let Some(batch) = pending.next_batch(MAX_BATCH) {
            let released = self.inner.backend.release(batch).await?;
            let count = batch.len();
            pending.batch_done(count);
            freed += released.iter().filter(|found| **found == Released::Released).count();
        }
        Ok(freed)
    }

    async fn release_fleet(&self) -> Result<usize> {
        let by = Actor::new(self.inner.holder.as_str(), "clean-up of the whole fleet's locks")?;
        let mut page = Page::first(MAX_PAGE);
        let mut freed = 0;
        for _ in 0..MAX_CLEANUP_PAGES {
            let locks = self.inner.backend.inspect(&KeyFilter::all(), page.clone()).await?;
            let Some(last) = locks.last() else { break };
            page = Page::after(&last.key, MAX_PAGE);
            for lock in &locks {
                let released = self.force_release(&lock.key, &by).await?;
                freed += usize::from(released == Released::Released);
            }
        }
        Ok(freed)
    }
}
