//! Entries as a request shows them: fields that it has not asked for are absent.

use serde_json::{Value, json};

use crate::directory::Role;
use crate::generated::{self, Blueprint};
use crate::ids;
use crate::query::Query;

/// The circumstances of a response.
pub(crate) struct View<'a> {
    pub(crate) blueprint: &'a Blueprint,
    pub(crate) query: &'a Query,
    /// Whether the response has this entry alone, as `GET /v1/people/{id}`.
    pub(crate) is_single: bool,
    /// The roles of the administrator.
    pub(crate) roles: &'a [Role],
}

/// Removes these fields of an object.
fn remove(entry: &mut Value, fields: &[&str]) {
    if let Some(object) = entry.as_object_mut() {
        for field in fields {
            object.remove(*field);
        }
    }
}

/// Shapes a person. A list has the data of Webex Calling only on request. A list by ids has neither presence nor
/// roles, licenses and locations.
pub(super) fn person(entry: &mut Value, view: &View<'_>) {
    let organization = &view.blueprint.organization;
    let is_administrator = entry
        .get("id")
        .and_then(Value::as_str)
        .and_then(ids::uuid_in)
        .is_some_and(|uuid| uuid.to_string() == ids::administrator(&organization.uuid));
    if is_administrator && let Some(roles) = entry.get_mut("roles") {
        *roles = view.roles.iter().map(|role| role.id.clone()).collect();
    }
    if view.is_single {
        return;
    }
    let by_id = view.query.get("id").is_some();
    if by_id {
        remove(entry, &["roles", "licenses", "locationId"]);
    }
    if by_id || view.query.is_true("excludeStatus") {
        remove(entry, &["status", "lastActivity"]);
    }
    if !view.query.is_true("callingData") {
        remove(entry, &["extension", "locationId"]);
        if let Some(Value::Array(numbers)) = entry.get_mut("phoneNumbers") {
            let is_of_calling = |number: &Value| {
                let kind = number.get("type").and_then(Value::as_str);
                kind.is_some_and(|kind| kind.starts_with("work"))
            };
            numbers.retain(|number| !is_of_calling(number));
            if numbers.is_empty() {
                remove(entry, &["phoneNumbers"]);
            }
        }
    }
}

/// Shapes a location. A single one lacks `preferredLanguage`, as in the documentation's example.
pub(super) fn location(entry: &mut Value, view: &View<'_>) {
    if view.is_single {
        remove(entry, &["preferredLanguage"]);
    }
}

pub(super) fn workspace(entry: &mut Value, view: &View<'_>) {
    let with_devices = view
        .query
        .is_true("includeDevices")
        .then(|| generated::devices(entry));
    let Some(fields) = entry.as_object_mut() else {
        return;
    };
    if let Some(devices) = with_devices {
        fields.insert("devices".to_owned(), devices);
    }
    if view.query.is_true("includeCapabilities") {
        let capabilities = json!({"occupancyDetection": {"supported": true, "configured": false}});
        fields.insert("capabilities".to_owned(), capabilities);
    }
}

pub(super) fn workspace_location(entry: &mut Value, view: &View<'_>) {
    *entry = generated::to_workspace_location(view.blueprint, entry);
}

/// Shapes a group. Members are shown on request, 500 at most.
pub(super) fn group(entry: &mut Value, view: &View<'_>) {
    if !view.query.is_true("includeMembers") {
        remove(entry, &["members"]);
    } else if let Some(Value::Array(members)) = entry.get_mut("members") {
        members.truncate(500);
    }
    if let Some(attributes) = view.query.get("attributes")
        && let Some(fields) = entry.as_object_mut()
    {
        let wanted: Vec<_> = attributes.split(',').map(str::trim).collect();
        fields.retain(|name, _| name == "id" || wanted.contains(&name.as_str()));
    }
}

/// Shapes a customer. The licenses of packages are shown on request, for a single customer only.
pub(super) fn customer(entry: &mut Value, view: &View<'_>) {
    if view.is_single && view.query.is_true("includePackageLicenseInfo") {
        return;
    }
    if let Some(Value::Array(packages)) = entry.pointer_mut("/resourceDetails/packages") {
        for package in packages {
            remove(package, &["licenseIds"]);
        }
    }
}
