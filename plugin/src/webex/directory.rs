//! What Webex lists of an organisation: where each list is, what it takes to read it, and what of
//! an entry must be understood.

use serde_json::{Map, Value};

use super::ids::OrgId;
use super::list_body::read_text_member;
use super::scrub::Scrubber;
use crate::platform::LONGEST_KEY;

/// The largest entry that is taken, in bytes of JSON. Real ones have less than 20 000.
const LARGEST_ENTRY: usize = 128 * 1024;

/// A list of things that belong to an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The model that its entries are stored as.
    pub model: &'static str,
    /// What its entries are called.
    pub what: &'static str,
    /// Where it is, below the API's root.
    pub path: &'static str,
    /// The scope that it takes to read it.
    pub scope: &'static str,
    /// Whether it is narrowed by `orgId`: without it, a partner is answered for its own
    /// organisation.
    pub by_organization: bool,
}

/// The roles that users can have; the same in every organisation.
pub const ROLES: Directory = Directory {
    model: "device/spark/Role",
    what: "roles",
    path: "/roles",
    scope: "spark-admin:roles_read",
    by_organization: false,
};

/// The licences of the organisation, with how many of each are used.
pub const LICENSES: Directory = Directory {
    model: "device/spark/License",
    what: "licences",
    path: "/licenses",
    scope: "spark-admin:licenses_read",
    by_organization: true,
};

impl Directory {
    /// The query parameters that narrow it to `organization`.
    pub fn filters(&self, organization: Option<OrgId>) -> Vec<(&'static str, String)> {
        organization
            .filter(|_| self.by_organization)
            .map(|organization| ("orgId", organization.internal()))
            .into_iter()
            .collect()
    }
}

/// One entry of a directory. Only what names it is looked at; the rest, known or not, is Webex's.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Webex's id of it: opaque.
    pub id: String,
    /// What a person calls it, when it has a name.
    pub name: Option<String>,
    /// The whole entry, as Webex sent it.
    pub fields: Map<String, Value>,
}

/// Why an entry cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON that can be read, and why.
    #[error("cannot be read: {0}")]
    Json(String),
    /// It is no JSON object.
    #[error("is not an object")]
    NoObject,
    /// There is nothing to tell it from others.
    #[error("has no usable id")]
    NoId,
    /// Nothing of that size is expected.
    #[error("is larger than any that is expected")]
    TooLarge,
}

impl Entry {
    /// Understands an item of a page, in JSON.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read(item: &[u8]) -> Result<Self, Unreadable> {
        let item = serde_json::from_slice(item).map_err(|error| {
            // Its line and column are those of the entry, which tells a person nothing.
            let why = error.to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            Unreadable::Json(why.to_owned())
        })?;
        let Value::Object(fields) = item else {
            return Err(Unreadable::NoObject);
        };
        let text = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| fields.get(*name)?.as_str())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let id = text(&["id"])
            .filter(|id| id.len() <= LONGEST_KEY)
            .ok_or(Unreadable::NoId)?;
        let name = text(&["name", "displayName"]).filter(|name| name.len() <= LONGEST_KEY);
        let size = serde_json::to_string(&fields).map_or(usize::MAX, |json| json.len());
        if size > LARGEST_ENTRY {
            return Err(Unreadable::TooLarge);
        }
        Ok(Self { id, name, fields })
    }

    /// The id of an item that cannot be taken, or else its name, fit for a message.
    pub fn name_unreadable(item: &[u8]) -> Option<String> {
        let named = |name| read_text_member(item, name).filter(|text| !text.is_empty());
        let text = named("id").or_else(|| named("name"))?;
        Scrubber::default().text(&text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(item: &Value) -> Result<Entry, Unreadable> {
        Entry::read(item.to_string().as_bytes())
    }

    #[test]
    fn an_entry_is_kept_as_webex_sent_it_known_fields_or_not() {
        let item = json!({"id": "L1", "name": "Calling", "totalUnits": 5, "new": [{"x": null}]});
        let entry = read(&item).unwrap();
        assert_eq!(entry.id, "L1");
        assert_eq!(entry.name.as_deref(), Some("Calling"));
        assert_eq!(Value::Object(entry.fields), item);
    }

    #[test]
    fn a_name_is_optional_and_may_be_called_otherwise() {
        let name = |item| read(&item).unwrap().name;
        assert_eq!(name(json!({"id": "1"})), None);
        assert_eq!(name(json!({"id": "1", "name": 5})), None);
        assert_eq!(
            name(json!({"id": "1", "displayName": "A"})).as_deref(),
            Some("A")
        );
        assert_eq!(name(json!({"id": "1", "name": "x".repeat(5_000)})), None);
    }

    #[test]
    fn what_cannot_be_told_from_others_or_is_absurd_is_not_taken() {
        let read = |item| read(&item).unwrap_err();
        assert_eq!(read(json!("L1")), Unreadable::NoObject);
        for id in [json!(null), json!(""), json!(7), json!("x".repeat(5_000))] {
            assert_eq!(read(json!({"id": id})), Unreadable::NoId);
        }
        assert_eq!(read(json!({"name": "x"})), Unreadable::NoId);
        assert_eq!(
            read(json!({"id": "1", "notes": "x".repeat(200_000)})),
            Unreadable::TooLarge
        );
    }

    #[test]
    fn unreadable_entry_says_why_and_is_named_where_it_can_be() {
        let deep = format!(
            "{{\"id\":\"R1\",\"x\":{}{}}}",
            "[".repeat(200),
            "]".repeat(200)
        );
        for (item, why, name) in [
            (r#"{"id":"R1","name":"\ud83d"}"#, "hex escape", Some("R1")),
            (
                r#"{"id":"R1","n":1e400}"#,
                "number out of range",
                Some("R1"),
            ),
            (
                r#"{"name":"Cut","n":1e400}"#,
                "number out of range",
                Some("Cut"),
            ),
            (r#"{"id":"\ud83d"}"#, "hex escape", None),
            (deep.as_str(), "recursion limit", Some("R1")),
            (r#"{"id":"R1",}"#, "trailing comma", Some("R1")),
        ] {
            match Entry::read(item.as_bytes()).unwrap_err() {
                Unreadable::Json(text) => {
                    assert!(text.contains(why), "{text}");
                    assert!(!text.contains("line"), "{text}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(Entry::name_unreadable(item.as_bytes()).as_deref(), name);
        }
    }

    #[test]
    fn licences_are_asked_for_by_organisation_and_roles_are_not() {
        let organization = OrgId::parse("8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11").ok();
        assert_eq!(ROLES.filters(organization), []);
        assert_eq!(LICENSES.filters(None), []);
        let internal = organization.unwrap().internal();
        assert_eq!(LICENSES.filters(organization), [("orgId", internal)]);
    }
}
