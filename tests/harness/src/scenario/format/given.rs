//! `[given]` and `[limits]`: the state before a scenario, and the limits of its calls.

use relation_host::limits::{Limit, LimitUnit, LimitValue, Limits};
use relation_host::types::{Hierarchy, Pkid, RECORD_MODEL, Reference, Wakeup};
use relation_toml::{DeValue, Table, ValueError};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{default_given, keys, values};
use crate::scenario::model::{
    Content, GivenDocument, GivenSecret, GivenState, GivenWakeup, StoreKind,
};
use crate::scenario::template::{Template, texts_in, to_text};

/// The default node.
pub const NODE: &str = "sys.Provider.Reseller";

/// The names that are known when a scenario begins: those of `[webex]`.
#[derive(Clone, Debug, Default)]
pub struct KnownNames(pub Vec<String>);

impl KnownNames {
    /// Rejects unknown names, which would otherwise be stored literally without a notice.
    fn check(&self, template: &Template) -> Result<(), ValueError> {
        let known = |name: &&str| self.0.iter().any(|known| known == name);
        let Some(unknown) = template.names().find(|name| !known(name)) else {
            return Ok(());
        };
        let known: Vec<String> = self.0.iter().map(|name| format!("{{{name}}}")).collect();
        let known = match known.is_empty() {
            true => "no name is known then".to_owned(),
            false => format!("known then are {}", known.join(", ")),
        };
        Err(ValueError::new(format!(
            "nothing is known as {{{unknown}}} when a scenario begins"
        ))
        .hint(format!("{known}; a brace that is meant is written {{{{")))
    }

    /// Reads a text that contains only known names.
    pub fn template(&self, value: DeValue<'_>) -> Result<Template, ValueError> {
        let template = values::parse_template(value)?;
        self.check(&template)?;
        Ok(template)
    }

    fn object(&self, value: DeValue<'_>) -> Result<Map<String, Value>, ValueError> {
        let object = values::parse_object(value)?;
        for text in object.values().flat_map(texts_in) {
            self.check(&Template::parse(text))?;
        }
        Ok(object)
    }
}

/// Reads `[given]`, in which the known names can be used.
pub fn read(mut table: Table<'_, '_>, known: &KnownNames) -> GivenState {
    let default = default_given();
    let store = |value| {
        let stores = [("memory", StoreKind::Memory), ("sqlite", StoreKind::Sqlite)];
        values::parse_word(value, "store", &stores)
    };
    let clock = table
        .get("clock", values::parse_moment)
        .unwrap_or(default.clock);
    let seed = table
        .get("seed", values::parse_count::<u64>)
        .unwrap_or(default.seed);
    let store = table.get("store", store).unwrap_or(default.store);
    let leases = table
        .get("leases", values::parse_flag)
        .unwrap_or(default.leases);
    let documents = table.tables("document", &keys::GIVEN_DOCUMENT);
    let secrets = table.tables("secret", &keys::GIVEN_SECRET);
    let wakeups = table.tables("wakeup", &keys::GIVEN_WAKEUP);
    table.close();
    GivenState {
        clock,
        seed,
        store,
        leases,
        documents: documents
            .into_iter()
            .filter_map(|table| document(table, known))
            .collect(),
        secrets: secrets
            .into_iter()
            .filter_map(|table| secret(table, known))
            .collect(),
        wakeups: wakeups
            .into_iter()
            .filter_map(|table| wakeup(table, known))
            .collect(),
    }
}

fn document(mut table: Table<'_, '_>, known: &KnownNames) -> Option<GivenDocument> {
    let reference = reference(&mut table);
    let hierarchy = table
        .get("hierarchy", values::parse_hierarchy)
        .or_else(default_node);
    let content = match table.choose_one(&["body", "text"]) {
        Some("body") => table
            .get("body", |value| known.object(value))
            .map(Content::Object),
        // The text need not be JSON: such a document can be damaged data.
        _ => table
            .get("text", |value| known.template(value))
            .map(Content::Text),
    };
    let keys = table.get("keys", |value| known.object(value));
    let keys = keys.unwrap_or_default().into_iter();
    let keys = keys.map(|(name, value)| (name, Template::parse(&to_text(&value))));
    let keys = keys.collect();
    table.close();
    Some(GivenDocument {
        reference: reference?,
        hierarchy: hierarchy?,
        content: content?,
        keys,
    })
}

fn secret(mut table: Table<'_, '_>, known: &KnownNames) -> Option<GivenSecret> {
    let owner = reference(&mut table);
    let name = table.require("name", values::parse_text);
    let value = table.require("value", |value| {
        let written = values::parse_any_text(value)?;
        known.check(&Template::parse(&written))?;
        Ok(SecretString::from(written))
    });
    table.close();
    Some(GivenSecret {
        owner: owner?,
        name: name?,
        value: value?,
    })
}

fn wakeup(mut table: Table<'_, '_>, known: &KnownNames) -> Option<GivenWakeup> {
    let subject = reference(&mut table);
    let id = table.require("id", values::parse_text);
    let due = table.require("due", values::parse_moment);
    let deadline = table.get("deadline", values::parse_moment);
    let payload = table.get("payload", |value| known.template(value));
    table.close();
    Some(GivenWakeup {
        wakeup: Wakeup {
            id: id?,
            subject: subject?,
            due: due?,
            deadline,
            payload: String::new(),
        },
        payload: payload.unwrap_or_default(),
    })
}

fn reference(table: &mut Table<'_, '_>) -> Option<Reference> {
    let model = table.get("model", values::parse_text);
    let pkid: Option<Pkid> = table.require("pkid", values::parse_pkid);
    Some(Reference::new(
        model.unwrap_or_else(|| RECORD_MODEL.to_owned()),
        pkid?,
    ))
}

/// Returns the default node.
pub fn default_node() -> Option<Hierarchy> {
    Hierarchy::try_from(NODE.to_owned()).ok()
}

/// Reads `[limits]`.
pub fn limits(mut table: Table<'_, '_>) -> Limits {
    let mut limits = Limits::default();
    for limit in Limit::ALL {
        table.get(limit.name(), |value| {
            let value = match limit.unit() {
                LimitUnit::Bytes => LimitValue::Bytes(values::parse_size(value)?),
                LimitUnit::Count => LimitValue::Count(values::parse_positive(value)?),
                LimitUnit::Time => LimitValue::Time(values::parse_duration(value)?),
            };
            match limits.set(*limit, value) {
                true => Ok(()),
                false => Err("is too large".into()),
            }
        });
    }
    table.close();
    limits
}
