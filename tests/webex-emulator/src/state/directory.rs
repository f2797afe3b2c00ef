//! The lists of each organization, and their changes.

use std::sync::Arc;

use serde_json::Value;

use super::{Organization, State};
use crate::collection::{Collection, List, Source};
use crate::directory::{Entry as _, FULL_ADMINISTRATOR, Role};
use crate::generated::Blueprint;
use crate::paging::Listing;
use crate::resources::Resource;

/// The reason why a list cannot have an entry, or a change of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EntryError(pub(crate) String);

impl State {
    /// Returns the roles of the organization's administrator: by default a full administrator.
    pub(crate) fn administrator_roles(&self, organization_uuid: &str) -> Vec<Role> {
        match self.administrator_roles.get(organization_uuid) {
            Some(roles) => roles.clone(),
            None => vec![Role::new(FULL_ADMINISTRATOR).in_organization(organization_uuid)],
        }
    }

    /// Replaces the roles of the organization's administrator.
    pub(crate) fn set_administrator_roles(&mut self, organization_uuid: &str, roles: Vec<Role>) {
        let roles = roles.into_iter();
        let roles = roles.map(|role| role.in_organization(organization_uuid));
        self.administrator_roles
            .insert(organization_uuid.to_owned(), roles.collect());
    }

    fn blueprint(&self, organization: &Organization) -> Blueprint {
        Blueprint::new(organization.clone(), &self.settings)
    }

    /// Returns a list of the organization as it is now.
    pub(crate) fn list(&self, organization: &Organization, listing: Listing) -> List {
        let blueprint = self.blueprint(organization);
        List {
            resource: listing.resource(),
            collection: self.collection(&blueprint, listing),
            blueprint,
        }
    }

    fn collection(&self, blueprint: &Blueprint, listing: Listing) -> Arc<Collection> {
        let organization = &blueprint.organization.uuid;
        let listing = listing.stored();
        match self.collections.get(&(organization.clone(), listing)) {
            Some(collection) => Arc::clone(collection),
            None => Arc::new(self.initial(blueprint, listing)),
        }
    }

    fn initial(&self, blueprint: &Blueprint, listing: Listing) -> Collection {
        let directory = &self.settings.directory;
        let listed: Vec<Value> = match listing {
            Listing::Roles => directory.roles.iter().filter_map(to_json).collect(),
            Listing::Licenses => directory.licenses.iter().filter_map(to_json).collect(),
            _ => return Collection::generated(self.settings.generated_count(listing)),
        };
        let resource = listing.resource();
        let prepared = listed.into_iter();
        let prepared = prepared.filter_map(|entry| resource.prepare(entry, blueprint, "").ok());
        Collection::with_entries(prepared.collect(), resource)
    }

    fn collection_mut(&mut self, blueprint: &Blueprint, listing: Listing) -> &mut Collection {
        let initial = self.collection(blueprint, listing);
        let key = (blueprint.organization.uuid.clone(), listing.stored());
        Arc::make_mut(self.collections.entry(key).or_insert(initial))
    }

    fn prepare(
        &mut self,
        entry: Value,
        blueprint: &Blueprint,
        resource: &Resource,
    ) -> Result<Value, EntryError> {
        let has_id = !resource.id_of(&entry).is_empty();
        // The ids of roles and licenses are derived from their names.
        let derives_id = matches!(resource.listing, Listing::Roles | Listing::Licenses);
        let uuid = match has_id || derives_id {
            true => String::new(),
            false => self.generator.uuid(),
        };
        resource
            .prepare(entry, blueprint, &uuid)
            .map_err(EntryError)
    }

    /// Replaces all entries. Returns them, including their ids.
    ///
    /// # Errors
    /// If an entry is invalid; then nothing has changed.
    pub(crate) fn set_entries(
        &mut self,
        organization: &Organization,
        listing: Listing,
        entries: Vec<Value>,
    ) -> Result<Vec<Value>, EntryError> {
        let blueprint = self.blueprint(organization);
        let resource = listing.resource();
        let mut prepared = Vec::with_capacity(entries.len());
        for entry in entries {
            prepared.push(self.prepare(entry, &blueprint, resource)?);
        }
        let collection = Collection::with_entries(prepared.clone(), resource);
        *self.collection_mut(&blueprint, listing) = collection;
        Ok(prepared)
    }

    /// Adds an entry, or replaces the one with its id. Returns it, including the id.
    ///
    /// # Errors
    /// If the entry is invalid.
    pub(crate) fn put_entry(
        &mut self,
        organization: &Organization,
        listing: Listing,
        entry: Value,
    ) -> Result<Value, EntryError> {
        let blueprint = &self.blueprint(organization);
        let resource = listing.resource();
        let entry = self.prepare(entry, blueprint, resource)?;
        let source = Source {
            resource,
            blueprint,
        };
        self.collection_mut(blueprint, listing)
            .put(entry.clone(), source);
        Ok(entry)
    }

    /// Removes the entry with this id. Returns false if there is none.
    pub(crate) fn remove_entry(
        &mut self,
        organization: &Organization,
        listing: Listing,
        id: &str,
    ) -> bool {
        let blueprint = &self.blueprint(organization);
        let resource = listing.stored().resource();
        let source = Source {
            resource,
            blueprint,
        };
        self.collection_mut(blueprint, listing).remove(id, source)
    }

    /// Changes the number of generated entries.
    ///
    /// # Errors
    /// If the list has no generated entries of its own.
    pub(crate) fn generate(
        &mut self,
        organization: &Organization,
        listing: Listing,
        count: usize,
    ) -> Result<(), EntryError> {
        if matches!(listing, Listing::Roles | Listing::Licenses) || listing != listing.stored() {
            let reason = "this list has no generated entries of its own";
            return Err(EntryError(reason.to_owned()));
        }
        let blueprint = &self.blueprint(organization);
        self.collection_mut(blueprint, listing)
            .resize(count, listing.resource());
        Ok(())
    }
}

fn to_json<T: serde::Serialize>(entry: &T) -> Option<Value> {
    serde_json::to_value(entry).ok()
}
