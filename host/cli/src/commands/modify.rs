//! `modify`: changes fields of a customer, or stores new tokens.

use relation_app::AppError;
use serde_json::Value;

use super::view;
use crate::fields::FieldArgs;
use crate::record_selector::RecordSelector;
use crate::{Context, progress};

/// Arguments of `modify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: RecordSelector,
    /// The customer's new name; its data syncs and schedules are renamed too
    #[arg(long)]
    name: Option<String>,
    /// Clear this field; can be repeated
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
}

/// Changes the record and prints its connection.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let mut input = args
        .fields
        .read(vec![("name", args.name.map(Value::from))])?;
    input.clear(args.clear)?;
    if input.is_empty() {
        return Err(AppError::usage("there is nothing to change")
            .hint("`relation-host modify --help` lists the options that give fields"));
    }
    let host = context.installation.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let token_response = input.token_response.clone();
    let fields = input.into_fields(&host.describe().await?)?;
    let label = format!("modifying {}", record.name());
    let call = host.modify(&record.pkid, fields, token_response);
    let watched = Some((host.store().as_ref(), record.reference()));
    let call_output = progress::show_while(&label, watched, call).await;
    let call_output = call_output.map_err(|error| record.explain(error))?;
    let now = host.clock().now();
    context.print_call(&call_output, |connection| {
        view::render_connection(connection, now)
    })
}
