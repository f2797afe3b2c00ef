//! `role`: custom roles, beyond the built-in ones.

use relation_app::AppError;
use relation_host::types::Hierarchy;
use relation_web::access::roles::{self, CustomRole, NewRole, RoleHolders};
use relation_web::access::{AccessParts, Authority, Operation, RoleGrant, find_operation, nodes};
use serde::Serialize;

use super::access_parts::{ListArgs, find_one, open, open_to_read, to_app_error};
use crate::Context;
use crate::output::escape_control_chars;
use crate::table::{Column, MAX_NAME_WIDTH, Table};

/// Subcommands of `role`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List custom roles with the operations that they permit
    List(ListArgs),
    /// Show a custom role, and who has it
    Show(RoleArgs),
    /// Add a custom role
    Add(AddArgs),
    /// Replace the operations of a custom role, which ends the sessions of its users
    Modify(ModifyArgs),
    /// Delete a custom role that nobody has
    Delete(RoleArgs),
}

/// The operations that a role permits.
#[derive(Debug, clap::Args)]
pub struct OperationsArgs {
    /// The permitted operations, separated by commas
    #[arg(long, value_name = "LIST", required = true, value_delimiter = ',', value_parser = parse_operation())]
    operations: Vec<Operation>,
}

/// Arguments of `role add`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The role can be granted at its node and below: `user add` and `key add` take its name, and so do the groups of an OpenID \
provider (web.oidc.grants). Of several roles with one name, a grant means the nearest one, at its node or above. \
docs/access.md has the built-in roles.

Example: relation-host role add service-desk --hierarchy sys.Provider --operations read,refresh")]
pub struct AddArgs {
    /// The name, unique among the custom roles of the node
    #[arg(value_name = "NAME")]
    name: String,
    /// The node at and below which the role can be granted
    #[arg(long, value_name = "PATH")]
    hierarchy: Hierarchy,
    #[command(flatten)]
    operations: OperationsArgs,
}

/// Arguments of `role modify`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Operations that are not named are taken away. Keys with the role have the new operations at once; users log in again.

Example: relation-host role modify service-desk --operations read,refresh,sync")]
pub struct ModifyArgs {
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    operations: OperationsArgs,
}

/// Selects a custom role.
#[derive(Debug, clap::Args)]
pub struct RoleArgs {
    /// The custom role, by name or by pkid
    #[arg(value_name = "ROLE")]
    role: String,
}

/// A role with who has it.
#[derive(Serialize)]
struct RoleOutput<'a> {
    #[serde(flatten)]
    role: &'a CustomRole,
    holders: &'a RoleHolders,
}

fn parse_operation() -> impl clap::builder::TypedValueParser<Value = Operation> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
    let values = Operation::ALL
        .iter()
        .map(|operation| PossibleValue::new(operation.as_str()).help(operation.description()));
    let missing = "there is no such operation";
    PossibleValuesParser::new(values).try_map(move |name| find_operation(&name).ok_or(missing))
}

/// Runs a subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::List(args) => list(context, args).await,
        Command::Show(args) => show(context, args).await,
        Command::Add(args) => add(context, args).await,
        Command::Modify(args) => modify(context, args).await,
        Command::Delete(args) => delete(context, args).await,
    }
}

async fn list(context: &Context, args: ListArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let page = args.fetch(&parts, async |node, cursor, limit| {
        roles::list(&parts, &Authority::Operator, node, cursor, limit).await
    });
    let page = page.await?;
    context
        .output
        .page(&page.items, page.next.as_deref(), render_list)
}

async fn show(context: &Context, args: RoleArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let role = find(&parts, &args.role).await?;
    let holders = roles::list_holders(&parts, &Authority::Operator, &role.pkid).await;
    let output = RoleOutput {
        holders: &holders.map_err(to_app_error)?,
        role: &role,
    };
    context.output.print(&output, render_role)
}

async fn add(context: &Context, args: AddArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let new = NewRole {
        name: args.name,
        hierarchy: nodes::find_spelling(parts.store(), &args.hierarchy).await?,
        operations: args.operations.operations,
    };
    let role = roles::add(&parts, &Authority::Operator, new).await;
    context.output.print(&role.map_err(to_app_error)?, describe)
}

async fn modify(context: &Context, args: ModifyArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let role = find(&parts, &args.role.role).await?;
    let operations = args.operations.operations;
    let role = roles::set_operations(&parts, &Authority::Operator, &role.pkid, operations).await;
    context.output.print(&role.map_err(to_app_error)?, describe)
}

async fn delete(context: &Context, args: RoleArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let role = find(&parts, &args.role).await?;
    let deleted = roles::delete(&parts, &Authority::Operator, &role.pkid).await;
    deleted.map_err(|error| {
        let shown = format!("`relation-host role show {}` lists who has it", role.pkid);
        let hint = error.error.hint.as_ref();
        let hint = hint.map_or_else(|| shown.clone(), |hint| format!("{hint}; {shown}"));
        to_app_error(error).hint(hint)
    })?;
    context.output.print(&role, |role| {
        format!("the role {} is deleted", escape_control_chars(&role.name))
    })
}

/// Finds a custom role by name if the name is unique, or by pkid.
async fn find(parts: &AccessParts, text: &str) -> Result<CustomRole, AppError> {
    let named = roles::find(parts, &Authority::Operator, text).await;
    let named = named.map_err(to_app_error)?;
    let place = |role: &CustomRole| (role.pkid.clone(), role.hierarchy.clone());
    find_one("role", text, named, place, async |pkid| {
        roles::get(parts, &Authority::Operator, &pkid).await
    })
    .await
}

fn join_operations(role: &CustomRole) -> String {
    let operations = role.operations.iter();
    let names: Vec<&str> = operations.map(|operation| operation.as_str()).collect();
    names.join(", ")
}

/// Describes a role in one line.
fn describe(role: &CustomRole) -> String {
    let name = escape_control_chars(&role.name);
    format!("{name} at {}: {}", role.hierarchy, join_operations(role))
}

fn render_role(output: &RoleOutput<'_>) -> String {
    let RoleOutput { role, holders } = output;
    let mut lines = vec![describe(role)];
    let nodes = |grants: &[RoleGrant]| {
        let grants = grants.iter();
        let of_role = grants.filter(|grant| grant.role == role.pkid.as_str());
        let nodes: Vec<String> = of_role.map(|grant| grant.node.to_string()).collect();
        nodes.join(", ")
    };
    let mut line = |kind: &str, name: &str, grants: &[RoleGrant]| {
        let name = escape_control_chars(name);
        lines.push(format!("  {kind} {name} at {}", nodes(grants)));
    };
    for user in &holders.users {
        let kind = if user.disabled {
            "disabled user"
        } else {
            "user"
        };
        line(kind, &user.name, &user.grants);
    }
    for key in &holders.keys {
        line("key", &key.name, &key.grants);
    }
    match (holders.is_empty(), holders.more) {
        (true, _) => lines.push("nobody has it".to_owned()),
        (false, true) => lines.push("  and others".to_owned()),
        (false, false) => {}
    }
    lines.join("\n")
}

fn render_list(roles: &[CustomRole]) -> String {
    let mut table = Table::with_columns(&[
        Column::new("name").shortened(12).at_most(MAX_NAME_WIDTH),
        Column::new("operations").wrapped(24),
        Column::new("node").tail(12).droppable(2),
        Column::new("pkid").droppable(1),
    ]);
    for role in roles {
        table.add([
            role.name.clone(),
            join_operations(role),
            role.hierarchy.to_string(),
            role.pkid.to_string(),
        ]);
    }
    table.to_string()
}
