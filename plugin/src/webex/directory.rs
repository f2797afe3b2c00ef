//! A list of an organization's objects at Webex: address, scope, pages, and the members of an entry that are read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::ids::OrgId;
use super::list_body::read_text_member;
use super::redactor::Redactor;
use crate::grant::Grant;
use crate::platform::MAX_KEY_BYTES;

/// The maximum size of an entry, in bytes of JSON. Real ones have less than 20 000.
const MAX_ENTRY_BYTES: usize = 128 * 1024;

/// A list of an organization's objects at Webex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The model as which the entries are stored.
    pub model: &'static str,
    /// The name of the entries in messages, in the plural.
    pub plural: &'static str,
    /// The root of the API that has the list.
    pub api: Api,
    /// The path below the API's root; `{organization}` stands for the organization's bare UUID.
    pub path: &'static str,
    /// The grant whose token reads the list.
    pub grant: Grant,
    /// The scope required for reading the list.
    pub scope: &'static str,
    /// The organization's entries among all that the token can see.
    pub selection: Selection,
    /// The way in which the list is divided into pages.
    pub paging: Paging,
    /// The member of a page with its entries.
    pub items: &'static str,
    /// The search keys besides id and name: the key's name, and the member with its value or values.
    pub keys: &'static [(&'static str, &'static str)],
    /// The search keys whose value is the pkid of another imported document.
    pub links: &'static [Link],
    /// Whether Webex announced the end of the list: 404 and 410 are then not errors.
    pub is_deprecated: bool,
    /// Whether each entry has a site at the customer.
    pub has_sites: bool,
}

/// A search key that leads to documents of another model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The key's name.
    pub key: &'static str,
    /// The member with Webex's id of the other object, or several ids.
    pub member: &'static str,
    /// The model of the other document.
    pub model: &'static str,
}

/// The root of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Webex's REST API.
    Webex,
    /// The API of Contact Center in the record's region.
    ContactCenter,
}

/// The way in which the entries of the record's organization are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The list is the same for every organization, or the path names the organization.
    Whole,
    /// By the parameter `orgId`. Without it, a partner receives its own organization's entries.
    Parameter,
    /// By the entry's own id: a partner's token sees several organizations.
    OwnId,
}

/// The way in which a list is divided into pages. A `Link` header is followed in every list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Only by `Link` headers. The parameter `max` asks for pages of this size; none: the list has no such parameter.
    Link(Option<u32>),
    /// By the position of the page's first entry.
    Position(PageParameters),
    /// By the page's number.
    Number(PageParameters),
}

/// The parameters of a list whose pages are requested by position or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageParameters {
    /// The parameter with the page's position or number.
    pub start: &'static str,
    /// Its value for the first page.
    pub first: u32,
    /// The parameter with the size of a page, and its value.
    pub size: (&'static str, u32),
    /// The members that lead to the number of all entries, or of all pages; empty: the list has none and ends with an
    /// empty page.
    pub total: &'static [&'static str],
}

impl Directory {
    /// Returns the query parameters that every page of `organization` must have.
    pub fn filters(&self, organization: Option<OrgId>) -> Vec<(&'static str, String)> {
        organization
            .filter(|_| self.selection == Selection::Parameter)
            .map(|organization| ("orgId", organization.internal()))
            .into_iter()
            .collect()
    }

    /// Returns the query parameters of the first page besides the filters.
    pub fn first_page(&self) -> Vec<(&'static str, String)> {
        match self.paging {
            Paging::Link(None) => Vec::new(),
            Paging::Link(Some(size)) => vec![("max", size.to_string())],
            Paging::Position(parameters) | Paging::Number(parameters) => {
                let (name, size) = parameters.size;
                vec![
                    (parameters.start, parameters.first.to_string()),
                    (name, size.to_string()),
                ]
            }
        }
    }

    /// Returns whether `entry` belongs to `organization`.
    pub fn selects(&self, entry: &Entry, organization: Option<OrgId>) -> bool {
        self.selection != Selection::OwnId
            || organization.is_none_or(|own| OrgId::parse(&entry.id).is_ok_and(|id| id == own))
    }
}

