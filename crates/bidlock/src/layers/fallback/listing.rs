//! What operators ask: both engines answer, since either may hold locks.

use super::switch::Using;
use super::{Fallback, is_away};
use crate::audit::Actor;
use crate::backend::{Health, HeldLock, KeyFilter, Page, Released};
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::key::LockKey;

impl Fallback {
    /// The locks of both, by key. A key that is held in both stands there twice, but where a page ends between them.
    pub(super) async fn list(&self, filter: &KeyFilter, page: Page) -> Result<Vec<HeldLock>> {
        let turn = self.turn();
        let primary = self.0.primary.inspect(filter, page.clone()).await;
        let secondary = self.0.secondary.inspect(filter, page.clone()).await;
        let mut locks = match (primary, secondary) {
            (Ok(mut first), Ok(second)) => {
                first.extend(second);
                first
            }
            (Err(error), Ok(locks)) if is_away(&error) => {
                self.go_over(turn, &error);
                locks
            }
            (Ok(locks), Err(error)) if turn.using == Using::Primary => {
                tracing::warn!(%error, "the locks of the engine that stands in are not shown");
                locks
            }
            (Err(first), Err(second)) if is_away(&first) => return Err(self.neither(second, &first)),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        locks.sort_by(|a, b| a.key.cmp(&b.key));
        locks.truncate(page.bounded_limit());
        Ok(locks)
    }

    /// Frees the key in both. An engine that is away keeps what it has until its TTL.
    pub(super) async fn force(&self, key: &LockKey, by: &Actor) -> Result<Released> {
        let turn = self.turn();
        let primary = self.0.primary.force_release(key, by).await;
        let secondary = self.0.secondary.force_release(key, by).await;
        match (primary, secondary) {
            (Ok(first), Ok(second)) => {
                let freed = first == Released::Released || second == Released::Released;
                Ok(if freed { Released::Released } else { Released::Expired })
            }
            (Err(error), Ok(found)) if is_away(&error) => {
                tracing::warn!(%error, %key, "the lock is freed in one engine; the other is away and may hold it too");
                self.go_over(turn, &error);
                Ok(found)
            }
            (Ok(found), Err(error)) if turn.using == Using::Primary => {
                tracing::warn!(%error, %key, "whether the engine that stands in holds it too is not known");
                Ok(found)
            }
            (Err(first), Err(second)) if is_away(&first) => Err(self.neither(second, &first)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// How both do: an error only if locks can't be had from either.
    pub(super) async fn look(&self) -> Result<Health> {
        let start = SystemClock.now();
        let turn = self.turn();
        let primary = self.0.primary.check().await;
        let secondary = self.0.secondary.check().await;
        let names = self.names();
        let well = primary.is_ok();
        let mut health = match (primary, secondary) {
            (Ok(mut first), Ok(second)) => {
                let of_second = second.warnings.into_iter().map(|warning| format!("{}: {warning}", names.1));
                first.warnings.extend(of_second);
                first.place =
                    format!("{}, with {} at {} to fall back to", first.place, names.1, second.place);
                first
            }
            (Ok(mut first), Err(error)) => {
                first.warnings.push(format!("there is nothing to fall back to: {error}"));
                first
            }
            (Err(error), Ok(mut second)) if is_away(&error) => {
                self.go_over(turn, &error);
                second.warnings.push(format!("{} is away, {} stands in: {error}", names.0, names.1));
                second.place = format!("{}, in place of {}", second.place, names.0);
                second
            }
            (Err(first), Err(second)) if is_away(&first) => return Err(self.neither(second, &first)),
            (Err(error), _) => return Err(error),
        };
        if well && self.0.switch.turn().using == Using::Secondary {
            health
                .warnings
                .push(format!("{} stands in until {} has been well for a while", names.1, names.0));
        }
        health.backend = names.0;
        health.took = SystemClock.now().since(start);
        Ok(health)
    }
}
