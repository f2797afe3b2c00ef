//! The lists of an organization, and its administrator, as tests change them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Webex;
use crate::directory::{License, Role};
use crate::garble;
use crate::paging::{Listing, Paging};
use crate::state::{EntryError, Organization};
use crate::wholesale::WholesaleSettings;

impl Webex {
    /// Returns the organization's roles, all with ids.
    pub fn roles(&self, organization: &Organization) -> Vec<Role> {
        self.typed_entries(organization, Listing::Roles)
    }

    /// Replaces all roles.
    pub fn set_roles(&self, organization: &Organization, roles: impl IntoIterator<Item = Role>) {
        self.set_typed_entries(organization, Listing::Roles, roles);
    }

    /// Adds a role, or replaces the one with its id. Returns it, including the id.
    pub fn put_role(&self, organization: &Organization, role: Role) -> Role {
        self.put_typed_entry(organization, Listing::Roles, role)
    }

    /// Removes the role with this id. Returns false if there is none.
    pub fn remove_role(&self, organization: &Organization, id: &str) -> bool {
        self.remove_entry(organization, Listing::Roles, id)
    }

    /// Replaces the roles of the organization's administrator, also for tokens that exist. Without a role,
    /// every administrator's scope is refused with 403; a read-only administrator cannot manage tokens.
    /// By default the administrator has the role "Full Administrator".
    pub fn set_administrator_roles(
        &self,
        organization: &Organization,
        roles: impl IntoIterator<Item = Role>,
    ) {
        let roles = roles.into_iter().collect();
        let mut state = self.shared.state();
        state.set_administrator_roles(&organization.uuid, roles);
    }

    /// Returns the organization's licenses, all with ids.
    pub fn licenses(&self, organization: &Organization) -> Vec<License> {
        self.typed_entries(organization, Listing::Licenses)
    }

    /// Replaces all licenses.
    pub fn set_licenses(
        &self,
        organization: &Organization,
        licenses: impl IntoIterator<Item = License>,
    ) {
        self.set_typed_entries(organization, Listing::Licenses, licenses);
    }

    /// Adds a license, or replaces the one with its id. Returns it, including the id.
    pub fn put_license(&self, organization: &Organization, license: License) -> License {
        self.put_typed_entry(organization, Listing::Licenses, license)
    }

    /// Removes the license with this id. Returns false if there is none.
    pub fn remove_license(&self, organization: &Organization, id: &str) -> bool {
        self.remove_entry(organization, Listing::Licenses, id)
    }

    /// Returns all entries of a list. Those of [`Listing::WorkspaceLocations`] are the locations.
    pub fn entries(&self, organization: &Organization, listing: Listing) -> Vec<Value> {
        let mut state = self.shared.state();
        state.settle_operations();
        let list = state.list(organization, listing);
        // Not while the state is locked: there may be many entries.
        drop(state);
        list.entries()
    }

    /// Replaces all entries of a list. An entry without an id gets one. Returns the entries, including
    /// their ids.
    ///
    /// # Errors
    /// If an entry is not a JSON object, or the list cannot have it. Then the list has not changed.
    pub fn set_entries(
        &self,
        organization: &Organization,
        listing: Listing,
        entries: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Value>, EntryError> {
        let entries = entries.into_iter().collect();
        let mut state = self.shared.state();
        state.set_entries(organization, listing, entries)
    }

    /// Adds an entry to a list, or replaces the one with its id. Returns the entry, including the id.
    ///
    /// # Errors
    /// If the entry is not a JSON object, or the list cannot have it.
    pub fn put_entry(
        &self,
        organization: &Organization,
        listing: Listing,
        entry: Value,
    ) -> Result<Value, EntryError> {
        self.shared.state().put_entry(organization, listing, entry)
    }

    /// Merges a patch into the entry with this id; `null` removes a field (RFC 7396). Returns the changed
    /// entry, or `None` if there is none with this id.
    ///
    /// # Errors
    /// If the list cannot have the changed entry.
    pub fn patch_entry(
        &self,
        organization: &Organization,
        listing: Listing,
        id: &str,
        patch: &Value,
    ) -> Result<Option<Value>, EntryError> {
        let mut state = self.shared.state();
        let Some(mut entry) = state.list(organization, listing).find(id) else {
            return Ok(None);
        };
        garble::merge(&mut entry, patch);
        state.put_entry(organization, listing, entry).map(Some)
    }

    /// Removes the entry with this id from a list. Returns false if there is none.
    pub fn remove_entry(&self, organization: &Organization, listing: Listing, id: &str) -> bool {
        self.shared.state().remove_entry(organization, listing, id)
    }

    /// Changes the number of a list's generated entries. Other changes of the list stay.
    ///
    /// # Errors
    /// If the list has no generated entries, like that of roles.
    pub fn generate(
        &self,
        organization: &Organization,
        listing: Listing,
        count: usize,
    ) -> Result<(), EntryError> {
        self.shared.state().generate(organization, listing, count)
    }

    fn typed_entries<T: DeserializeOwned>(
        &self,
        organization: &Organization,
        listing: Listing,
    ) -> Vec<T> {
        let entries = self.entries(organization, listing).into_iter();
        // Lists of typed entries have no others.
        entries
            .filter_map(|entry| serde_json::from_value(entry).ok())
            .collect()
    }

    fn set_typed_entries<T: Serialize>(
        &self,
        organization: &Organization,
        listing: Listing,
        entries: impl IntoIterator<Item = T>,
    ) {
        let entries = entries.into_iter();
        let entries = entries.filter_map(|entry| serde_json::to_value(entry).ok());
        // A typed entry is valid.
        let _ = self.set_entries(organization, listing, entries);
    }

    fn put_typed_entry<T: Serialize + DeserializeOwned + Clone>(
        &self,
        organization: &Organization,
        listing: Listing,
        entry: T,
    ) -> T {
        let json = serde_json::to_value(&entry).unwrap_or_default();
        let put = self.put_entry(organization, listing, json).ok();
        // A typed entry is valid, and comes back with an id.
        put.and_then(|put| serde_json::from_value(put).ok())
            .unwrap_or(entry)
    }

    /// Sets the behavior of operations on the customers of wholesale partners that begin from now on.
    pub fn set_wholesale(&self, settings: WholesaleSettings) {
        self.shared.state().wholesale = settings;
    }

    /// Sets the pages of a listing; `None` restores the default.
    pub fn set_paging(&self, listing: Listing, paging: impl Into<Option<Paging>>) {
        let mut state = self.shared.state();
        match paging.into() {
            Some(paging) => state.paging.insert(listing, paging),
            None => state.paging.remove(&listing),
        };
    }
}