/// One entry of a directory. Id, name and search keys are read; the entry is stored as Webex sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Webex's id of the entry: opaque.
    pub id: String,
    /// The display name, if there is one.
    pub name: Option<String>,
    /// The members of the entry: all of them after [`parse`](Self::parse).
    pub fields: Map<String, Value>,
    /// The complete entry in JSON, as Webex sent it.
    pub json: String,
}

/// The members with the name of an entry, in order of preference.
const NAMES: &[&str] = &["name", "displayName"];

/// The reason why an entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The entry is not valid JSON; the text says why.
    #[error("cannot be read: {0}")]
    Json(String),
    /// The entry is not a JSON object.
    #[error("is not an object")]
    NoObject,
    /// The entry has no id.
    #[error("has no usable id")]
    NoId,
    /// The entry is larger than any expected one.
    #[error("is larger than 128 KiB")]
    TooLarge,
}

impl Entry {
    /// Parses an item of a page from JSON.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn parse(item: &[u8]) -> Result<Self, EntryError> {
        let fields = serde_json::from_slice(item).map_err(|error| {
            // Line and column are relative to the entry, so they do not help a person.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            EntryError::Json(reason.to_owned())
        })?;
        let Value::Object(fields) = fields else {
            return Err(EntryError::NoObject);
        };
        Self::from_fields(fields, item)
    }

    /// Reads only the members that an import of `directory` needs, which is much faster than
    /// [`parse`](Self::parse). Accepts every item that `parse` accepts, and some that it refuses: the values of the other
    /// members are not checked.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn skim(item: &[u8], directory: &Directory) -> Result<Self, EntryError> {
        let mut json = serde_json::Deserializer::from_slice(item);
        let fields = NeededMembers(directory).deserialize(&mut json);
        let fields = fields.and_then(|fields| json.end().map(|()| fields));
        Self::from_fields(
            fields.map_err(|error| EntryError::Json(error.to_string()))?,
            item,
        )
    }

    fn from_fields(fields: Map<String, Value>, item: &[u8]) -> Result<Self, EntryError> {
        let text = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| fields.get(*name)?.as_str())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let id = text(&["id"])
            .filter(|id| id.len() <= MAX_KEY_BYTES)
            .ok_or(EntryError::NoId)?;
        let name = text(NAMES).filter(|name| name.len() <= MAX_KEY_BYTES);
        if item.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge);
        }
        let json = String::from_utf8(item.to_vec())
            .map_err(|error| EntryError::Json(error.to_string()))?;
        Ok(Self {
            id,
            name,
            fields,
            json,
        })
    }

    /// Returns the search keys of `directory` besides id and name.
    pub fn keys<'a>(
        &'a self,
        directory: &'a Directory,
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        let keys = directory.keys.iter();
        keys.flat_map(|(name, member)| self.texts(member).map(|text| (*name, text)))
            .filter(|(_, text)| text.len() <= MAX_KEY_BYTES)
    }

    /// Returns the texts of a member: its own, or each of an array. Empty ones are left out.
    pub fn texts(&self, member: &str) -> impl Iterator<Item = &str> {
        let values = match self.fields.get(member) {
            None => &[],
            Some(Value::Array(several)) => several.as_slice(),
            Some(value) => std::slice::from_ref(value),
        };
        let texts = values.iter().filter_map(Value::as_str);
        texts.filter(|text| !text.is_empty())
    }

    /// Returns the id, or else the name, of an unusable item, redacted for a message.
    pub fn label_unreadable(item: &[u8]) -> Option<String> {
        let read_member = |name| read_text_member(item, name).filter(|text| !text.is_empty());
        let text = read_member("id").or_else(|| read_member("name"))?;
        Redactor::default().redact(&text)
    }
}

/// The members of an entry that an import of the directory reads.
struct NeededMembers<'a>(&'a Directory);

impl NeededMembers<'_> {
    fn includes(&self, member: &str) -> bool {
        let Self(directory) = self;
        member == "id"
            || NAMES.contains(&member)
            || directory.keys.iter().any(|(_, each)| *each == member)
            || directory.links.iter().any(|each| each.member == member)
    }
}

