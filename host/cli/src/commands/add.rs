//! `add`: adds a customer with its data syncs, schedules and wakeups.

use std::sync::Arc;

use relation_app::AppError;
use relation_host::AddRequest;
use relation_host::reports::AddReport;
use relation_host::types::Hierarchy;
use relation_web::access::nodes;
use serde_json::Value;

use super::access_parts;
use super::connect::warn_of_same_organization;
use super::view;
use crate::fields::FieldArgs;
use crate::table::{Column, Table};
use crate::{Context, progress};

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node of the customer in the hierarchy, such as sys.Provider.Reseller.Customer
    #[arg(long, value_name = "PATH")]
    hierarchy: Hierarchy,
    /// The customer's name
    #[arg(long)]
    name: Option<String>,
    /// Add a wholesale customer; cannot be changed later
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wholesale: Option<bool>,
    /// Makes the add repeatable: a second add with the same key at the same node creates nothing and returns
    /// the first result
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    fields: FieldArgs,
}

/// Adds the customer and prints what was created.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let label = match &args.name {
        Some(name) => format!("adding {name}"),
        None => "adding".to_owned(),
    };
    let input = args.fields.read(vec![
        ("name", args.name.map(Value::from)),
        ("wholesale_status", args.wholesale.map(Value::from)),
    ])?;
    let host = context.installation.host().await?;
    let hierarchy = nodes::find_spelling(host.store().as_ref(), &args.hierarchy).await?;
    let token_response = input.token_response.clone();
    let fields = input.into_fields(&host.describe().await?)?;
    let request = AddRequest {
        hierarchy,
        fields,
        token_response,
        idempotency_key: args.idempotency_key,
    };
    let node = request.hierarchy.clone();
    let call_output = progress::show_while(&label, None, host.add(request)).await?;
    // Without it, the first response of the API that shows the record stores the node.
    if let Ok(parts) = access_parts::create(&context.installation, Arc::clone(host.store()))
        && let Err(error) = nodes::ensure(&parts, [&node]).await
    {
        tracing::debug!(%error, "the node of the record was not stored");
    }
    let now = host.clock().now();
    context.print_call(&call_output, |added| render_text(added, now))?;
    let pkid = &call_output.value.connection.pkid;
    warn_of_same_organization(host.store().as_ref(), pkid).await;
    Ok(())
}

fn render_text(added: &AddReport, now: relation_host::types::Timestamp) -> String {
    let connection = view::render_connection(&added.connection, now);
    if added.replayed {
        return format!(
            "no record was added: an earlier add with this key created it\n\n{connection}"
        );
    }
    let mut created = Table::with_columns(&[Column::new("created").tail(12), Column::new("pkid")]);
    for reference in &added.created {
        created.add([reference.model.as_str(), reference.pkid.as_str()]);
    }
    format!("{connection}\n\n{created}")
}
