//! Roles, licences and administrator of an organisation, as tests change them.

use super::Webex;
use crate::directory::{License, Role};
use crate::paging::{Listing, Paging};
use crate::state::Organization;

impl Webex {
    /// Returns the organisation's roles, all with ids.
    pub fn roles(&self, organization: &Organization) -> Vec<Role> {
        self.shared.state().entries(&organization.uuid)
    }

    /// Replaces all roles.
    pub fn set_roles(&self, organization: &Organization, roles: impl IntoIterator<Item = Role>) {
        let roles = roles.into_iter().collect();
        let mut state = self.shared.state();
        state.set_entries::<Role>(&organization.uuid, roles);
    }

    /// Adds a role, or replaces the one with its id. Returns it, including the id.
    pub fn put_role(&self, organization: &Organization, role: Role) -> Role {
        self.shared.state().put_entry(&organization.uuid, role)
    }

    /// Removes the role with this id. Returns false if there is none.
    pub fn remove_role(&self, organization: &Organization, id: &str) -> bool {
        let mut state = self.shared.state();
        state.remove_entry::<Role>(&organization.uuid, id)
    }

    /// Replaces the roles of the organisation's administrator, also for tokens that exist. Without a role,
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

    /// Returns the organisation's licences, all with ids.
    pub fn licenses(&self, organization: &Organization) -> Vec<License> {
        self.shared.state().entries(&organization.uuid)
    }

    /// Replaces all licences.
    pub fn set_licenses(
        &self,
        organization: &Organization,
        licenses: impl IntoIterator<Item = License>,
    ) {
        let licenses = licenses.into_iter().collect();
        let mut state = self.shared.state();
        state.set_entries::<License>(&organization.uuid, licenses);
    }

    /// Adds a licence, or replaces the one with its id. Returns it, including the id.
    pub fn put_license(&self, organization: &Organization, license: License) -> License {
        self.shared.state().put_entry(&organization.uuid, license)
    }

    /// Removes the licence with this id. Returns false if there is none.
    pub fn remove_license(&self, organization: &Organization, id: &str) -> bool {
        let mut state = self.shared.state();
        state.remove_entry::<License>(&organization.uuid, id)
    }

    /// Splits a listing into pages; `None` restores a single page.
    pub fn set_paging(&self, listing: Listing, paging: impl Into<Option<Paging>>) {
        let mut state = self.shared.state();
        match paging.into() {
            Some(paging) => state.paging.insert(listing, paging),
            None => state.paging.remove(&listing),
        };
    }
}
