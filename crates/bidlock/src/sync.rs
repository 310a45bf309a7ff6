//! One way to take a mutex.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the mutex, also after a panic elsewhere: no code of this crate can leave its data half-changed, since
/// nothing between taking and dropping a guard calls out to code that may panic.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
