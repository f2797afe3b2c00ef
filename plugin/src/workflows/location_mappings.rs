//! Adds and removes mappings of a customer's locations to intermediate nodes.

use schemars::JsonSchema;
use serde::Serialize;

use crate::owned_documents::new_pkid;
use crate::platform::{
    Change, Check, Failure, FieldError, Filter, Level, Platform, Scope, UniqueCheck,
};
use crate::record::Record;
use crate::sites::mappings::{Mapping, Mappings};
use crate::sites::nodes::has_room;
use crate::sites::site_filter;

/// The result of an added or removed mapping.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MappingReport {
    /// The intermediate node.
    pub intermediate_node: String,
    /// The text that the names of locations contain.
    pub search_string: String,
    /// Whether anything was changed.
    pub changed: bool,
    /// The result for the administrator.
    pub message: String,
}

/// Adds a mapping for the customer of the record `pkid`. Adding an existing one changes nothing.
///
/// # Errors
/// `invalid` (`intermediate_node`, `search_string`) for a node that is a site, and for a text that leads to another
/// node already; `not-found`, `conflict`, `unavailable`.
pub fn add_mapping(
    platform: &dyn Platform,
    pkid: &str,
    intermediate_node: &str,
    search_string: &str,
) -> Result<MappingReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let customer = record.hierarchy.as_str();
    let mapping = Mapping::new(customer, intermediate_node, search_string);
    let stored = Mappings::load(platform, customer)?;
    let node = &mapping.intermediate_node;
    let search = &mapping.search_string;
    if stored.iter().any(|(_, other)| other.is_same(&mapping)) {
        let message = format!("{search:?} leads to {node} already");
        return Ok(report(platform, mapping, false, message));
    }
    let mut errors = Vec::new();
    let path = format!("{customer}.{node}");
    if !has_room(&path) {
        let reason = format!("the path {path} leaves no room for the nodes of sites");
        errors.push(FieldError::new("intermediate_node", reason));
    } else if is_used(platform, &site_filter(&path, Scope::Node))? {
        let reason = format!("{node} is the node of a site, and sites have no sites below them");
        errors.push(FieldError::new("intermediate_node", reason));
    }
    let mut all = stored.iter();
    if let Some((_, other)) = all.find(|(_, other)| other.spells_node_differently(&mapping)) {
        let other = &other.intermediate_node;
        let reason = format!("is {other} in another mapping; a node has one spelling");
        errors.push(FieldError::new("intermediate_node", reason));
    }
    let mut all = stored.iter();
    if let Some((_, other)) = all.find(|(_, other)| other.searches_same(&mapping)) {
        let other = &other.intermediate_node;
        let reason = format!("leads to {other} already; remove that mapping first");
        errors.push(FieldError::new("search_string", reason));
    }
    if !errors.is_empty() {
        return Err(Failure::Invalid(errors));
    }
    let unique = Check::Unique(UniqueCheck {
        filter: mapping.duplicate_filter(customer),
        except: None,
    });
    let put = Change::Put(mapping.to_document(new_pkid(platform), customer)?);
    platform.commit(vec![record.version_check(), unique], vec![put])?;
    let message = format!(
        "the sites of new locations with {search:?} in their names are placed below {node}; sites that exist stay \
         where they are"
    );
    Ok(report(platform, mapping, true, message))
}

/// Removes the mappings of the customer of the record `pkid` that have this node and this text.
///
/// # Errors
/// `invalid` (`search_string`) if there is none; `not-found`, `conflict`, `unavailable`.
pub fn remove_mapping(
    platform: &dyn Platform,
    pkid: &str,
    intermediate_node: &str,
    search_string: &str,
) -> Result<MappingReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let mapping = Mapping::new(&record.hierarchy, intermediate_node, search_string);
    let stored = Mappings::load(platform, &record.hierarchy)?;
    let same = stored.iter().filter(|(_, other)| other.is_same(&mapping));
    let changes: Vec<Change> = same
        .map(|(reference, _)| Change::Delete(reference.clone()))
        .collect();
    let (node, search) = (&mapping.intermediate_node, &mapping.search_string);
    if changes.is_empty() {
        let all: Vec<String> = stored.iter().map(|(_, other)| describe(other)).collect();
        let others = match all.is_empty() {
            true => "there is no mapping".to_owned(),
            false => format!("there are {}", all.join(", ")),
        };
        let reason = format!("no mapping leads from {search:?} to {node:?}; {others}");
        return Err(Failure::Invalid(vec![FieldError::new(
            "search_string",
            reason,
        )]));
    }
    platform.commit(vec![record.version_check()], changes)?;
    let message =
        format!("{search:?} leads to {node} no longer; sites that exist stay where they are");
    Ok(report(platform, mapping, true, message))
}

