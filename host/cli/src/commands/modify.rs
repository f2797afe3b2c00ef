//! `modify`: changes fields of a customer, or gives it new tokens.

use serde_json::Value;

use super::view;
use crate::failure::Failed;
use crate::fields::FieldArgs;
use crate::records::Named;
use crate::{Context, progress};

/// Arguments of `modify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    record: Named,
    /// The customer's new name; its syncs and schedules are renamed with it
    #[arg(long)]
    name: Option<String>,
    /// Empty this field; can be repeated
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
}

/// Changes it and prints how it stands.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let mut given = args
        .fields
        .read(vec![("name", args.name.map(Value::from))])?;
    given.clear(args.clear)?;
    if given.is_empty() {
        return Err(Failed::usage("nothing is to be changed")
            .hint("`relation-host modify --help` lists the options that give fields"));
    }
    let host = context.host().await?;
    let record = args.record.find(host.store().as_ref()).await?;
    let token_response = given.token_response.clone();
    let fields = given.into_fields(&host.describe().await?)?;
    let label = format!("modifying {}", record.name());
    let call = host.modify(&record.pkid, fields, token_response);
    let watched = Some((host.store().as_ref(), record.reference()));
    let called = progress::during(&label, watched, call).await?;
    let now = host.clock().now();
    context.called(&called, |connection| view::connection(connection, now))
}
