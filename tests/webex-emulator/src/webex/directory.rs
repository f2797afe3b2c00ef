//! Roles and licences of an organisation, as a test changes them.

use super::Webex;
use crate::directory::{License, Role};
use crate::paging::{Listing, Paging};
use crate::state::Organization;

impl Webex {
    /// The organisation's roles, every id in its place.
    pub fn roles(&self, organization: &Organization) -> Vec<Role> {
        self.shared.state().listed(&organization.uuid)
    }

    /// Puts these roles in place of all there were.
    pub fn set_roles(&self, organization: &Organization, roles: impl IntoIterator<Item = Role>) {
        let roles = roles.into_iter().collect();
        let mut state = self.shared.state();
        state.set_listed::<Role>(&organization.uuid, roles);
    }

    /// Adds a role, or changes the one with its id. Answers with it, id included.
    pub fn put_role(&self, organization: &Organization, role: Role) -> Role {
        self.shared.state().put_listed(&organization.uuid, role)
    }

    /// Removes the role with this id. False if there is none.
    pub fn remove_role(&self, organization: &Organization, id: &str) -> bool {
        let mut state = self.shared.state();
        state.remove_listed::<Role>(&organization.uuid, id)
    }

    /// The organisation's licences, every id in its place.
    pub fn licenses(&self, organization: &Organization) -> Vec<License> {
        self.shared.state().listed(&organization.uuid)
    }

    /// Puts these licences in place of all there were.
    pub fn set_licenses(
        &self,
        organization: &Organization,
        licenses: impl IntoIterator<Item = License>,
    ) {
        let licenses = licenses.into_iter().collect();
        let mut state = self.shared.state();
        state.set_listed::<License>(&organization.uuid, licenses);
    }

    /// Adds a licence, or changes the one with its id. Answers with it, id included.
    pub fn put_license(&self, organization: &Organization, license: License) -> License {
        self.shared.state().put_listed(&organization.uuid, license)
    }

    /// Removes the licence with this id. False if there is none.
    pub fn remove_license(&self, organization: &Organization, id: &str) -> bool {
        let mut state = self.shared.state();
        state.remove_listed::<License>(&organization.uuid, id)
    }

    /// Lets a listing come in pages; in one again with `None`.
    pub fn set_paging(&self, listing: Listing, paging: impl Into<Option<Paging>>) {
        let mut state = self.shared.state();
        match paging.into() {
            Some(paging) => state.paging.insert(listing, paging),
            None => state.paging.remove(&listing),
        };
    }
}
