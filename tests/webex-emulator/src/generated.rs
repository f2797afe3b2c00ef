//! Generated entries. Each is derived from its organization, kind and index. A listing of any size therefore needs no
//! memory, and a seed determines all entries.

mod calling;
mod draw;
mod groups;
mod people;
mod sites;
mod wholesale;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub(crate) use self::calling::{devices, location, to_workspace_location, workspace};
pub(crate) use self::draw::Draw;
pub(crate) use self::groups::group;
pub(crate) use self::people::{filtered_person, person};
pub(crate) use self::sites::site;
pub(crate) use self::wholesale::{customer, sub_partner, subscriber};
use crate::directory::Entry as _;
use crate::ids;
use crate::paging::Listing;
use crate::settings::{PersonFlags, Settings};
use crate::state::Organization;

/// The kinds of generated UUIDs, as in their `/v1` ids.
pub(crate) mod kind {
    pub(crate) const PERSON: &str = "PEOPLE";
    pub(crate) const LOCATION: &str = "LOCATION";
    pub(crate) const WORKSPACE: &str = "PLACE";
    pub(crate) const WORKSPACE_LOCATION: &str = "WORKSPACE_LOCATION";
    pub(crate) const FLOOR: &str = "FLOOR";
    pub(crate) const GROUP: &str = "SCIM_GROUP";
    pub(crate) const SITE: &str = "SITE";
    pub(crate) const CUSTOMER: &str = "ENTERPRISE";
    pub(crate) const SUBSCRIBER: &str = "SUBSCRIBER";
    pub(crate) const SUB_PARTNER: &str = "SUB_PARTNER";
    /// The organization of a generated customer.
    pub(crate) const CUSTOMER_ORGANIZATION: &str = "CUSTOMER_ORGANIZATION";
    /// A random profile that the entries refer to.
    pub(crate) const PROFILE: &str = "PROFILE";
}

/// The parts of an organization that its generated entries depend on.
///
/// References between entries depend only on the numbers at the start. An entry therefore stays the
/// same when others are changed, added or removed.
#[derive(Clone)]
pub(crate) struct Blueprint {
    pub(crate) organization: Organization,
    /// Ids of the initial licenses.
    licenses: Vec<String>,
    people: usize,
    locations: usize,
    customers: usize,
    person_flags: PersonFlags,
}

impl Blueprint {
    pub(crate) fn new(organization: Organization, settings: &Settings) -> Self {
        let directory = settings.directory.clone();
        let licenses = directory.in_organization(&organization.uuid).licenses;
        Self {
            licenses: licenses.iter().map(|one| one.id().to_owned()).collect(),
            people: settings.generated_count(Listing::People),
            locations: settings.generated_count(Listing::Locations),
            customers: settings.generated_count(Listing::Customers),
            person_flags: settings.person_flags,
            organization,
        }
    }

    /// Returns the choices of one entry.
    pub(crate) fn draw(&self, kind: &str, index: usize) -> Draw {
        let mut hash = Sha256::new();
        hash.update(self.organization.uuid.as_bytes());
        hash.update(kind.as_bytes());
        hash.update(index.to_be_bytes());
        Draw::new(hash.finalize().into())
    }

    /// Returns the UUID of one entry. Its first 32 bits contain the index, so that a request for one
    /// entry finds it without a search.
    pub(crate) fn uuid(&self, kind: &str, index: usize) -> Uuid {
        let mut bytes = self.draw(kind, index).uuid_bytes();
        let masked = u32::try_from(index).unwrap_or(u32::MAX) ^ self.mask(kind);
        for (byte, index) in bytes.iter_mut().zip(masked.to_be_bytes()) {
            *byte = index;
        }
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Returns the index of the entry with this UUID, if it is a generated one of this kind.
    pub(crate) fn index(&self, kind: &str, uuid: Uuid) -> Option<usize> {
        let first = uuid.as_bytes().first_chunk::<4>()?;
        let index = u32::from_be_bytes(*first) ^ self.mask(kind);
        let index = usize::try_from(index).ok()?;
        (self.uuid(kind, index) == uuid).then_some(index)
    }

    fn mask(&self, kind: &str) -> u32 {
        let bytes = self.draw(kind, usize::MAX).uuid_bytes();
        bytes.first_chunk().copied().map_or(0, u32::from_be_bytes)
    }

    pub(crate) fn id(&self, kind: &str, index: usize) -> String {
        self.id_with(kind, &self.uuid(kind, index).to_string())
    }

    /// Returns the id of an entry of this kind with this UUID.
    pub(crate) fn id_with(&self, kind: &str, uuid: &str) -> String {
        match kind {
            // Contact Center's ids are bare.
            kind::SITE => uuid.to_owned(),
            kind::SUB_PARTNER => ids::encode("ORGANIZATION", uuid),
            kind::GROUP => ids::encode(kind, &format!("{uuid}:{}", self.organization.uuid)),
            _ => ids::encode(kind, uuid),
        }
    }

    /// Returns the id of a location that the draw chooses, if the organization has any.
    fn location(&self, draw: &Draw) -> Option<usize> {
        draw.index(0, self.locations)
    }

    /// Returns a moment in the five years before the organization was created.
    fn created(&self, draw: &Draw) -> u64 {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let age = draw.number(14, 5 * 365) * DAY + draw.number(12, DAY);
        self.organization.created.saturating_sub(age)
    }

    /// Returns a flag as the settings want it: a boolean or a string.
    fn flag(&self, on: bool) -> serde_json::Value {
        match self.person_flags {
            PersonFlags::Booleans => on.into(),
            PersonFlags::Strings => on.to_string().into(),
        }
    }
}

/// Removes the fields that are `null`: an entry lacks what does not apply to it.
fn compact(mut entry: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = entry.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint() -> Blueprint {
        let organization = Organization {
            id: "id".to_owned(),
            uuid: "1eb65fdf-9643-417f-9974-ad72cae0e10f".to_owned(),
            display_name: "Example".to_owned(),
            created: 1_700_000_000_000,
        };
        Blueprint::new(organization, &Settings::default())
    }

    #[test]
    fn index_is_found_by_uuid_and_kind() {
        let blueprint = blueprint();
        for index in [0, 1, 99_999] {
            let uuid = blueprint.uuid(kind::PERSON, index);
            assert_eq!(blueprint.index(kind::PERSON, uuid), Some(index));
            assert_eq!(blueprint.index(kind::GROUP, uuid), None);
        }
        assert_eq!(blueprint.index(kind::PERSON, Uuid::nil()), None);
    }

    #[test]
    fn fields_that_do_not_apply_are_absent_in_some_people() {
        let blueprint = blueprint();
        let people: Vec<_> = (1..200).map(|index| person(&blueprint, index)).collect();
        for field in [
            "extension",
            "locationId",
            "manager",
            "phoneNumbers",
            "firstName",
        ] {
            let having = people.iter().filter(|one| one.get(field).is_some()).count();
            assert!((1..199).contains(&having), "{field}: {having}");
        }
    }
}
