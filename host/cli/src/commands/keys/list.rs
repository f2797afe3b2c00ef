//! `keys list`: lists the data keys. Needs the store, but no key.

use relation_app::AppError;
use relation_host::store::SecretCount;
use relation_host::store::seal::list_unopened;
use relation_host::text::format_count;
use relation_host::types::Timestamp;
use serde::Serialize;

use super::{UnopenedRow, name_owners, render_unopened};
use crate::table::{Column, Table};
use crate::{Context, time};

#[derive(Serialize)]
struct KeyList {
    data_keys: Vec<KeyRow>,
    /// Secrets that name a data key which is not in the store, or are not sealed values.
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
pub async fn run(context: &Context) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
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
    let list = KeyList {
        data_keys,
        without_key: others.map(|count| count.all).sum(),
        unopened: name_owners(store.as_ref(), list_unopened(store.as_ref()).await?).await?,
    };
    context.output.print(&list, render_text)
}

fn render_text(list: &KeyList) -> String {
    if list.data_keys.is_empty() {
        return "no data key yet: the first host creates one".to_owned();
    }
    let mut rows = Table::with_columns(&[
        Column::new("id"),
        Column::new("created (UTC)").droppable(1),
        Column::new("wrapped by").droppable(2),
        Column::new("secrets"),
        Column::new("do not open"),
        Column::new(""),
    ]);
    for key in &list.data_keys {
        rows.add([
            key.id.to_string(),
            time::format_timestamp(key.created),
            key.wrapped_by.clone(),
            key.secrets.to_string(),
            key.unopened.to_string(),
            if key.newest { "newest" } else { "" }.to_owned(),
        ]);
    }
    let mut text = rows.to_string();
    if list.without_key > 0 {
        text.push_str("\n\n");
        text.push_str(&format_count(
            list.without_key,
            "secret is sealed with none of them",
            "secrets are sealed with none of them",
        ));
    }
    if !list.unopened.is_empty() {
        text.push_str("\n\n");
        text.push_str(&render_unopened(&list.unopened));
    }
    text
}
