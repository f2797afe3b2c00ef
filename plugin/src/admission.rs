//! The checks of a record besides its fields' rules: allowed proxies, and uniqueness at its node.

use std::fmt;

use serde_json::{Map, Value};

use crate::model::{FieldErrors, ValidatedInput};
use crate::names;
use crate::platform::{
    Check, Failure, Filter, Key, Platform, RECORD_MODEL, Reference, Scope, Storage,
};
use crate::record::{key, secret};
use crate::webex::ids::OrgId;

/// Asks the host about each given proxy separately, so that a forbidden proxy is reported at its
/// field.
///
/// # Errors
/// The errors of the platform, except that a proxy cannot be used.
pub fn check_proxies<P: Platform + ?Sized>(
    platform: &P,
    accepted: &ValidatedInput,
    faults: &mut FieldErrors,
) -> Result<(), Failure> {
    for (field, proxy) in &accepted.sealed {
        let Some(proxy) = proxy else { continue };
        let asked = match *field {
            secret::HTTP_PROXY => platform.use_proxies(Some(proxy), None),
            _ => platform.use_proxies(None, Some(proxy)),
        };
        match asked {
            Ok(()) => {}
            Err(Failure::LimitExceeded(why)) => faults.add(*field, why),
            Err(Failure::Invalid(refused)) => {
                for fault in refused {
                    faults.add(*field, fault.message);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Looks whether name and organisation are free at `hierarchy`; `except` is the record itself.
pub fn find_doubles(
    storage: &(impl Storage + ?Sized),
    hierarchy: &str,
    accepted: &ValidatedInput,
    except: Option<&Reference>,
    faults: &mut FieldErrors,
) -> Result<(), Failure> {
    for (filter, what) in doubles(hierarchy, accepted) {
        let field = match what {
            Double::Name => "name",
            Double::Organization => accepted.organization_field,
        };
        if faults.has_error_for(field) {
            continue;
        }
        // Two, because one of them may be the record itself.
        let page = storage.find(&filter, None, 2)?;
        let double = page
            .documents
            .into_iter()
            .find(|document| Some(&document.reference) != except);
        if let Some(double) = double {
            let other = double.reference.pkid;
            faults.add(
                field,
                format!("is taken: the record {other} at {hierarchy} has this {what} already"),
            );
        }
    }
    Ok(())
}

/// The same as conditions of the commit, for two calls at once.
pub fn no_doubles(
    hierarchy: &str,
    accepted: &ValidatedInput,
    except: Option<&Reference>,
) -> impl Iterator<Item = Check> {
    doubles(hierarchy, accepted)
        .into_iter()
        .map(move |(filter, _)| Check::Unique(filter, except.cloned()))
}

/// A property that two records at one node must not share.
#[derive(Clone, Copy, Debug)]
enum Double {
    Name,
    Organization,
}

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Organization => "organisation",
        })
    }
}

/// By what records at `hierarchy` are found that have the same name, in any spelling, and the same
/// organisation.
fn doubles(hierarchy: &str, accepted: &ValidatedInput) -> Vec<(Filter, Double)> {
    let names = name_of(&accepted.fields).map(names::list_spellings);
    let names = names.unwrap_or_default().into_iter();
    let organization = accepted
        .organization
        .map(|organization| connected_to(hierarchy, organization));
    names
        .map(|name| (named(hierarchy, &name), Double::Name))
        // A stored name may be longer than any key.
        .filter(|(filter, _)| filter.can_match())
        .chain(organization.map(|filter| (filter, Double::Organization)))
        .collect()
}

/// Records at `hierarchy` that have this key.
pub fn at_node(hierarchy: &str, key: Key) -> Filter {
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: hierarchy.to_owned(),
        scope: Scope::Node,
        equals: vec![key],
    }
}

fn named(hierarchy: &str, name: &str) -> Filter {
    at_node(hierarchy, Key::new(key::NAME, name))
}

fn connected_to(hierarchy: &str, organization: OrgId) -> Filter {
    at_node(
        hierarchy,
        Key::new(key::ORGANIZATION, organization.external()),
    )
}

fn name_of(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("name").and_then(Value::as_str)
}
