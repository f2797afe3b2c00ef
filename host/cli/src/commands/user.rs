//! `user`: the people who may log in to the page and the API.

use relation_app::{AppError, ErrorKind};
use relation_web::access::roles::{self, CustomRole};
use relation_web::access::users::{self, NewUser, OneTimeLink, User};
use relation_web::access::{AccessParts, Authority};
use serde::Serialize;

use super::access_parts::{GrantArgs, ListArgs, format_grants, open, open_to_read, to_app_error};
use crate::output::escape_control_chars;
use crate::table::{Column, MAX_NAME_WIDTH, Table};
use crate::{Context, time};

/// Subcommands of `user`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a user with a role, and print a one-time address to set the password
    Add(AddArgs),
    /// List users with their roles
    List(ListArgs),
    /// Disable a user, which ends the user's sessions
    Disable(NameArgs),
    /// Enable a disabled user
    Enable(NameArgs),
    /// Print a one-time address to set a new password, valid for 24 hours
    Link(NameArgs),
}

/// Arguments of `user add`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
There is no default password: the user sets one at the printed address, which works once and for 24 hours. Its beginning \
is web.public-url of the configuration. docs/access.md has the built-in roles, `relation-host role list` the custom ones.

Example: relation-host user add ada --role provider-administrator --hierarchy sys")]
pub struct AddArgs {
    /// The name for the log-in, such as ada or ada@example.com; case does not matter
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    grant: GrantArgs,
    /// The language of the page for the user, such as de [default: as the browser]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
}

/// Arguments of a command for one user.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// The user, by name or by pkid
    #[arg(value_name = "NAME")]
    name: String,
}

/// A user with the address to set the password.
#[derive(Serialize)]
struct UserWithLink<'a> {
    user: &'a User,
    link: LinkOutput<'a>,
}

/// A link in the output: the only place that shows it.
#[derive(Serialize)]
struct LinkOutput<'a> {
    url: &'a str,
    expires: relation_host::types::Timestamp,
}

/// Runs a subcommand.
pub async fn run(context: &Context, command: Command) -> Result<(), AppError> {
    match command {
        Command::Add(args) => add(context, args).await,
        Command::List(args) => list(context, args).await,
        Command::Disable(args) => disable(context, args).await,
        Command::Enable(args) => enable(context, args).await,
        Command::Link(args) => link(context, args).await,
    }
}

async fn add(context: &Context, args: AddArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let user = NewUser {
        name: args.name,
        grants: args.grant.to_grants(&parts).await?,
        hierarchy: args.grant.find_node(&parts).await?,
        language: args.language,
    };
    let user = users::add(&parts, &Authority::Operator, user).await;
    let user = user.map_err(to_app_error)?;
    print_link(context, &parts, &user).await
}

async fn list(context: &Context, args: ListArgs) -> Result<(), AppError> {
    let parts = open_to_read(context).await?;
    let page = args.fetch(&parts, async |node, cursor, limit| {
        users::list(&parts, &Authority::Operator, node, cursor, limit).await
    });
    let page = page.await?;
    let grants = page.items.iter().flat_map(|user| &user.grants);
    let custom_roles = roles::load(&parts, grants).await?;
    context
        .output
        .page(&page.items, page.next.as_deref(), |users| {
            render_list(users, &custom_roles)
        })
}

async fn disable(context: &Context, args: NameArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let user = find(&parts, &args.name).await?;
    let user = users::disable(&parts, &Authority::Operator, &user.pkid).await;
    let user = user.map_err(to_app_error)?;
    context.output.print(&user, |user| {
        format!(
            "{} is disabled and logged out",
            escape_control_chars(&user.name)
        )
    })
}

async fn enable(context: &Context, args: NameArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let user = find(&parts, &args.name).await?;
    let user = users::enable(&parts, &Authority::Operator, &user.pkid).await;
    let user = user.map_err(to_app_error)?;
    context.output.print(&user, |user| {
        format!("{} is enabled", escape_control_chars(&user.name))
    })
}

async fn link(context: &Context, args: NameArgs) -> Result<(), AppError> {
    let parts = open(context).await?;
    let user = find(&parts, &args.name).await?;
    print_link(context, &parts, &user).await
}

/// Creates and prints the address at which a user sets the password.
async fn print_link(context: &Context, parts: &AccessParts, user: &User) -> Result<(), AppError> {
    let link = users::set_up_link(parts, &Authority::Operator, &user.pkid).await;
    let OneTimeLink { url, expires } = link.map_err(to_app_error)?;
    let custom_roles = roles::load(parts, &user.grants).await?;
    let output = UserWithLink {
        user,
        link: LinkOutput {
            url: url.as_str(),
            expires,
        },
    };
    context.output.print(&output, |output| {
        format!(
            "{}: {}\nTo set the password, open this address until {}. It works once.\n{}",
            escape_control_chars(&user.name),
            format_grants(&user.grants, &custom_roles),
            time::format_utc(expires),
            output.link.url
        )
    })
}

/// Finds a user by name, or by pkid.
async fn find(parts: &AccessParts, name: &str) -> Result<User, AppError> {
    let found = users::find(parts, &Authority::Operator, name).await;
    let found = match (found, name.parse()) {
        (Err(_), Ok(pkid)) => users::get(parts, &Authority::Operator, &pkid).await,
        (found, _) => found,
    };
    found.map_err(|error| match error.error.kind {
        ErrorKind::NotFound => {
            let message = format!("there is no user {name:?}");
            AppError::new(ErrorKind::NotFound, message)
                .hint("`relation-host user list` lists the users")
        }
        _ => error.error,
    })
}

fn render_list(users: &[User], custom_roles: &[CustomRole]) -> String {
    let mut table = Table::with_columns(&[
        Column::new("name").shortened(12).at_most(MAX_NAME_WIDTH),
        Column::new("state"),
        Column::new("roles").wrapped(24),
        Column::new("node").tail(12).droppable(3),
        Column::new("added (UTC)").droppable(2),
        Column::new("pkid").droppable(1),
    ]);
    for user in users {
        let state = match (user.disabled, user.has_password, &user.issuer) {
            (true, _, _) => "disabled",
            (false, _, Some(_)) => "enabled (OpenID)",
            (false, true, None) => "enabled",
            (false, false, None) => "no password yet",
        };
        table.add([
            user.name.clone(),
            state.to_owned(),
            format_grants(&user.grants, custom_roles),
            user.hierarchy.to_string(),
            time::format_timestamp(user.created),
            user.pkid.to_string(),
        ]);
    }
    table.to_string()
}
