//! `mapping`: lists, adds and removes mappings of a customer's locations to intermediate nodes.

use relation_app::AppError;
use relation_app::sites::{self, LocationMapping};
use serde_json::{Map, Value};

use crate::output::escape_control_chars;
use crate::record_selector::RecordSelector;
use crate::table::{Column, Table};
use crate::{Context, progress};

/// Arguments of `mapping`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The import of locations adds a site for each new location. The site's node is directly below the customer, or below \
the intermediate node of the first mapping whose text the location's name contains. Add mappings before the import: \
sites that exist stay where they are.

Example: relation-host mapping add Contoso Germany berlin")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the mappings, in the order in which an import tries them
    List(RecordSelector),
    /// Add a mapping
    Add(MappingArgs),
    /// Remove a mapping
    Remove(MappingArgs),
}

#[derive(Debug, clap::Args)]
struct MappingArgs {
    #[command(flatten)]
    record: RecordSelector,
    /// The name of the intermediate node, directly below the customer
    #[arg(value_name = "NODE")]
    node: String,
    /// A part of the names of locations; case does not matter
    #[arg(value_name = "TEXT")]
    text: String,
}

/// Runs the subcommand.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    match args.action {
        Action::List(record) => list(context, record).await,
        Action::Add(args) => change(context, "AddLocationMapping", args).await,
        Action::Remove(args) => change(context, "RemoveLocationMapping", args).await,
    }
}

async fn list(context: &Context, record: RecordSelector) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let record = record.find(store.as_ref()).await?;
    let mappings = sites::read_mappings(store.as_ref(), &record).await?;
    context.output.page(&mappings, None, render_list)
}

async fn change(context: &Context, action: &str, args: MappingArgs) -> Result<(), AppError> {
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let arguments = [
        ("intermediate_node", args.node),
        ("search_string", args.text),
    ];
    let arguments: Map<String, Value> = arguments
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    let label = format!("{action} of {}", record.name());
    let watched = Some((host.store().as_ref(), record.reference()));
    let call = host.invoke(action, &record.pkid, arguments);
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    context.print_call(&call_output, |report| {
        let message = report.get("message").and_then(Value::as_str);
        escape_control_chars(message.unwrap_or_default())
    })
}

fn render_list(mappings: &[LocationMapping]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("location contains").shortened(16),
        Column::new("intermediate node").shortened(16),
        Column::new("pkid").droppable(1),
    ]);
    for mapping in mappings {
        rows.add([
            mapping.search_string.as_str(),
            &mapping.intermediate_node,
            mapping.pkid.as_str(),
        ]);
    }
    rows.to_string()
}
