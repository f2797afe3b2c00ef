//! The lists that each kind of import reads, in order.

use crate::platform::{Change, Failure, FieldError, Reference, UnixMillis, Wakeup};
use crate::record::Record;
use crate::reports::SyncKind;
use crate::scopes;
use crate::timing::MIN_DELAY;
use crate::webex::directory::{Directory, LICENSES, ROLES};

/// The models of imported documents, which `delete` removes with a record.
pub const IMPORTED_MODELS: &[&str] = &[ROLES.model, LICENSES.model];

impl SyncKind {
    /// Every kind.
    const ALL: &[Self] = &[Self::RolesLicenses];

    /// Parses the contract's word for a kind.
    ///
    /// # Errors
    /// `invalid` for an unknown word.
    pub fn parse(word: &str) -> Result<Self, Failure> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word);
        found.copied().ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            let expected = format!("must be one of {}", words.join(", "));
            Failure::Invalid(vec![FieldError::new("kind", expected)])
        })
    }

    /// Returns the directories to read.
    pub fn directories(self) -> &'static [Directory] {
        match self {
            Self::RolesLicenses => &[ROLES, LICENSES],
        }
    }

    /// Returns the contract's name of the kind, which is also the payload of its wakeup.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RolesLicenses => "roles-licenses",
        }
    }

    /// Returns the id of the wakeup that begins or resumes an import.
    pub fn wakeup_id(self) -> &'static str {
        match self {
            Self::RolesLicenses => "sync",
        }
    }

    /// Returns the kind of import that a wakeup is for, if any.
    pub fn from_wakeup(wakeup: &Wakeup) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.wakeup_id() == wakeup.id && kind.as_str() == wakeup.payload)
    }

    /// Returns the change that schedules the import of a record with pasted tokens without delay. None
    /// when a scope that the import needs is known to be missing.
    pub fn schedule_for_pasted(self, record: &Record, now: UnixMillis) -> Option<Change> {
        let needed = self.directories().iter();
        let needed: Vec<String> = needed.map(|each| each.scope.to_owned()).collect();
        let missing = scopes::missing(&needed, &record.body.connection.scopes);
        let is_allowed = missing.is_empty();
        is_allowed.then(|| self.schedule(&record.reference(), now + MIN_DELAY))
    }

    /// Returns the change that schedules the import of `owner` at `due`.
    pub fn schedule(self, owner: &Reference, due: UnixMillis) -> Change {
        Change::Schedule(Wakeup {
            id: self.wakeup_id().to_owned(),
            subject: owner.clone(),
            due: due.0,
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
        let Err(Failure::Invalid(errors)) = SyncKind::parse("everything") else {
            panic!("it is taken");
        };
        assert_eq!(errors[0].field, "kind");
        assert!(errors[0].message.contains("roles-licenses"));
    }
}
