//! The leases that one manager holds, for renewal, clean-up and the `active` count.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::clock::Moment;
use crate::lease::LeaseState;
use crate::sync::locked;

/// The slot of a lease that is not in the list.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// A list with stable places: taking a lease in and out costs no hashing and, once grown, no memory.
#[derive(Debug, Default)]
pub(crate) struct Holdings(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    leases: Vec<Option<Arc<LeaseState>>>,
    free: Vec<u32>,
}

impl Holdings {
    pub(crate) fn insert(&self, lease: &Arc<LeaseState>) {
        let mut slots = locked(&self.0);
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None => {
                slots.leases.push(None);
                // The memory of four thousand million leases is not there to be had.
                u32::try_from(slots.leases.len() - 1).unwrap_or(NO_SLOT)
            }
        };
        lease.slot.store(slot, Relaxed);
        if let Some(place) = slots.leases.get_mut(slot as usize) {
            *place = Some(Arc::clone(lease));
        }
    }

    /// Takes the lease out, if it is still in.
    pub(crate) fn remove(&self, lease: &LeaseState) {
        // Dropped after the mutex: it may be the last reference.
        let _removed = {
            let mut slots = locked(&self.0);
            let slot = lease.slot.swap(NO_SLOT, Relaxed);
            let Some(place) = slots.leases.get_mut(slot as usize) else { return };
            let removed = place.take();
            slots.free.push(slot);
            removed
        };
    }

    pub(crate) fn len(&self) -> usize {
        let slots = locked(&self.0);
        slots.leases.len() - slots.free.len()
    }

    /// All leases, at this moment.
    pub(crate) fn snapshot(&self) -> Vec<Arc<LeaseState>> {
        locked(&self.0).leases.iter().flatten().cloned().collect()
    }

    /// When the first of them wants its renewal.
    pub(crate) fn earliest_renewal(&self) -> Option<Moment> {
        locked(&self.0).leases.iter().flatten().map(|lease| lease.renew_at()).min()
    }
}
