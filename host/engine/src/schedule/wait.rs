//! How long a dispatcher waits.

use crate::types::Timestamp;

/// The time that the dispatcher may wait.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    Until(Timestamp),
    Poll,
}

impl Wait {
    /// Whether it lasts longer than until `time`.
    pub(super) fn is_after(self, time: Timestamp) -> bool {
        match self {
            Self::Until(at) => at > time,
            Self::Poll => true,
        }
    }
}
