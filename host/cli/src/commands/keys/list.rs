//! `keys list`: needs the store alone, no key.

use relation_host::store::SecretCount;
use relation_host::store::seal::list_unopened;
use relation_host::types::Timestamp;
use serde::Serialize;

use super::{UnopenedRow, counted, named, unopened_table};
use crate::failure::Failed;
use crate::table::{Column, Rows};
use crate::{Context, time};

#[derive(Serialize)]
struct Listed {
    data_keys: Vec<KeyRow>,
    /// Secrets that name a data key which the store does not have, or are no sealed values.
    without_key: u64,
    unopened: Vec<UnopenedRow>,
}

#[derive(Serialize)]
struct KeyRow {
    id: u32,
    created: Timestamp,
    /// The fingerprint of the key-encryption key.
    wrapped_by: String,
    newest: bool,
    secrets: u64,
    unopened: u64,
}

/// Prints the data keys, the oldest first.
pub async fn run(context: &Context) -> Result<(), Failed> {
    let store = context.store()?;
    let stored = store.data_keys().await?;
    let mut counts = store.key_use().await?;
    let newest = stored.last().map(|key| key.id);
    let data_keys = stored
        .into_iter()
        .map(|key| {
            let SecretCount { all, quarantined } =
                counts.by_key.remove(&key.id).unwrap_or_default();
            KeyRow {
                id: key.id,
                created: key.created,
                wrapped_by: key.kek_id,
                newest: newest == Some(key.id),
                secrets: all,
                unopened: quarantined,
            }
        })
        .collect();
    let others = counts.by_key.values().chain([&counts.malformed]);
    let listed = Listed {
        data_keys,
        without_key: others.map(|count| count.all).sum(),
        unopened: named(store.as_ref(), list_unopened(store.as_ref()).await?).await?,
    };
    context.output.print(&listed, human)
}

fn human(listed: &Listed) -> String {
    if listed.data_keys.is_empty() {
        return "no data key yet: the first host makes one".to_owned();
    }
    let mut rows = Rows::under(&[
        Column::new("id"),
        Column::new("created (UTC)").dropped(1),
        Column::new("wrapped by").dropped(2),
        Column::new("secrets"),
        Column::new("do not open"),
        Column::new(""),
    ]);
    for key in &listed.data_keys {
        rows.add([
            key.id.to_string(),
            time::stamp(key.created),
            key.wrapped_by.clone(),
            key.secrets.to_string(),
            key.unopened.to_string(),
            if key.newest { "newest" } else { "" }.to_owned(),
        ]);
    }
    let mut text = rows.to_string();
    if listed.without_key > 0 {
        text.push_str("\n\n");
        text.push_str(&counted(
            listed.without_key,
            "secret is sealed with none of them",
            "secrets are sealed with none of them",
        ));
    }
    if !listed.unopened.is_empty() {
        text.push_str("\n\n");
        text.push_str(&unopened_table(&listed.unopened));
    }
    text
}
