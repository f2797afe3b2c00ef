//! What each kind of import reads, in its order.

use crate::platform::{Change, Failure, FieldError, Reference, Timestamp, Wakeup};
use crate::reports::SyncKind;
use crate::webex::directory::{Directory, LICENSES, ROLES};

/// The models that imports store: what `delete` takes away with a record.
pub const IMPORTED: &[&str] = &[ROLES.model, LICENSES.model];

impl SyncKind {
    /// Every kind.
    const ALL: &[Self] = &[Self::RolesLicenses];

    /// Parses the contract's word for a kind.
    ///
    /// # Errors
    /// `invalid` for a word that stands for none.
    pub fn parse(word: &str) -> Result<Self, Failure> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word);
        found.copied().ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            let expected = format!("must be one of {}", words.join(", "));
            Failure::Invalid(vec![FieldError::new("kind", expected)])
        })
    }

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
        Self::ALL
            .iter()
            .copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_kind_is_invalid_and_known_are_named() {
        for kind in SyncKind::ALL {
            assert_eq!(SyncKind::parse(kind.as_str()), Ok(*kind));
        }
        let Err(Failure::Invalid(faults)) = SyncKind::parse("everything") else {
            panic!("it is taken");
        };
        assert_eq!(faults[0].field, "kind");
        assert!(faults[0].message.contains("roles-licenses"));
    }
}
