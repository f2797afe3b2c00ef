//! The roles and licences of each organisation, and their changes.

use super::State;
use crate::directory::{Directory, Entry, FULL_ADMINISTRATOR, License, Role};

/// An entry with its own list in the directory.
pub(crate) trait DirectoryEntry: Entry {
    fn list(directory: &Directory) -> &Vec<Self>;
    fn list_mut(directory: &mut Directory) -> &mut Vec<Self>;
}

impl DirectoryEntry for Role {
    fn list(directory: &Directory) -> &Vec<Self> {
        &directory.roles
    }

    fn list_mut(directory: &mut Directory) -> &mut Vec<Self> {
        &mut directory.roles
    }
}

impl DirectoryEntry for License {
    fn list(directory: &Directory) -> &Vec<Self> {
        &directory.licenses
    }

    fn list_mut(directory: &mut Directory) -> &mut Vec<Self> {
        &mut directory.licenses
    }
}

impl State {
    /// Returns the roles of the organisation's administrator: by default a full administrator.
    pub(crate) fn administrator_roles(&self, organization_uuid: &str) -> Vec<Role> {
        match self.administrator_roles.get(organization_uuid) {
            Some(roles) => roles.clone(),
            None => vec![Role::new(FULL_ADMINISTRATOR).in_organization(organization_uuid)],
        }
    }

    /// Replaces the roles of the organisation's administrator.
    pub(crate) fn set_administrator_roles(&mut self, organization_uuid: &str, roles: Vec<Role>) {
        let roles = roles.into_iter();
        let roles = roles.map(|role| role.in_organization(organization_uuid));
        self.administrator_roles
            .insert(organization_uuid.to_owned(), roles.collect());
    }

    fn directory_mut(&mut self, organization_uuid: &str) -> &mut Directory {
        let seed = &self.settings.directory;
        self.directories
            .entry(organization_uuid.to_owned())
            .or_insert_with(|| seed.clone().in_organization(organization_uuid))
    }

    /// Returns the organisation's entries of this kind.
    pub(crate) fn entries<T: DirectoryEntry>(&self, organization_uuid: &str) -> Vec<T> {
        match self.directories.get(organization_uuid) {
            Some(directory) => T::list(directory).clone(),
            None => {
                let seed = self.settings.directory.clone();
                T::list(&seed.in_organization(organization_uuid)).clone()
            }
        }
    }

    /// Replaces all entries.
    pub(crate) fn set_entries<T: DirectoryEntry>(
        &mut self,
        organization_uuid: &str,
        entries: Vec<T>,
    ) {
        let entries = entries.into_iter();
        *T::list_mut(self.directory_mut(organization_uuid)) = entries
            .map(|entry| entry.in_organization(organization_uuid))
            .collect();
    }

    /// Adds an entry, or replaces the one with its id. Returns it, including the id.
    pub(crate) fn put_entry<T: DirectoryEntry>(&mut self, organization_uuid: &str, entry: T) -> T {
        let entry = entry.in_organization(organization_uuid);
        let list = T::list_mut(self.directory_mut(organization_uuid));
        match list.iter_mut().find(|known| known.id() == entry.id()) {
            Some(known) => *known = entry.clone(),
            None => list.push(entry.clone()),
        }
        entry
    }

    /// Removes the entry with this id. Returns false if there is none.
    pub(crate) fn remove_entry<T: DirectoryEntry>(
        &mut self,
        organization_uuid: &str,
        id: &str,
    ) -> bool {
        let list = T::list_mut(self.directory_mut(organization_uuid));
        let before = list.len();
        list.retain(|entry| entry.id() != id);
        list.len() < before
    }
}
