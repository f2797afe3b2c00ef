//! The parts that the commands `user` and `key` need: the store, and no plugin.

use std::sync::Arc;

use relation_app::AppError;
use relation_host::store::Store;
use relation_host::types::{Hierarchy, Page};
use relation_web::access::{AccessParts, ROLES, RoleGrant};
use relation_web::{WebError, WebOptions};

use super::page::PageArgs;
use super::serve::callback_address;
use crate::Context;

/// The role of a new user or key.
#[derive(Debug, clap::Args)]
pub struct GrantArgs {
    /// The role
    #[arg(long, value_name = "ROLE", value_parser = parse_role())]
    role: String,
    /// The node at and below which the role is granted, and to which the user or key belongs
    #[arg(long, value_name = "PATH")]
    pub hierarchy: Hierarchy,
}

impl GrantArgs {
    /// Returns the granted roles.
    pub fn to_grants(&self) -> Vec<RoleGrant> {
        vec![RoleGrant {
            role: self.role.clone(),
            node: self.hierarchy.clone(),
        }]
    }
}

/// The part of a list of users or keys to print.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only those at or below this node
    #[arg(long, value_name = "PATH")]
    hierarchy: Option<Hierarchy>,
    #[command(flatten)]
    page: PageArgs,
}

impl ListArgs {
    /// Fetches the requested page. `list` takes the node, a cursor and a limit.
    pub async fn fetch<T>(
        &self,
        list: impl AsyncFn(Option<&Hierarchy>, Option<&str>, u32) -> Result<Page<T>, WebError>,
    ) -> Result<Page<T>, AppError> {
        let fetch = async |cursor: Option<String>, limit| {
            let page = list(self.hierarchy.as_ref(), cursor.as_deref(), limit).await;
            page.map_err(to_app_error)
        };
        self.page.fetch(fetch).await
    }
}

/// Opens the store to change users and keys.
pub fn open(context: &Context) -> Result<AccessParts, AppError> {
    create(context, context.installation.store()?)
}

/// Opens the store to list users and keys.
pub fn open_to_read(context: &Context) -> Result<AccessParts, AppError> {
    create(context, context.installation.store_to_read()?)
}

/// Returns the parts of the access functions for an open store.
pub(super) fn create(context: &Context, store: Arc<dyn Store>) -> Result<AccessParts, AppError> {
    let config = &context.installation.config;
    let public_url = config.web.public_url()?;
    let redirect = match &config.redirect {
        Some(redirect) => redirect.clone(),
        None => callback_address(&public_url)?,
    };
    let options = WebOptions::new(public_url, redirect);
    let clock = Arc::clone(&context.installation.clock);
    Ok(AccessParts::new(store, clock, options))
}

/// Returns the error of a request as the error of a command.
pub fn to_app_error(error: WebError) -> AppError {
    error.error
}

/// Parses the name of a role.
fn parse_role() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(
        ROLES
            .iter()
            .map(|role| clap::builder::PossibleValue::new(role.name).help(role.title)),
    )
}

/// Formats roles with their nodes: `operator at sys.A, auditor at sys.B`.
pub fn format_grants(grants: &[RoleGrant]) -> String {
    let grants = grants.iter();
    let texts: Vec<String> = grants
        .map(|RoleGrant { role, node }| format!("{role} at {node}"))
        .collect();
    texts.join(", ")
}
