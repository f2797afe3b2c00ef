//! Mutex locking without poisoning: a panic never leaves the guarded data half-written.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex, even if an earlier holder panicked.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
