//! `sites`: lists the sites of a customer's Webex locations.

use relation_app::AppError;
use relation_app::sites::{self, Site};

use super::page::PageArgs;
use crate::Context;
use crate::record_selector::RecordSelector;
use crate::table::{Column, MAX_NAME_WIDTH, Table};

/// Arguments of `sites`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    #[command(flatten)]
    page: PageArgs,
}

/// Prints the sites.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let store = store.as_ref();
    let record = args.record.find(store).await?;
    let page = args
        .page
        .fetch(async |cursor, limit| {
            sites::read_page(store, &record, cursor.as_deref(), limit).await
        })
        .await?;
    context
        .output
        .page(&page.items, page.next.as_deref(), render_text)
}

fn render_text(sites: &[Site]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("site").shortened(16).at_most(MAX_NAME_WIDTH),
        Column::new("node").tail(16),
        Column::new("location")
            .shortened(16)
            .at_most(MAX_NAME_WIDTH),
        Column::new("state").shortened(12),
        Column::new("network device list").droppable(2),
        Column::new("pkid").droppable(1),
    ]);
    let mut sites: Vec<&Site> = sites.iter().collect();
    sites.sort_by_key(|site| &site.hierarchy);
    for site in sites {
        let (location, state) = match &site.location {
            None => (String::new(), "no location"),
            Some(location) => {
                let name = location.name.clone();
                let state = match location.imported {
                    true => "imported",
                    false => "not imported",
                };
                (name.unwrap_or_else(|| location.id.clone()), state)
            }
        };
        rows.add([
            &site.name,
            site.hierarchy.as_str(),
            &location,
            state,
            site.network_device_list.as_deref().unwrap_or_default(),
            site.pkid.as_str(),
        ]);
    }
    rows.to_string()
}
