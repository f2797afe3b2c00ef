//! Turns: calls for one record in this process wait for each other here, in order, so that only the
//! one whose turn it is asks the store for the lease.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::sync::lock;
use crate::types::Reference;

type Turn = tokio::sync::Mutex<()>;

#[derive(Default)]
pub(super) struct Turns {
    subjects: Mutex<HashMap<Reference, Weak<Turn>>>,
}

impl Turns {
    /// Sweep the map of subjects that nobody waits for when it has grown by this much.
    const SWEEP: usize = 1024;

    /// Returns when it is the caller's turn; it lasts until the guard is dropped.
    pub(super) async fn take(&self, subject: &Reference) -> OwnedMutexGuard<()> {
        self.turn(subject).lock_owned().await
    }

    fn turn(&self, subject: &Reference) -> Arc<Turn> {
        let mut subjects = lock(&self.subjects);
        if let Some(turn) = subjects.get(subject).and_then(Weak::upgrade) {
            return turn;
        }
        if subjects.len() >= Self::SWEEP {
            subjects.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Turn::default());
        subjects.insert(subject.clone(), Arc::downgrade(&turn));
        turn
    }
}
