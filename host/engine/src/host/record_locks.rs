//! Per-record locks: calls for one record in this process queue here, so that only the first in the
//! queue claims the lease in the store.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::types::Reference;

type RecordLock = tokio::sync::Mutex<()>;

#[derive(Default)]
pub(super) struct RecordLocks {
    subjects: Mutex<HashMap<Reference, Weak<RecordLock>>>,
}

impl RecordLocks {
    /// The number of entries at which unused locks are removed from the map.
    const CLEANUP_THRESHOLD: usize = 1024;

    /// Waits for the record's lock, which is held until the guard is dropped.
    pub(super) async fn acquire(&self, subject: &Reference) -> OwnedMutexGuard<()> {
        self.lock_for(subject).lock_owned().await
    }

    fn lock_for(&self, subject: &Reference) -> Arc<RecordLock> {
        let mut subjects = self.subjects.lock();
        if let Some(turn) = subjects.get(subject).and_then(Weak::upgrade) {
            return turn;
        }
        if subjects.len() >= Self::CLEANUP_THRESHOLD {
            subjects.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(RecordLock::default());
        subjects.insert(subject.clone(), Arc::downgrade(&turn));
        turn
    }
}
