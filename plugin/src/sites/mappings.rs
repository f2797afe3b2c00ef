//! Mappings of locations to intermediate nodes: where the sites of new locations are placed.

use serde::{Deserialize, Serialize};

use super::nodes::{find_node_error, fold};
use crate::names::find_hidden_character;
use crate::platform::{Document, Failure, Filter, Key, Reference, Scope, Storage};

/// The model of mappings.
pub const LOCATION_MAPPING: &str = "data/WebexLocationNodeMapping";
/// The maximum length of a search string in bytes.
const MAX_SEARCH_BYTES: usize = 1024;
/// The key with the search string in the form in which it is compared.
const SEARCH_KEY: &str = "search_string";

/// A mapping: a location whose name contains the search string gets its site below the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The name of a node directly below the customer.
    #[serde(default, rename = "IntermediateNode")]
    pub intermediate_node: String,
    /// A part of the names of locations; compared without case.
    #[serde(default, rename = "searchString")]
    pub search_string: String,
}

impl Mapping {
    /// Creates a mapping without the space around the texts. A path of a node directly below `customer` is also
    /// accepted.
    pub fn new(customer: &str, intermediate_node: &str, search_string: &str) -> Self {
        let node = intermediate_node.trim();
        let below = node.strip_prefix(customer);
        let node = below
            .and_then(|node| node.strip_prefix('.'))
            .unwrap_or(node);
        Self {
            intermediate_node: node.to_owned(),
            search_string: search_string.trim().to_owned(),
        }
    }

    /// Returns whether both mappings have the same effect.
    pub fn is_same(&self, other: &Self) -> bool {
        self.intermediate_node == other.intermediate_node && self.searches_same(other)
    }

    /// Returns whether both mappings search for the same text.
    pub fn searches_same(&self, other: &Self) -> bool {
        fold(&self.search_string) == fold(&other.search_string)
    }

    /// Returns whether both mappings name the same node, ignoring case, in different spellings.
    pub fn spells_node_differently(&self, other: &Self) -> bool {
        let (node, other) = (&self.intermediate_node, &other.intermediate_node);
        node != other && fold(node) == fold(other)
    }

    /// Builds the document of the mapping for the customer at `hierarchy`.
    pub fn to_document(&self, pkid: String, hierarchy: &str) -> Result<Document, Failure> {
        let body = serde_json::to_string(self).map_err(|error| {
            Failure::Internal(format!("the mapping cannot be written: {error}"))
        })?;
        Ok(Document {
            reference: Reference::new(LOCATION_MAPPING, pkid),
            hierarchy: hierarchy.to_owned(),
            version: 0,
            body,
            keys: vec![self.search_key()],
        })
    }

    /// Returns the filter for mappings of the customer at `hierarchy` that search for the same text.
    pub fn duplicate_filter(&self, hierarchy: &str) -> Filter {
        Filter {
            equals: vec![self.search_key()],
            ..filter(hierarchy)
        }
    }

    fn search_key(&self) -> Key {
        Key::new(SEARCH_KEY, fold(&self.search_string))
    }

    fn find_error(&self) -> Option<String> {
        let node = find_node_error(&self.intermediate_node);
        let search = || find_search_error(&self.search_string);
        node.map(|reason| format!("IntermediateNode {reason}"))
            .or_else(|| search().map(|reason| format!("searchString {reason}")))
    }
}

/// Returns why `text` cannot be a search string, as a fragment that follows the field's name.
pub fn find_search_error(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("must not be empty: every name would contain it".to_owned());
    }
    if text.len() > MAX_SEARCH_BYTES {
        let length = text.len();
        return Some(format!(
            "has {length} bytes; at most {MAX_SEARCH_BYTES} are possible"
        ));
    }
    find_hidden_character(text)
}

/// The mappings of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    // In the order in which they are tried.
    usable: Vec<(Reference, Mapping)>,
    /// Stored mappings that place no site, with the reason.
    pub unusable: Vec<(Reference, String)>,
}

