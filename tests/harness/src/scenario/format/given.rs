//! `[given]` and `[limits]`: where a scenario begins, and what its calls may use.

use relation_host::Limits;
use relation_host::types::{Document, Hierarchy, Key, Pkid, RECORD_MODEL, Reference, Wakeup};
use secrecy::SecretString;

use super::reader::Table;
use super::source::Complaint;
use super::{beginning, keys, values};
use crate::scenario::model::{Given, GivenSecret, StoreKind};

/// The node of everything for which a scenario names none.
pub const NODE: &str = "sys.Provider.Reseller";

/// Reads `[given]`.
pub fn read(mut table: Table<'_, '_>) -> Given {
    let reader = table.reader();
    let usual = beginning();
    let store = |value| {
        let stores = [("memory", StoreKind::Memory), ("sqlite", StoreKind::Sqlite)];
        values::word(value, "store", &stores)
    };
    let clock = table.get("clock", values::moment).unwrap_or(usual.clock);
    let seed = table
        .get("seed", values::count::<u64>)
        .unwrap_or(usual.seed);
    let store = table.get("store", store).unwrap_or(usual.store);
    let leases = table.get("leases", values::flag).unwrap_or(usual.leases);
    let documents = table.take("document");
    let documents =
        documents.map_or_else(Vec::new, |item| reader.tables(item, &keys::GIVEN_DOCUMENT));
    let secrets = table.take("secret");
    let secrets = secrets.map_or_else(Vec::new, |item| reader.tables(item, &keys::GIVEN_SECRET));
    let wakeups = table.take("wakeup");
    let wakeups = wakeups.map_or_else(Vec::new, |item| reader.tables(item, &keys::GIVEN_WAKEUP));
    table.close();
    Given {
        clock,
        seed,
        store,
        leases,
        documents: documents.into_iter().filter_map(document).collect(),
        secrets: secrets.into_iter().filter_map(secret).collect(),
        wakeups: wakeups.into_iter().filter_map(wakeup).collect(),
    }
}

fn document(mut table: Table<'_, '_>) -> Option<Document> {
    let reference = reference(&mut table);
    let hierarchy = table.get("hierarchy", values::hierarchy).or_else(node);
    let body = match table.exactly_one(&["body", "text"]) {
        Some("body") => table
            .get("body", values::object)
            .map(|body| serde_json::Value::Object(body).to_string()),
        // Also what is no JSON: a document that something else has damaged.
        _ => table.get("text", values::any_text),
    };
    let names = table.get("keys", values::object).unwrap_or_default();
    let keys = names.into_iter().map(|(name, value)| Key {
        name,
        value: crate::scenario::template::plain(&value),
    });
    let keys = keys.collect();
    table.close();
    Some(Document {
        reference: reference?,
        hierarchy: hierarchy?,
        version: 0,
        body: body?,
        keys,
    })
}

fn secret(mut table: Table<'_, '_>) -> Option<GivenSecret> {
    let owner = reference(&mut table);
    let name = table.need("name", values::text);
    let value = table.need("value", values::any_text);
    table.close();
    Some(GivenSecret {
        owner: owner?,
        name: name?,
        value: SecretString::from(value?),
    })
}

fn wakeup(mut table: Table<'_, '_>) -> Option<Wakeup> {
    let subject = reference(&mut table);
    let id = table.need("id", values::text);
    let due = table.need("due", values::moment);
    let deadline = table.get("deadline", values::moment);
    let payload = table.get("payload", values::any_text).unwrap_or_default();
    table.close();
    Some(Wakeup {
        id: id?,
        subject: subject?,
        due: due?,
        deadline,
        payload,
    })
}

fn reference(table: &mut Table<'_, '_>) -> Option<Reference> {
    let model = table.get("model", values::text);
    let pkid: Option<Pkid> = table.need("pkid", values::pkid);
    Some(Reference::new(
        model.unwrap_or_else(|| RECORD_MODEL.to_owned()),
        pkid?,
    ))
}

/// The usual node.
pub fn node() -> Option<Hierarchy> {
    Hierarchy::try_from(NODE.to_owned()).ok()
}

/// Reads `[limits]`.
pub fn limits(mut table: Table<'_, '_>) -> Limits {
    let usual = Limits::default();
    let limits = Limits {
        memory: table.get("memory", values::size).unwrap_or(usual.memory),
        time: table.get("time", values::duration).unwrap_or(usual.time),
        request_time: table
            .get("request-time", values::duration)
            .unwrap_or(usual.request_time),
        response: table
            .get("response", values::size)
            .unwrap_or(usual.response),
        headers: table.get("headers", values::size).unwrap_or(usual.headers),
        requests: table.get("requests", positive).unwrap_or(usual.requests),
        commit: table.get("commit", values::size).unwrap_or(usual.commit),
        changes: table.get("changes", positive).unwrap_or(usual.changes),
        host_calls: table
            .get("host-calls", positive)
            .unwrap_or(usual.host_calls),
        transfer: table
            .get("transfer", values::size)
            .unwrap_or(usual.transfer),
        handles: table.get("handles", positive).unwrap_or(usual.handles),
        table: table.get("table", positive).unwrap_or(usual.table),
        log: table.get("log", values::size).unwrap_or(usual.log),
        calls: usual.calls,
    };
    table.close();
    limits
}

fn positive<T: TryFrom<i64> + Default + PartialEq>(
    value: toml::de::DeValue<'_>,
) -> Result<T, Complaint> {
    match values::count::<T>(value)? {
        none if none == T::default() => Err(Complaint::new("must be 1 or more")),
        some => Ok(some),
    }
}
