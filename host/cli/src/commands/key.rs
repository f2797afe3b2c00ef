//! `key`: the API keys of programs.

use std::time::Duration;

use relation_app::AppError;
use relation_host::types::Timestamp;
use relation_web::access::api_keys::{self, ApiKey, IssuedApiKey, NewApiKey};
use relation_web::access::roles::{self, CustomRole};
use relation_web::access::{AccessParts, Authority};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::access_parts::{
    GrantArgs, ListArgs, find_one, format_grants, open, open_to_read, to_app_error,
};
use crate::output::escape_control_chars;
use crate::table::{Column, MAX_NAME_WIDTH, Table};
use crate::{Context, time};

/// Subcommands of `key`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add an API key with a role, and print it: it is shown once
    Add(AddArgs),
    /// List API keys with their roles and their last use
    List(ListArgs),
    /// Give a key a new secret, and print it; the present one stays valid for a while
    Rotate(RotateArgs),
    /// Revoke a key immediately and permanently
    Revoke(KeyArgs),
}

/// Arguments of `key add`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A program sends the key in each request: `Authorization: Bearer rel_…`. The store has only its digest.

Example: relation-host key add billing --role machine --hierarchy sys.Provider --expires 365d")]
pub struct AddArgs {
    /// The name, unique among the valid keys of the node
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    grant: GrantArgs,
    /// The time after which the key expires, such as 365d [default: never]
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
}

/// Arguments of `key rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// How long the present secret stays valid, such as 24h or 0s; at most 30 days
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = humantime::parse_duration)]
    overlap: Duration,
}

/// Selects a key.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// The key, by name or by pkid, which is the part after rel_
    #[arg(value_name = "KEY")]
    key: String,
}

/// A key with its text.
#[derive(Serialize)]
struct IssuedOutput<'a> {
    #[serde(flatten)]
    api_key: &'a ApiKey,
    key: &'a str,
}

/// Runs a subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::Add(args) => add(context, args).await,
        Command::List(args) => list(context, args).await,
        Command::Rotate(args) => rotate(context, args).await,
        Command::Revoke(args) => revoke(context, args).await,
    }
}

async fn add(context: &Context, args: AddArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let new = NewApiKey {
        name: args.name,
        grants: args.grant.to_grants(&parts).await?,
        hierarchy: args.grant.find_node(&parts).await?,
        expires: args.expires.map(|span| parts.now().after(span)),
    };
    let issued = api_keys::add(&parts, &Authority::Operator, new).await;
    let issued = issued.map_err(to_app_error)?;
    let custom_roles = roles::load(&parts, &issued.api_key.grants).await?;
    print_issued(context, &issued, |key| {
        let expires = key.expires.map(time::format_utc);
        let expires = expires.map_or_else(String::new, |at| format!(", until {at}"));
        format_grants(&key.grants, &custom_roles) + &expires
    })
}

async fn list(context: &Context, args: ListArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let page = args.fetch(&parts, async |node, cursor, limit| {
        api_keys::list(&parts, &Authority::Operator, node, cursor, limit).await
    });
    let page = page.await?;
    let grants = page.items.iter().flat_map(|key| &key.grants);
    let custom_roles = roles::load(&parts, grants).await?;
    let now = context.installation.now();
    context
        .output
        .page(&page.items, page.next.as_deref(), |keys| {
            render_list(keys, &custom_roles, now)
        })
}

async fn rotate(context: &Context, args: RotateArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let key = find(&parts, &args.key.key).await?;
    let issued = api_keys::rotate(&parts, &Authority::Operator, &key.pkid, args.overlap).await;
    let issued = issued.map_err(to_app_error)?;
    print_issued(context, &issued, |key| match key.former_secret_until {
        Some(until) => format!(
            "the former secret is valid until {}",
            time::format_utc(until)
        ),
        None => "the former secret is not valid any more".to_owned(),
    })
}

async fn revoke(context: &Context, args: KeyArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let key = find(&parts, &args.key).await?;
    let key = api_keys::revoke(&parts, &Authority::Operator, &key.pkid).await;
    let key = key.map_err(to_app_error)?;
    context.output.print(&key, |key| {
        format!("the key {} is revoked", escape_control_chars(&key.name))
    })
}

/// Prints the text of a key, which is not stored and cannot be printed again.
fn print_issued(
    context: &Context,
    issued: &IssuedApiKey,
    describe: impl FnOnce(&ApiKey) -> String,
) -> Result<(), AppError> {
    let output = IssuedOutput {
        api_key: &issued.api_key,
        key: issued.secret.expose_secret(),
    };
    context.output.print(&output, |output| {
        format!(
            "{}: {}\nThis is the only time that the key is shown:\n{}",
            escape_control_chars(&output.api_key.name),
            describe(output.api_key),
            output.key
        )
    })
}

/// Finds a key by name if the name is unique, or by pkid.
async fn find(parts: &AccessParts, text: &str) -> Result<ApiKey, AppError> {
    let named = api_keys::find(parts, &Authority::Operator, text).await;
    let named = named.map_err(to_app_error)?;
    let place = |key: &ApiKey| (key.pkid.clone(), key.hierarchy.clone());
    find_one("key", text, named, place, async |pkid| {
        api_keys::get(parts, &Authority::Operator, &pkid).await
    })
    .await
}

fn render_list(keys: &[ApiKey], custom_roles: &[CustomRole], now: Timestamp) -> String {
    let mut table = Table::with_columns(&[
        Column::new("name").shortened(12).at_most(MAX_NAME_WIDTH),
        Column::new("state"),
        Column::new("roles").wrapped(24),
        Column::new("node").tail(12).droppable(3),
        Column::new("last used (UTC)").droppable(2),
        Column::new("pkid"),
    ]);
    for key in keys {
        let state = match (key.revoked, key.expires) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(expires)) if expires <= now => "expired".to_owned(),
            (None, Some(expires)) => format!("ends {}", time::format_due(expires, now)),
            (None, None) => "valid".to_owned(),
        };
        let last_used = key.last_used.map(time::format_timestamp);
        table.add([
            key.name.clone(),
            state,
            format_grants(&key.grants, custom_roles),
            key.hierarchy.to_string(),
            last_used.unwrap_or_else(|| "never".to_owned()),
            key.pkid.to_string(),
        ]);
    }
    table.to_string()
}
