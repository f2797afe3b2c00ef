//! Checks that name and organization of a record are unique at its node.

use std::fmt;

use serde_json::{Map, Value};

use crate::model::{FieldErrors, ValidatedInput};
use crate::names;
use crate::platform::{
    Check, Failure, Filter, Key, RECORD_MODEL, Reference, Scope, Storage, UniqueCheck,
};
use crate::record::key;
use crate::webex::ids::OrgId;

/// Checks that name and organization are unused at `hierarchy`; `except` is the record itself.
pub fn find_duplicates(
    storage: &dyn Storage,
    hierarchy: &str,
    accepted: &ValidatedInput,
    except: Option<&Reference>,
    errors: &mut FieldErrors,
) -> Result<(), Failure> {
    for (filter, unique) in duplicate_filters(hierarchy, accepted) {
        let field = match unique {
            UniqueField::Name => "name",
            UniqueField::Organization => accepted.organization_field,
        };
        if errors.has_error_for(field) {
            continue;
        }
        // Two, because one of them may be the record itself.
        let page = storage.find(&filter, None, 2)?;
        let duplicate = page
            .documents
            .into_iter()
            .find(|document| Some(&document.reference) != except);
        if let Some(duplicate) = duplicate {
            let other = duplicate.reference.pkid;
            errors.add(
                field,
                format!("is taken: the record {other} at {hierarchy} has this {unique} already"),
            );
        }
    }
    Ok(())
}

/// Returns the same checks as conditions of the commit, against concurrent calls.
pub fn uniqueness_checks(
    hierarchy: &str,
    accepted: &ValidatedInput,
    except: Option<&Reference>,
) -> impl Iterator<Item = Check> {
    duplicate_filters(hierarchy, accepted)
        .into_iter()
        .map(move |(filter, _)| {
            Check::Unique(UniqueCheck {
                filter,
                except: except.cloned(),
            })
        })
}

/// A property that must be unique among the records of a node.
#[derive(Clone, Copy, Debug)]
enum UniqueField {
    Name,
    Organization,
}

impl fmt::Display for UniqueField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Organization => "organization",
        })
    }
}

/// Returns the filters that find records at `hierarchy` with the same name, in any spelling, or the
/// same organization.
fn duplicate_filters(hierarchy: &str, accepted: &ValidatedInput) -> Vec<(Filter, UniqueField)> {
    let names = read_name(&accepted.fields).map(names::list_spellings);
    let names = names.unwrap_or_default().into_iter();
    let organization = accepted
        .organization
        .map(|organization| filter_by_organization(hierarchy, organization));
    names
        .map(|name| (filter_by_name(hierarchy, &name), UniqueField::Name))
        // A stored name may be longer than any key.
        .filter(|(filter, _)| filter.can_match())
        .chain(organization.map(|filter| (filter, UniqueField::Organization)))
        .collect()
}

/// Returns a filter for the records at `hierarchy` with this key.
pub fn filter_at_node(hierarchy: &str, key: Key) -> Filter {
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: hierarchy.to_owned(),
        scope: Scope::Node,
        equals: vec![key],
    }
}

fn filter_by_name(hierarchy: &str, name: &str) -> Filter {
    filter_at_node(hierarchy, Key::new(key::NAME, name))
}

fn filter_by_organization(hierarchy: &str, organization: OrgId) -> Filter {
    filter_at_node(
        hierarchy,
        Key::new(key::ORGANIZATION, organization.external()),
    )
}

fn read_name(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("name").and_then(Value::as_str)
}
