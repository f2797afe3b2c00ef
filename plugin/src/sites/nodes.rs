//! Nodes of sites: the safe form of a location's name, and the choice of a node that no other site has.
//!
//! The name of a node is the location's name, changed as follows:
//!
//! 1. A run of white space, line breaks and control characters becomes one space; spaces at the ends are removed.
//! 2. Characters that cannot be seen or that reorder others are removed (see [`crate::names`]).
//! 3. The text takes Unicode's normalization form C.
//! 4. A full stop, a slash and a backslash each become `_`.
//! 5. The text is cut to [`MAX_NODE_BYTES`], or to the room that the parent's path leaves.
//! 6. An empty text becomes `Location`.
//! 7. If the node is in use, ignoring case, `_` and 8 hexadecimal digits of the location's id are appended. If that is
//!    in use too, 24 digits are appended, and then a number.

use std::collections::HashSet;

use crate::names::{find_hidden_character, normalize_name, remove_hidden_characters};

/// The maximum length of a node's name in bytes.
pub const MAX_NODE_BYTES: usize = 256;
/// The maximum length of a node's path in bytes, as the contract defines it.
const MAX_PATH_BYTES: usize = 1024;
/// The minimum room for a node's name, in bytes: no suffix is as long.
const MIN_NODE_BYTES: usize = 32;
/// The maximum length of a site's name in bytes.
const MAX_NAME_BYTES: usize = 1024;
/// The name of a location without any visible character.
const UNNAMED: &str = "Location";
/// Characters of paths and URLs.
const SEPARATORS: [char; 3] = ['.', '/', '\\'];
/// The lengths of the suffixes that tell nodes of the same name apart, in hexadecimal digits.
const SUFFIX_DIGITS: [usize; 2] = [8, 24];
/// The maximum number after a suffix.
const MAX_NUMBER: u32 = 99;

/// Returns the visible form of a location's name: one line without hidden characters, never empty.
pub fn clean_name(name: &str) -> String {
    let spaced: String = name
        .chars()
        .map(|c| match c.is_whitespace() || c.is_control() {
            true => ' ',
            false => c,
        })
        .collect();
    let visible = remove_hidden_characters(&spaced);
    let words: Vec<&str> = visible.split_whitespace().collect();
    let cut = cut(&normalize_name(&words.join(" ")), MAX_NAME_BYTES);
    match cut.is_empty() {
        true => UNNAMED.to_owned(),
        false => cut,
    }
}

/// Returns the form in which texts are compared without case.
pub fn fold(text: &str) -> String {
    // The upper case is the same for all forms of a letter, such as the two small sigmas.
    normalize_name(&text.to_lowercase().to_uppercase()).into_owned()
}

/// Returns why `text` cannot be the name of a node, as a fragment that follows the field's name.
pub fn find_node_error(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("must not be empty".to_owned());
    }
    if text.contains(SEPARATORS) {
        return Some(
            "must be the name of one node directly below the customer, without full stops and slashes"
                .to_owned(),
        );
    }
    if text.len() > MAX_NODE_BYTES {
        let length = text.len();
        return Some(format!(
            "has {length} bytes; at most {MAX_NODE_BYTES} are possible"
        ));
    }
    find_hidden_character(text)
}

/// Returns whether the path of `parent` leaves room for the name of a node.
pub fn has_room(parent: &str) -> bool {
    find_room(parent) >= MIN_NODE_BYTES
}

/// Returns the maximum length of a node's name below `parent`, in bytes.
fn find_room(parent: &str) -> usize {
    MAX_PATH_BYTES
        .saturating_sub(parent.len())
        .saturating_sub(1)
        .min(MAX_NODE_BYTES)
}

/// The nodes below a customer that are in use, compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedNodes(HashSet<String>);

