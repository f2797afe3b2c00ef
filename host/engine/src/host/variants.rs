//! Variants of a host: the same host for calls with an originator, a version or an id.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Host;
use crate::transactions::Originator;

impl Host {
    /// Returns this host for calls that `originator` asks for. Their transactions name the originator.
    #[must_use]
    pub fn on_behalf_of(&self, originator: Originator) -> Self {
        Self {
            originator: Some(Arc::new(originator)),
            ..self.clone()
        }
    }

    /// Returns this host for calls on a record that must have this version. The version is compared under the record's
    /// lease, so that a change by a concurrent call is not overwritten. A queued call compares it when it runs.
    ///
    /// A call on a record with another version changes nothing and fails with
    /// [`CallErrorKind::Changed`](super::CallErrorKind::Changed). A queued call that is attempted again, after its host
    /// was killed, knows what the interrupted attempt has committed.
    #[must_use]
    pub fn for_version(&self, version: Option<u64>) -> Self {
        Self {
            expected_version: version,
            ..self.clone()
        }
    }

    /// Returns this host for one call, and the id of the call's transaction. It is for a caller that may not wait for
    /// the end. A host that is for a transaction already stays so.
    #[must_use]
    pub fn for_transaction(&self) -> (Self, String) {
        let id = self.known_transaction_id();
        let host = Self {
            transaction: Some(Arc::new(Mutex::new(Some(id.clone())))),
            ..self.clone()
        };
        (host, id)
    }

    /// Returns the id of the next call's transaction: the known one, or a new one.
    pub(super) fn known_transaction_id(&self) -> String {
        let known = self.transaction.as_ref();
        let known = known.and_then(|known| known.lock().take());
        known.unwrap_or_else(|| self.new_transaction_id(self.clock().now()))
    }
}
