//! Callbacks that wait for a place. They are in the store, with the receiver as a key, and no request is prepared for them.

use super::{LOOK_PAUSES, StoredCallback, to_wakeup};
use crate::host::Host;
use crate::store::{Check, Commit, StoreError};
use crate::types::{CALLBACK_MODEL, Filter, Key, Timestamp};

use super::background::NoPlace;

/// The key of a callback that waits for a place: the receiver, or [`ANY`].
const WAITING: &str = "waiting";
/// The value of the key of a callback that waits for a place of the host.
const ANY: &str = "*";

impl StoredCallback {
    /// Sets what the callback waits for; `None`: nothing.
    pub(super) fn set_waiting(&mut self, value: Option<&str>) {
        let key = |value: &str| Key {
            name: WAITING.to_owned(),
            value: value.to_owned(),
        };
        self.document.keys = value.map(key).into_iter().collect();
    }
}

impl Host {
    /// Stores that a callback waits for a place. The end of a delivery makes its wakeup due; the wakeup also comes by
    /// itself, in case no delivery ends here.
    pub(super) async fn store_waiting(
        &self,
        mut stored: StoredCallback,
        full: NoPlace,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let origin = stored.body.report.origin.clone();
        stored.set_waiting(Some(match full {
            NoPlace::Host => ANY,
            NoPlace::Running | NoPlace::Receiver => &origin,
        }));
        let commit = stored.to_commit(Some(now.after(LOOK_PAUSES.1)), now)?;
        match self.store().commit(commit).await {
            Ok(()) => {}
            // Another host has begun this attempt.
            Err(StoreError::Conflict(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        // A place may have become free since it was looked for.
        self.wake_waiting(&origin).await;
        Ok(())
    }

    /// Makes callbacks due that wait for a place at a receiver or of the host, as many as there are places. If this fails,
    /// their wakeups come later.
    pub(super) async fn wake_waiting(&self, origin: &str) {
        let callbacks = &self.parts.callbacks;
        for (value, room) in [
            (origin, callbacks.room(Some(origin))),
            (ANY, callbacks.room(None)),
        ] {
            if room > 0
                && let Err(error) = self.wake_some(value, room).await
            {
                tracing::warn!(%error, "callbacks that wait for a place will be late");
            }
        }
    }

    async fn wake_some(&self, value: &str, room: usize) -> Result<(), StoreError> {
        let filter = Filter {
            model: CALLBACK_MODEL.to_owned(),
            hierarchy: None,
            equals: vec![Key {
                name: WAITING.to_owned(),
                value: value.to_owned(),
            }],
        };
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let found = self.store().find(&filter, None, room).await?;
        for document in found.items {
            let mut stored = StoredCallback::parse(document)?;
            let now = self.clock().now();
            let reference = stored.reference().clone();
            let check = Check::Version(reference.clone(), stored.document.version);
            stored.set_waiting(None);
            let wakeup = to_wakeup(&reference, &stored.body.transaction, now);
            let commit = Commit {
                checks: vec![check],
                changes: vec![crate::store::Change::Put(stored.document), wakeup],
                now,
                ..Commit::default()
            };
            match self.store().commit(commit).await {
                // Another host has woken the callback.
                Ok(()) | Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
            self.parts.services.scheduled.notify_one();
        }
        Ok(())
    }
}