fn is_used(platform: &dyn Platform, filter: &Filter) -> Result<bool, Failure> {
    Ok(!platform.find(filter, None, 1)?.documents.is_empty())
}

fn describe(mapping: &Mapping) -> String {
    format!(
        "{:?} to {}",
        mapping.search_string, mapping.intermediate_node
    )
}

fn report(
    platform: &dyn Platform,
    mapping: Mapping,
    changed: bool,
    message: String,
) -> MappingReport {
    platform.log(Level::Info, &message);
    MappingReport {
        intermediate_node: mapping.intermediate_node,
        search_string: mapping.search_string,
        changed,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Document, Reference, Storage};
    use crate::sites::mappings::LOCATION_MAPPING;
    use crate::sites::{Location, SITE, build};
    use crate::testing::{HIERARCHY, MemoryPlatform, PKID};

    fn add(platform: &MemoryPlatform, node: &str, search: &str) -> Result<MappingReport, Failure> {
        add_mapping(platform, PKID, node, search)
    }

    fn stored(platform: &MemoryPlatform) -> Vec<Document> {
        platform.documents_of(LOCATION_MAPPING)
    }

    fn error_fields(result: Result<MappingReport, Failure>) -> Vec<String> {
        match result {
            Err(Failure::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mapping_is_added_once_and_removed() {
        let platform = MemoryPlatform::connected().unwrap();
        let report = add(&platform, " Germany ", "Berlin ").unwrap();
        assert!(report.changed && report.message.contains("stay where they are"));
        let again = add(&platform, &format!("{HIERARCHY}.Germany"), "BERLIN").unwrap();
        assert!(!again.changed);
        let [document] = stored(&platform).try_into().unwrap();
        assert_eq!(document.hierarchy, HIERARCHY);
        assert_eq!(
            document.body,
            r#"{"IntermediateNode":"Germany","searchString":"Berlin"}"#
        );
        let other = remove_mapping(&platform, PKID, "Austria", "berlin");
        assert_eq!(error_fields(other), ["search_string"]);
        let removed = remove_mapping(&platform, PKID, "Germany", "berlin").unwrap();
        assert!(removed.changed && stored(&platform).is_empty());
    }

    #[test]
    fn node_has_one_spelling() {
        let platform = MemoryPlatform::connected().unwrap();
        add(&platform, "Germany", "Berlin").unwrap();
        let refused = error_fields(add(&platform, "GERMANY", "Munich"));
        assert_eq!(refused, ["intermediate_node"]);
        add(&platform, "Germany", "Munich").unwrap();
    }

    #[test]
    fn site_node_and_used_text_are_refused_together() {
        let platform = MemoryPlatform::connected().unwrap();
        add(&platform, "Germany", "Berlin").unwrap();
        let location = Location {
            id: "L1",
            name: "Paris",
        };
        let reference = Reference::new(SITE, "a".repeat(24));
        let site = build(reference, format!("{HIERARCHY}.Paris"), location, "list");
        let put = vec![Change::Put(site)];
        platform.commit(Vec::new(), put).unwrap();
        let refused = error_fields(add(&platform, "Paris", "BERLIN"));
        assert_eq!(refused, ["intermediate_node", "search_string"]);
        let mut record = Record::load(&platform, PKID).unwrap();
        record.hierarchy = format!("sys.{}", "x".repeat(990));
        let moved = vec![Change::Put(record.to_document().unwrap())];
        platform.commit(Vec::new(), moved).unwrap();
        let refused = error_fields(add(&platform, "Germany", "Berlin"));
        assert_eq!(refused, ["intermediate_node"]);
        assert_eq!(stored(&platform).len(), 1);
    }
}