impl Mappings {
    /// Loads the mappings of the customer at `hierarchy`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn load(storage: &dyn Storage, hierarchy: &str) -> Result<Self, Failure> {
        let mut found = Self::default();
        super::for_each(storage, &filter(hierarchy), |document| {
            found.add(hierarchy, document);
        })?;
        found.usable.sort_by_key(|(reference, mapping)| {
            let texts = [&mapping.intermediate_node, &mapping.search_string];
            (texts.map(|text| fold(text)), reference.clone())
        });
        Ok(found)
    }

    fn add(&mut self, hierarchy: &str, document: Document) {
        let reference = document.reference;
        let stored: Mapping = match serde_json::from_str(&document.body) {
            Ok(mapping) => mapping,
            Err(error) => return self.unusable.push((reference, error.to_string())),
        };
        let mapping = Mapping::new(hierarchy, &stored.intermediate_node, &stored.search_string);
        match mapping.find_error() {
            Some(reason) => self.unusable.push((reference, reason)),
            None => self.usable.push((reference, mapping)),
        }
    }

    /// Returns the intermediate node for a location: that of the first mapping, by node and search string, whose text
    /// the location's name contains. `None`: the site is placed directly below the customer.
    pub fn find_node(&self, location: &str) -> Option<&str> {
        let name = fold(location);
        let mut all = self.iter();
        let matching = all.find(|(_, mapping)| name.contains(&fold(&mapping.search_string)))?;
        Some(&matching.1.intermediate_node)
    }

    /// Returns the usable mappings with their documents, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &(Reference, Mapping)> {
        self.usable.iter()
    }
}

fn filter(hierarchy: &str) -> Filter {
    Filter {
        model: LOCATION_MAPPING.to_owned(),
        hierarchy: hierarchy.to_owned(),
        scope: Scope::Node,
        equals: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::platform::Change;
    use crate::testing::{HIERARCHY, MemoryPlatform};

    fn load(bodies: &[Value]) -> Mappings {
        let platform = MemoryPlatform::new();
        let put = |(number, body): (usize, &Value)| {
            Change::Put(Document {
                reference: Reference::new(LOCATION_MAPPING, format!("{number:024x}")),
                hierarchy: HIERARCHY.to_owned(),
                version: 0,
                body: body.to_string(),
                keys: Vec::new(),
            })
        };
        let puts = bodies.iter().enumerate().map(put).collect();
        platform.commit(Vec::new(), puts).unwrap();
        Mappings::load(&platform, HIERARCHY).unwrap()
    }

    fn mapping(node: &str, search: &str) -> Value {
        json!({"IntermediateNode": node, "searchString": search})
    }

    #[test]
    fn location_is_placed_by_a_part_of_its_name() {
        let mappings = load(&[
            mapping("South", "munich"),
            mapping("Germany", " BERLIN "),
            mapping("Alps", "ber"),
            mapping(&format!("{HIERARCHY}.Greece"), "ΟΔΟΣ"),
        ]);
        for (name, node) in [
            ("Office Berlin-Mitte", Some("Alps")),
            ("MUNICH", Some("South")),
            ("Hamburg", None),
            ("οδος 7", Some("Greece")),
        ] {
            assert_eq!(mappings.find_node(name), node, "{name}");
        }
        assert!(mappings.unusable.is_empty());
    }

    #[test]
    fn unusable_mapping_places_nothing() {
        let mappings = load(&[
            mapping("", "a"),
            mapping("a.b", "a"),
            mapping("Germany", "  "),
            json!({"IntermediateNode": 7, "searchString": "a"}),
            json!({}),
        ]);
        assert_eq!(mappings.find_node("aaa"), None);
        assert_eq!(mappings.unusable.len(), 5);
        assert!(mappings.unusable[1].1.contains("IntermediateNode must be"));
    }
}
