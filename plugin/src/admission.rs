//! What a record must pass besides its fields' rules: a place of its own.

use serde_json::{Map, Value};

use crate::model::{Accepted, Faults};
use crate::platform::{Check, Failure, Filter, Key, RECORD_MODEL, Reference, Scope, Storage};
use crate::record::key;
use crate::webex::ids::OrgId;

/// Looks whether name and organisation are free at `hierarchy`; `except` is the record itself.
pub fn find_doubles(
    storage: &(impl Storage + ?Sized),
    hierarchy: &str,
    accepted: &Accepted,
    except: Option<&Reference>,
    faults: &mut Faults,
) -> Result<(), Failure> {
    let [name, organization] = doubles(hierarchy, accepted);
    for (filter, field, what) in [
        (name, "name", "this name"),
        (
            organization,
            accepted.organization_field,
            "this organisation",
        ),
    ] {
        let Some(filter) = filter else { continue };
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
                format!("is taken: the record {other} at {hierarchy} has {what} already"),
            );
        }
    }
    Ok(())
}

/// The same as conditions of the commit, for two calls at once.
pub fn no_doubles(
    hierarchy: &str,
    accepted: &Accepted,
    except: Option<&Reference>,
) -> impl Iterator<Item = Check> {
    doubles(hierarchy, accepted)
        .into_iter()
        .flatten()
        .map(move |filter| Check::Unique(filter, except.cloned()))
}

/// By what records at `hierarchy` are found that have the same name, and the same organisation.
fn doubles(hierarchy: &str, accepted: &Accepted) -> [Option<Filter>; 2] {
    let name = name_of(&accepted.fields).map(|name| named(hierarchy, name));
    let organization = accepted
        .organization
        .map(|organization| connected_to(hierarchy, organization));
    // A stored name may be longer than any key.
    [name.filter(Filter::can_match), organization]
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
