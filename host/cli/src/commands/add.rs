//! `add`: a new customer with its syncs, schedules and wakeups.

use relation_host::AddRequest;
use relation_host::reports::Added;
use relation_host::types::Hierarchy;
use serde_json::Value;

use super::view;
use crate::failure::Failed;
use crate::fields::FieldArgs;
use crate::table::{Column, Rows};
use crate::{Context, progress};

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node where the customer belongs, such as sys.Provider.Reseller.Customer
    #[arg(long, value_name = "PATH")]
    hierarchy: Hierarchy,
    /// The customer's name
    #[arg(long)]
    name: Option<String>,
    /// The customer is a wholesale customer; cannot be changed later
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wholesale: Option<bool>,
    /// A second add with the same key at the same node makes nothing and answers as the first did
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    fields: FieldArgs,
}

/// Adds it and prints what was made.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let label = match &args.name {
        Some(name) => format!("adding {name}"),
        None => "adding".to_owned(),
    };
    let given = args.fields.read(vec![
        ("name", args.name.map(Value::from)),
        ("wholesale_status", args.wholesale.map(Value::from)),
    ])?;
    let host = context.host_with_store().await?;
    let token_response = given.token_response.clone();
    let fields = given.into_fields(&host.describe().await?)?;
    let request = AddRequest {
        hierarchy: args.hierarchy,
        fields,
        token_response,
        idempotency_key: args.idempotency_key,
    };
    let called = progress::during(&label, None, host.add(request)).await?;
    let now = host.clock().now();
    context.called(&called, |added| human(added, now))
}

fn human(added: &Added, now: relation_host::types::Timestamp) -> String {
    let connection = view::connection(&added.connection, now);
    if added.replayed {
        return format!(
            "nothing was made: an earlier add with this key had made it\n\n{connection}"
        );
    }
    let mut created = Rows::under(&[Column::new("created").tail(12), Column::new("pkid")]);
    for reference in &added.created {
        created.add([reference.model.as_str(), reference.pkid.as_str()]);
    }
    format!("{connection}\n\n{created}")
}
