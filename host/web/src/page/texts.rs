//! The texts of the page: one file for each language, with the same keys.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    German,
}

type Texts = BTreeMap<String, String>;

static ENGLISH: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("../../texts/en.toml")));
static GERMAN: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("../../texts/de.toml")));

/// Returns the texts of a file by `table.key`. A file that is not valid has none; a test reports it.
fn parse(file: &str) -> Texts {
    let tables: BTreeMap<String, Texts> = toml::from_str(file).unwrap_or_default();
    let keys = tables.into_iter().flat_map(|(table, texts)| {
        let texts = texts.into_iter();
        texts.map(move |(key, text)| (format!("{table}.{key}"), text))
    });
    keys.collect()
}

impl Language {
    /// All languages.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Returns the code of BCP 47.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// Returns the language's own name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Finds a language by its code.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.code() == code)
    }

    /// Returns the first language of an `Accept-Language` header that the page has.
    pub(crate) fn from_header(header: &str) -> Option<Self> {
        let mut tags = header.split(',').map(|tag| {
            let tag = tag.split(';').next().unwrap_or_default().trim();
            tag.split('-').next().unwrap_or_default().to_lowercase()
        });
        tags.find_map(|code| Self::from_code(&code))
    }

    /// Returns the text of `key`; the key itself if there is none.
    pub(crate) fn text(self, key: &str) -> String {
        let texts = match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        };
        let text = texts.get(key).or_else(|| ENGLISH.get(key));
        text.cloned().unwrap_or_else(|| key.to_owned())
    }

    /// Returns the text of `key` with `value` in place of `{}`.
    pub(crate) fn text_with(self, key: &str, value: impl Display) -> String {
        self.text(key).replace("{}", &value.to_string())
    }

    #[cfg(test)]
    /// Returns the text of `key`, or `None` if there is none.
    pub(crate) fn find(self, key: &str) -> Option<String> {
        let text = self.text(key);
        (text != key).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn read_all(directory: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => read_all(&path, into),
                false => into.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }

    /// Returns the keys that follow a call such as `ui.t(`.
    fn used_keys(source: &str) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for call in ["t(\"", "t1(\"", "text(\"", "text_with(\""] {
            for (position, _) in source.match_indices(call) {
                let before = source[..position].chars().next_back();
                let rest = &source[position + call.len()..];
                let key = rest.split('"').next().unwrap_or_default();
                let is_key = key.split('.').count() == 2 && !key.contains([' ', '{', '/']);
                if before == Some('.') && is_key {
                    keys.insert(key.to_owned());
                }
            }
        }
        keys
    }

    #[test]
    fn languages_have_the_same_keys_and_placeholders() {
        assert!(
            !ENGLISH.is_empty() && !GERMAN.is_empty(),
            "a file is not valid TOML"
        );
        let keys = |texts: &Texts| texts.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&ENGLISH), keys(&GERMAN));
        for (key, text) in &*ENGLISH {
            let other = &GERMAN[key];
            assert_eq!(text.contains("{}"), other.contains("{}"), "{key}");
            assert!(!text.trim().is_empty() && !other.trim().is_empty(), "{key}");
        }
    }

    #[test]
    fn every_used_key_has_a_text() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        read_all(&root.join("templates"), &mut sources);
        read_all(&root.join("src/page"), &mut sources);
        let used: BTreeSet<String> = sources.iter().flat_map(|each| used_keys(each)).collect();
        assert!(used.len() > 50, "{used:?}");
        let missing: Vec<_> = used
            .iter()
            .filter(|key| !ENGLISH.contains_key(*key))
            .collect();
        assert!(missing.is_empty(), "no text has the keys {missing:?}");
    }

    #[test]
    fn every_state_status_and_role_has_a_text() {
        use relation_host::reports::{Grant, State};
        use relation_host::transactions::Status;

        let states = State::ALL
            .iter()
            .flat_map(|state| [format!("state.{state}"), format!("advice.{state}")]);
        let statuses = Status::ALL.iter();
        let statuses =
            statuses.map(|status| format!("status.{}", super::super::parts::slug(status.as_str())));
        let grants = [
            Grant::Organization,
            Grant::WholesaleCustomers,
            Grant::WholesaleUsers,
        ];
        let grants = grants.iter().map(|grant| format!("grant.{grant}"));
        let severities = relation_app::alerts::Severity::ALL.iter();
        let severities = severities.map(|severity| format!("severity.{}", severity.as_str()));
        let operations = crate::access::Operation::ALL
            .iter()
            .map(|operation| operation.as_str());
        let operations = operations.flat_map(|name| {
            [
                format!("operations.{name}"),
                format!("operations.{name}-help"),
            ]
        });
        let others = severities.chain(operations);
        for key in states.chain(statuses).chain(grants).chain(others) {
            assert!(ENGLISH.contains_key(&key), "{key}");
        }
    }

    #[test]
    fn language_follows_the_browser() {
        for (header, language) in [
            ("de-CH,de;q=0.9,en;q=0.8", Some(Language::German)),
            ("fr, en-GB;q=0.7", Some(Language::English)),
            ("fr", None),
            ("", None),
        ] {
            assert_eq!(Language::from_header(header), language, "{header}");
        }
    }
}
