//! Sites of a customer's Webex locations: their documents, their nodes, and the mappings that place them.
//!
//! A site is a document of [`SITE`] at a node of its own below the customer. The import of locations adds a site for
//! each location and never deletes one, because other services use sites.

pub mod mappings;
pub mod nodes;

use serde_json::{Map, Value, json};

use crate::platform::{Document, Failure, Filter, Key, Reference, Scope, Storage};
use crate::record::key;

/// The model of sites.
pub const SITE: &str = "data/Site";
/// The model of network device lists.
pub const NETWORK_DEVICE_LIST: &str = "data/NetworkDeviceList";

/// The key with the id of a site's location.
const LOCATION_KEY: &str = "location";

/// The members of a site's body that this plugin reads or writes.
mod member {
    pub const NAME: &str = "name";
    pub const LIST: &str = "network_device_list";
    pub const LOCATION: &str = "default_location";
    pub const LOCATION_NAME: &str = "default_location_name";
}

/// A location that can have a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// Webex's id.
    pub id: &'a str,
    /// The name, as [`nodes::clean_name`] returns it.
    pub name: &'a str,
}

/// Builds the site of `location` at `node`.
pub fn build(reference: Reference, node: String, location: Location<'_>, list: &str) -> Document {
    let body = json!({
        (member::NAME): location.name,
        (member::LIST): list,
        (member::LOCATION): location.id,
        (member::LOCATION_NAME): location.name,
    });
    Document {
        reference,
        hierarchy: node,
        version: 0,
        body: body.to_string(),
        keys: vec![
            Key::new(key::NAME, location.name),
            Key::new(LOCATION_KEY, location.id),
        ],
    }
}

/// Returns `site` with the new name of its `location`. `None` if the location's name is unchanged, or the site does not
/// have the location's old name any more. A name that a person has given stays.
pub fn rename(site: &Document, location: Location<'_>) -> Option<Document> {
    let mut body: Map<String, Value> = serde_json::from_str(&site.body).ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let old_name = text(member::LOCATION_NAME)?;
    let is_own =
        text(member::LOCATION) == Some(location.id) && text(member::NAME) == Some(old_name);
    if !is_own || old_name == location.name {
        return None;
    }
    for name in [member::NAME, member::LOCATION_NAME] {
        body.insert(name.to_owned(), location.name.into());
    }
    let mut keys = site.keys.clone();
    keys.retain(|each| each.name != key::NAME);
    keys.push(Key::new(key::NAME, location.name));
    Some(Document {
        body: Value::Object(body).to_string(),
        keys,
        ..site.clone()
    })
}

/// The members of a site that an import needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSummary {
    /// The name; empty if the site has none.
    pub name: String,
    /// The id of the site's default location.
    pub location: Option<String>,
}

/// Reads a site, which any other client may have written.
pub fn summarize(site: &Document) -> SiteSummary {
    let body: Map<String, Value> = serde_json::from_str(&site.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    SiteSummary {
        name: text(member::NAME).unwrap_or_default(),
        location: text(member::LOCATION),
    }
}

/// Builds the blank network device list of a customer.
pub fn build_list(reference: Reference, hierarchy: &str, customer: &str) -> Document {
    let name = format!("{customer} NDL");
    let body = json!({
        "name": name,
        "description": "Blank list for the sites of Webex locations",
        "devices": [],
    });
    Document {
        reference,
        hierarchy: hierarchy.to_owned(),
        version: 0,
        body: body.to_string(),
        keys: [Key::new(key::NAME, name)]
            .into_iter()
            .filter(Key::fits)
            .collect(),
    }
}

/// Returns the filter for the network device lists of the customer at `hierarchy`.
pub fn list_filter(hierarchy: &str) -> Filter {
    Filter {
        model: NETWORK_DEVICE_LIST.to_owned(),
        hierarchy: hierarchy.to_owned(),
        scope: Scope::Node,
        equals: Vec::new(),
    }
}

/// Describes what a delete leaves to other services at the customer's node `hierarchy`. `None` if there is nothing.
///
/// # Errors
/// Storage errors.
pub fn describe_kept(storage: &dyn Storage, hierarchy: &str) -> Result<Option<String>, Failure> {
    const MOST: u32 = 1000;
    let count = |filter: &Filter, one: &str| -> Result<Option<String>, Failure> {
        let page = storage.find(filter, None, MOST)?;
        let more = if page.next.is_some() {
            "more than "
        } else {
            ""
        };
        Ok(match page.documents.len() {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{more}{count} {one}s")),
        })
    };
    let lists = count(&list_filter(hierarchy), "network device list")?;
    let sites = count(&site_filter(hierarchy, Scope::Subtree), "site")?;
    let kept: Vec<String> = [lists, sites].into_iter().flatten().collect();
    Ok((!kept.is_empty()).then(|| kept.join(" and ")))
}

/// Returns the filter for the sites in a part of the hierarchy.
pub fn site_filter(hierarchy: &str, scope: Scope) -> Filter {
    Filter {
        model: SITE.to_owned(),
        hierarchy: hierarchy.to_owned(),
        scope,
        equals: Vec::new(),
    }
}

/// Passes every document that matches `filter` to `take`.
///
/// # Errors
/// Storage errors.
pub fn for_each(
    storage: &dyn Storage,
    filter: &Filter,
    mut take: impl FnMut(Document),
) -> Result<(), Failure> {
    const PAGE_SIZE: u32 = 500;
    let mut cursor = None;
    loop {
        let page = storage.find(filter, cursor.as_deref(), PAGE_SIZE)?;
        page.documents.into_iter().for_each(&mut take);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Document {
        let location = Location {
            id: "L1",
            name: "Berlin",
        };
        let reference = Reference::new(SITE, "a".repeat(24));
        build(reference, "sys.Acme.Berlin".to_owned(), location, "list")
    }

    fn renamed(site: &Document, id: &str, name: &str) -> Option<Document> {
        rename(site, Location { id, name })
    }

    #[test]
    fn site_takes_the_new_name_of_its_location() {
        let mut site = site();
        site.body = site.body.replace("{", "{\"country\":\"DE\",");
        let renamed_site = renamed(&site, "L1", "Berlin Mitte").unwrap();
        let summary = summarize(&renamed_site);
        assert_eq!(summary.name, "Berlin Mitte");
        assert_eq!(summary.location.as_deref(), Some("L1"));
        assert_eq!(renamed_site.hierarchy, "sys.Acme.Berlin");
        assert!(renamed_site.body.contains("\"country\":\"DE\""));
        let name = Key::new("name", "Berlin Mitte");
        assert!(renamed_site.keys.contains(&name));
        assert_eq!(renamed_site.keys.len(), 2);
        assert_eq!(renamed(&renamed_site, "L1", "Berlin Mitte"), None);
    }

    #[test]
    fn site_that_a_person_changed_keeps_its_name() {
        let unchanged = site();
        assert_eq!(renamed(&unchanged, "L1", "Berlin"), None);
        assert_eq!(renamed(&unchanged, "L2", "Paris"), None);
        for (from, to) in [
            ("\"name\":\"Berlin\"", "\"name\":\"Headquarters\""),
            ("\"default_location\":\"L1\"", "\"default_location\":\"L9\""),
            (
                "\"default_location_name\":\"Berlin\"",
                "\"default_location_name\":7",
            ),
            ("{", "["),
        ] {
            let mut site = site();
            assert!(site.body.contains(from), "{}", site.body);
            site.body = site.body.replace(from, to);
            assert_eq!(renamed(&site, "L1", "Berlin Mitte"), None, "{to}");
        }
    }
}