impl UsedNodes {
    /// Marks `path` and the nodes between it and `customer` as used.
    pub fn reserve(&mut self, customer: &str, path: &str) {
        let mut path = path;
        while path.len() > customer.len() && self.0.insert(fold(path)) {
            path = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
    }

    /// Returns the possible paths of a new node for `name` below `parent`, the preferred one first; no path if the
    /// parent leaves no room. `id` has 24 hexadecimal digits that only this node has.
    pub fn candidates(&self, parent: &str, name: &str, id: &str) -> impl Iterator<Item = String> {
        let room = find_room(parent);
        let has_room = has_room(parent);
        let name = clean_name(name).replace(SEPARATORS, "_");
        let suffixes = SUFFIX_DIGITS.map(|digits| format!("_{}", id.get(..digits).unwrap_or(id)));
        let [_, longest] = suffixes.clone();
        let numbered = (2..=MAX_NUMBER).map(move |number| format!("{longest}_{number}"));
        std::iter::once(String::new())
            .chain(suffixes)
            .chain(numbered)
            .filter(move |_| has_room)
            .map(move |suffix| {
                let name = cut(&name, room.saturating_sub(suffix.len()));
                format!("{parent}.{name}{suffix}")
            })
            .filter(|path| !self.0.contains(&fold(path)))
    }
}

/// Cuts `text` to at most `max` bytes, without a space or an incomplete sequence at its end.
fn cut(text: &str, max: usize) -> String {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let (kept, _) = text.split_at(end);
    let visible = remove_hidden_characters(kept);
    normalize_name(&visible).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CUSTOMER: &str = "sys.Provider.Acme";

    fn id(number: usize) -> String {
        format!("{number:024x}")
    }

    /// Chooses a node for each name, in order.
    fn choose(parent: &str, names: &[String]) -> Vec<String> {
        let mut used = UsedNodes::default();
        let chosen = names.iter().enumerate().map(|(number, name)| {
            let chosen = used.candidates(parent, name, &id(number)).next().unwrap();
            used.reserve(CUSTOMER, &chosen);
            chosen
        });
        chosen.collect()
    }

    fn node(name: &str) -> String {
        let chosen = choose(CUSTOMER, &[name.to_owned()]).remove(0);
        chosen
            .strip_prefix("sys.Provider.Acme.")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn node_has_the_safe_form_of_the_name() {
        for (name, expected) in [
            ("Berlin", "Berlin"),
            ("  Berlin\t\r\n Mitte ", "Berlin Mitte"),
            ("St. Gallen", "St_ Gallen"),
            ("A/B\\C", "A_B_C"),
            ("..", "__"),
            ("", "Location"),
            (" \u{200b}\u{feff} ", "Location"),
            ("Ber\u{202e}lin\u{7}", "Berlin"),
            ("Zu\u{308}rich", "Zürich"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
        ] {
            assert_eq!(node(name), expected, "{name:?}");
        }
        assert_eq!(node(&"x".repeat(5_000)).len(), MAX_NODE_BYTES);
        assert_eq!(node(&"京".repeat(100)).len(), 255);
    }

    #[test]
    fn used_node_gets_digits_of_the_location() {
        let names = [
            "Berlin", "BERLIN ", "berlin", "Berlin.", "STRASSE", "straße",
        ];
        let names = names.map(str::to_owned);
        let chosen = choose(CUSTOMER, &names);
        let expected = [
            "Berlin",
            "BERLIN_00000000",
            "berlin_000000000000000000000002",
        ];
        for (chosen, expected) in chosen.iter().zip(expected) {
            assert_eq!(chosen, &format!("{CUSTOMER}.{expected}"));
        }
        assert_eq!(chosen[3], format!("{CUSTOMER}.Berlin_"));
        assert_eq!(chosen[5], format!("{CUSTOMER}.straße_00000000"));
    }

    #[test]
    fn intermediate_nodes_of_a_path_are_used() {
        let mut used = UsedNodes::default();
        used.reserve(CUSTOMER, "sys.Provider.Acme.Germany.Berlin");
        let chosen = used.candidates(CUSTOMER, "GERMANY", &id(1)).next().unwrap();
        assert_eq!(chosen, "sys.Provider.Acme.GERMANY_00000000");
        let chosen = used.candidates(CUSTOMER, "Berlin", &id(1)).next().unwrap();
        assert_eq!(chosen, "sys.Provider.Acme.Berlin");
    }

    #[test]
    fn parent_without_room_has_no_candidate() {
        let used = UsedNodes::default();
        let parent = |length: usize| format!("sys.{}", "x".repeat(length - 4));
        let longest = used
            .candidates(&parent(991), &"y".repeat(99), &id(1))
            .next();
        assert_eq!(longest.unwrap().len(), MAX_PATH_BYTES);
        assert_eq!(used.candidates(&parent(992), "y", &id(1)).next(), None);
    }

    #[test]
    fn node_errors_say_what_is_possible() {
        assert_eq!(find_node_error("Germany (North)"), None);
        for (text, reason) in [
            (" ", "empty"),
            ("a.b", "one node"),
            ("a/b", "one node"),
            ("a\u{200b}", "cannot be seen"),
        ] {
            let error = find_node_error(text).unwrap();
            assert!(error.contains(reason), "{error}");
        }
        assert!(find_node_error(&"x".repeat(257)).is_some());
    }

    /// Names that collide often, and names with characters of every kind.
    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[aAbB ./_\u{200b}\u{200d}\n]{0,4}",
            "[ßẞsSςσΣıiİ]{0,3}",
            ".{0,20}",
            any::<String>(),
            "[京\u{301}\u{fe0f}\u{200c}]{80,120}",
        ]
    }

    proptest! {
        #[test]
        fn every_location_has_a_valid_node_of_its_own(
            names in proptest::collection::vec(any_name(), 1..40),
            depth in 0_usize..900,
        ) {
            let parent = format!("{CUSTOMER}.{}", "p".repeat(depth + 1));
            let chosen = choose(&parent, &names);
            let mut folded = HashSet::new();
            for path in &chosen {
                let node = path.strip_prefix(&format!("{parent}.")).unwrap();
                prop_assert_eq!(find_node_error(node), None, "{:?}", node);
                prop_assert!(path.len() <= MAX_PATH_BYTES);
                prop_assert_eq!(node.trim(), node);
                prop_assert!(!node.contains(char::is_control));
                prop_assert_eq!(normalize_name(node).into_owned(), node);
                prop_assert!(folded.insert(fold(path)), "{:?} is used twice", node);
            }
            prop_assert_eq!(choose(&parent, &names), chosen);
        }

        #[test]
        fn clean_name_is_stable_and_visible(name in any_name()) {
            let clean = clean_name(&name);
            prop_assert_eq!(clean_name(&clean), clean.clone());
            prop_assert!(!clean.is_empty() && clean.len() <= MAX_NAME_BYTES);
            prop_assert_eq!(find_hidden_character(&clean), None);
        }
    }
}