impl<'de> DeserializeSeed<'de> for NeededMembers<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NeededMembers<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut needed = Map::new();
        while let Some(name) = members.next_key_seed(MemberName(&self))? {
            match name {
                Some(name) => {
                    needed.insert(name, members.next_value()?);
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(needed)
    }
}

/// The name of a member, if the member is needed.
struct MemberName<'a>(&'a NeededMembers<'a>);

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.includes(name).then(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::webex::directories::{LICENSES, ORGANIZATION, ROLES, USERS};

    fn read(item: &Value) -> Result<Entry, EntryError> {
        Entry::parse(item.to_string().as_bytes())
    }

    #[test]
    fn entry_keeps_all_fields_as_sent() {
        let item = json!({"id": "L1", "name": "Calling", "totalUnits": 5, "new": [{"x": null}]});
        let entry = read(&item).unwrap();
        assert_eq!(entry.id, "L1");
        assert_eq!(entry.name.as_deref(), Some("Calling"));
        assert_eq!(Value::Object(entry.fields), item);
    }

    proptest! {
        #[test]
        fn skimmed_entry_has_the_parsed_id_name_and_keys(
            members in prop::collection::vec((
                prop::sample::select(vec!["id", "name", "displayName", "emails", "licenses", "x", "\\u0069d"]),
                prop::sample::select(vec![
                    "\"A\"", "[\"a@b\",\"c\"]", "null", "5", "{\"id\":[1]}", "\"\\u00e9\\n\"", "\"\"", "1e400", "x",
                ]),
            ), 0..8),
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            let item = format!("{{{}}}", members.join(" ,"));
            if let Ok(parsed) = Entry::parse(item.as_bytes()) {
                let skimmed = Entry::skim(item.as_bytes(), &USERS).unwrap();
                prop_assert_eq!(&skimmed.id, &parsed.id);
                prop_assert_eq!(&skimmed.name, &parsed.name);
                prop_assert!(skimmed.keys(&USERS).eq(parsed.keys(&USERS)));
                prop_assert_eq!(&skimmed.fields.get("licenses"), &parsed.fields.get("licenses"));
                prop_assert_eq!(&skimmed.json, &item);
            }
        }
    }

    #[test]
    fn entry_name_is_optional_or_a_display_name() {
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
    fn entry_without_id_or_too_large_is_refused() {
        let read = |item| read(&item).unwrap_err();
        assert_eq!(read(json!("L1")), EntryError::NoObject);
        for id in [json!(null), json!(""), json!(7), json!("x".repeat(5_000))] {
            assert_eq!(read(json!({"id": id})), EntryError::NoId);
        }
        assert_eq!(read(json!({"name": "x"})), EntryError::NoId);
        assert_eq!(
            read(json!({"id": "1", "notes": "x".repeat(200_000)})),
            EntryError::TooLarge
        );
    }

    #[test]
    fn unreadable_entry_is_labeled_with_its_cause() {
        let deep = format!(
            "{{\"id\":\"R1\",\"x\":{}{}}}",
            "[".repeat(200),
            "]".repeat(200)
        );
        for (item, reason, name) in [
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
            match Entry::parse(item.as_bytes()).unwrap_err() {
                EntryError::Json(text) => {
                    assert!(text.contains(reason), "{text}");
                    assert!(!text.contains("line"), "{text}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(Entry::label_unreadable(item.as_bytes()).as_deref(), name);
        }
    }

    #[test]
    fn lists_are_filtered_by_organization() {
        let organization = OrgId::parse("8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11").ok();
        assert_eq!(ROLES.filters(organization), []);
        assert_eq!(LICENSES.filters(None), []);
        let internal = organization.unwrap().internal();
        assert_eq!(
            LICENSES.filters(organization),
            [("orgId", internal.clone())]
        );
        let own = read(&json!({"id": internal})).unwrap();
        let other = read(&json!({"id": "ef4c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11"})).unwrap();
        assert!(ORGANIZATION.selects(&own, organization));
        assert!(!ORGANIZATION.selects(&other, organization));
        assert!(LICENSES.selects(&other, organization));
    }

    #[test]
    fn each_of_several_values_is_a_key() {
        let user =
            json!({"id": "P1", "emails": ["a@example.com", "b@example.com"], "locationId": ""});
        let user = read(&user).unwrap();
        let keys: Vec<_> = user.keys(&USERS).collect();
        assert_eq!(
            keys,
            [("email", "a@example.com"), ("email", "b@example.com")]
        );
    }
}
