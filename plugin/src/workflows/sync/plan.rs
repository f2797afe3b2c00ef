//! What each kind of import reads, in its order.

use crate::platform::{Change, Reference, Timestamp, Wakeup};
use crate::reports::SyncKind;
use crate::webex::directory::{Directory, LICENSES, ROLES};

/// The models that imports store: what `delete` takes away with a record.
pub const IMPORTED: &[&str] = &[ROLES.model, LICENSES.model];

impl SyncKind {
    /// The directories that are read.
    pub fn directories(self) -> &'static [Directory] {
        match self {
            Self::RolesLicenses => &[ROLES, LICENSES],
        }
    }

    /// The contract's word for it, which is also the payload of its wakeup.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RolesLicenses => "roles-licenses",
        }
    }

    /// The id of the wakeup that begins an import or goes on with it.
    pub fn wakeup_id(self) -> &'static str {
        match self {
            Self::RolesLicenses => "sync",
        }
    }

    /// The kind that a wakeup stands for; none when it is none of an import.
    pub fn of_wakeup(wakeup: &Wakeup) -> Option<Self> {
        [Self::RolesLicenses]
            .into_iter()
            .find(|kind| kind.wakeup_id() == wakeup.id && kind.as_str() == wakeup.payload)
    }

    /// The change that has the import of `owner` begin, or go on, at `due`.
    pub fn schedule(self, owner: &Reference, due: Timestamp) -> Change {
        Change::Schedule(Wakeup {
            id: self.wakeup_id().to_owned(),
            subject: owner.clone(),
            due,
            deadline: None,
            payload: self.as_str().to_owned(),
        })
    }
}
