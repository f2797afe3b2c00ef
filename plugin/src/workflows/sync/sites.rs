//! The sites of imported locations: adds one for each location that has none, and renames those whose locations have
//! a new name.

use std::collections::HashMap;

use super::ImportRun;
use super::batches::{CountKind, CountedChange};
use super::document_id::DocumentId;
use super::entries::{ListedEntry, WEBEX_ID};
use super::state::SiteCounts;
use crate::platform::{
    Change, Check, Failure, Filter, Level, RECORD_MODEL, Reference, Scope, UniqueCheck,
    VersionCheck,
};
use crate::sites::mappings::Mappings;
use crate::sites::nodes::{UsedNodes, clean_name};
use crate::sites::{self, Location, NETWORK_DEVICE_LIST, SITE};

/// The number of sites that are read together.
const BATCH_SIZE: usize = 100;
/// The maximum number of mappings that a message names.
const MAX_NAMED: usize = 5;

/// A customer's sites, as far as an import knows them while it adds new ones.
pub(super) struct CustomerSites {
    // The names of sites by the ids of their locations.
    by_location: HashMap<String, String>,
    used: UsedNodes,
    mappings: Mappings,
}

impl ImportRun<'_> {
    /// Adds and renames the sites of a page's locations, as far as the data sync permits it.
    pub(super) fn update_sites(
        &mut self,
        index: usize,
        entries: &[ListedEntry],
    ) -> Result<(), Failure> {
        let allowed = self.sync.allowed_changes;
        let names: Vec<String> = entries
            .iter()
            .map(|each| clean_name(each.entry.name.as_deref().unwrap_or_default()))
            .collect();
        let locations: Vec<Location<'_>> = entries
            .iter()
            .zip(&names)
            .map(|(each, name)| Location {
                id: &each.entry.id,
                name,
            })
            .collect();
        let mut changes = Vec::new();
        let mut without_site = Vec::new();
        for locations in locations.chunks(BATCH_SIZE) {
            let references = locations.iter().map(|each| self.site_reference(each.id));
            let references: Vec<Reference> = references.collect();
            let stored = self.platform.get_many(&references)?;
            for (location, stored) in locations.iter().zip(stored) {
                match stored {
                    None => without_site.push(*location),
                    Some(site) if allowed.update => {
                        if let Some(renamed) = sites::rename(&site, *location) {
                            let check = Check::Version(VersionCheck {
                                reference: site.reference,
                                version: site.version,
                            });
                            let put = Change::Put(renamed);
                            let change = CountedChange::new(CountKind::SiteRenamed, put);
                            changes.push(change.with_checks([check]));
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        let is_first_page = self.list(index).pages == 0;
        if allowed.add && (is_first_page || !without_site.is_empty()) {
            let (list, added) = self.find_or_add_list()?;
            changes.extend(added);
            for location in without_site {
                changes.extend(self.add_site(location, &list)?);
            }
        }
        match changes.is_empty() {
            true => Ok(()),
            false => self.commit_in_batches(index, changes, |_| ()),
        }
    }

    /// Finds the network device list of the customer. Returns its pkid, and the change that adds a blank one if there
    /// is none.
    fn find_or_add_list(&self) -> Result<(String, Option<CountedChange>), Failure> {
        let node = &self.record.hierarchy;
        let own = DocumentId::derive(node, NETWORK_DEVICE_LIST, "").to_string();
        let own = Reference::new(NETWORK_DEVICE_LIST, own);
        if let Some(list) = self.platform.get(&own)?
            && list.hierarchy == *node
        {
            return Ok((own.pkid, None));
        }
        let filter = sites::list_filter(node);
        let found = self.platform.find(&filter, None, 1)?.documents;
        if let Some(list) = found.into_iter().next() {
            return Ok((list.reference.pkid, None));
        }
        let list = sites::build_list(own.clone(), node, self.record.name());
        let unique = Check::Unique(UniqueCheck {
            filter,
            except: None,
        });
        let change = CountedChange::new(CountKind::Uncounted, Change::Put(list))
            .with_checks([Check::Absent(own.clone()), unique]);
        Ok((own.pkid, Some(change)))
    }

    /// Returns the change that adds the site of `location`. `None` if another site has the location as its default, or
    /// there is no node for the site.
    fn add_site(
        &mut self,
        location: Location<'_>,
        list: &str,
    ) -> Result<Option<CountedChange>, Failure> {
        let reference = self.site_reference(location.id);
        let customer = self.record.hierarchy.clone();
        let platform = self.platform;
        let sites = self.load_sites()?;
        if sites.by_location.contains_key(location.id) {
            return Ok(None);
        }
        let parent = match sites.mappings.find_node(location.name) {
            Some(node) => format!("{customer}.{node}"),
            None => customer.clone(),
        };
        let mut candidates = sites
            .used
            .candidates(&parent, location.name, &reference.pkid);
        let node = loop {
            let Some(candidate) = candidates.next() else {
                let warning = format!(
                    "the location {} gets no site: the path of {parent} is too long for another node, or every \
                     possible node is used",
                    location.name
                );
                platform.log(Level::Warning, &warning);
                return Ok(None);
            };
            // Another customer's node is never a site of this one.
            let records = Filter {
                model: RECORD_MODEL.to_owned(),
                hierarchy: candidate.clone(),
                scope: Scope::Subtree,
                equals: Vec::new(),
            };
            if platform.find(&records, None, 1)?.documents.is_empty() {
                break candidate;
            }
        };
        drop(candidates);
        sites.used.reserve(&customer, &node);
        sites
            .by_location
            .insert(location.id.to_owned(), location.name.to_owned());
        let checks = [
            Check::Absent(reference.clone()),
            Check::Unique(UniqueCheck {
                filter: sites::site_filter(&node, Scope::Node),
                except: None,
            }),
        ];
        let site = Change::Put(sites::build(reference, node, location, list));
        let change = CountedChange::new(CountKind::SiteAdded, site);
        Ok(Some(change.with_checks(checks)))
    }

    /// Reports the sites of the locations in `vanished`, which are about to be removed: the sites stay.
    pub(super) fn report_sites_left(
        &mut self,
        index: usize,
        vanished: &[Reference],
    ) -> Result<(), Failure> {
        let stored = self.platform.get_many(vanished)?;
        let ids: Vec<String> = stored
            .into_iter()
            .flatten()
            .filter_map(|location| {
                let mut keys = location.keys.into_iter();
                keys.find(|key| key.name == WEBEX_ID).map(|key| key.value)
            })
            .collect();
        let sites = self.load_sites()?;
        let left: Vec<String> = ids
            .iter()
            .filter_map(|id| sites.by_location.get(id).cloned())
            .collect();
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        let mut counts = SiteCounts::default();
        counts.add_left(&left);
        if let Some(text) = counts.describe_left() {
            self.platform.log(Level::Warning, &text);
        }
        self.list(index).sites.add_left(&left);
        Ok(())
    }

    /// Returns the reference of the site that this import makes for a location. It depends on the customer's node and
    /// not on the record: a record that is deleted and added again finds its sites.
    fn site_reference(&self, location: &str) -> Reference {
        let id = DocumentId::derive(&self.record.hierarchy, SITE, location);
        Reference::new(SITE, id.to_string())
    }

    /// Returns the customer's sites, which the first call reads.
    fn load_sites(&mut self) -> Result<&mut CustomerSites, Failure> {
        let sites = match self.sites.take() {
            Some(sites) => sites,
            None => self.read_sites()?,
        };
        Ok(self.sites.insert(sites))
    }

    fn read_sites(&self) -> Result<CustomerSites, Failure> {
        let customer = &self.record.hierarchy;
        let mappings = Mappings::load(self.platform, customer)?;
        if !mappings.unusable.is_empty() {
            let named = mappings.unusable.iter().take(MAX_NAMED);
            let named: Vec<String> = named
                .map(|(reference, reason)| format!("{reference} ({reason})"))
                .collect();
            let more = match mappings.unusable.len().saturating_sub(named.len()) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let named = named.join(", ");
            let text = format!("location mappings that cannot be used: {named}{more}");
            self.platform.log(Level::Warning, &text);
        }
        let mut used = UsedNodes::default();
        for (_, mapping) in mappings.iter() {
            let node = format!("{customer}.{}", mapping.intermediate_node);
            used.reserve(customer, &node);
        }
        let mut by_location = HashMap::new();
        let filter = sites::site_filter(customer, Scope::Subtree);
        sites::for_each(self.platform, &filter, |site| {
            used.reserve(customer, &site.hierarchy);
            let summary = sites::summarize(&site);
            if let Some(location) = summary.location {
                by_location.insert(location, summary.name);
            }
        })?;
        Ok(CustomerSites {
            by_location,
            used,
            mappings,
        })
    }
}
