//! The parts that the commands `user` and `key` need: the store, and no plugin.

use std::sync::Arc;

use relation_app::AppError;
use relation_host::store::Store;
use relation_web::access::{AccessParts, ROLES, RoleGrant};
use relation_web::{WebError, WebOptions};

use super::serve::callback_address;
use crate::Context;

/// Returns the parts of the access functions for an open store.
pub fn create(context: &Context, store: Arc<dyn Store>) -> Result<AccessParts, AppError> {
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
pub fn parse_role() -> clap::builder::PossibleValuesParser {
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
