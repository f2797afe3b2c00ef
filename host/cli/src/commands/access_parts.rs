//! The parts that the commands `user`, `key`, `role`, `settings` and `notices` share. They need the store, and no plugin.

use std::sync::Arc;

use relation_app::check::CheckFinding;
use relation_app::notices::Notices;
use relation_app::{AppError, ErrorKind, Installation};
use relation_host::store::Store;
use relation_host::types::{Hierarchy, Page, Pkid};
use relation_web::access::oidc::find_missing_roles;
use relation_web::access::roles::{self, CustomRole};
use relation_web::access::{AccessParts, ROLES, RoleGrant, nodes};
use relation_web::{WebError, WebOptions};

use super::page::PageArgs;
use super::serve::callback_address;
use crate::Context;
use crate::output::escape_control_chars;
use crate::record_selector::find_node;

/// The role of a new user or key.
#[derive(Debug, clap::Args)]
pub struct GrantArgs {
    /// The role: provider-administrator, reseller-administrator, customer-administrator, operator, auditor or
    /// machine; or a custom role, by name or by pkid
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// The node at and below which the role is granted, and to which the user or key belongs
    #[arg(long, value_name = "PATH")]
    hierarchy: Hierarchy,
}

impl GrantArgs {
    /// Returns the node in its stored spelling.
    pub async fn find_node(&self, parts: &AccessParts) -> Result<Hierarchy, AppError> {
        Ok(nodes::find_spelling(parts.store(), &self.hierarchy).await?)
    }

    /// Returns the granted roles, a custom role by its pkid.
    pub async fn to_grants(&self, parts: &AccessParts) -> Result<Vec<RoleGrant>, AppError> {
        let mut grants = vec![RoleGrant {
            role: self.role.clone(),
            node: self.find_node(parts).await?,
        }];
        roles::resolve_names(parts, &mut grants).await?;
        let custom_roles = roles::load(parts, &grants).await?;
        match grants
            .iter()
            .all(|grant| roles::exists(grant, &custom_roles))
        {
            true => Ok(grants),
            false => {
                let message = format!("there is no role {:?} at {}", self.role, self.hierarchy);
                Err(AppError::usage(message).hint(role_hint()))
            }
        }
    }
}

/// Returns the hint for the name of a role that does not exist.
pub fn role_hint() -> String {
    let names: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
    format!(
        "the built-in roles are {}; `relation-host role list` lists the custom roles, which are granted at and below their nodes",
        names.join(", ")
    )
}

/// The part of a list of users, keys, custom roles or settings to print.
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
        parts: &AccessParts,
        list: impl AsyncFn(Option<&Hierarchy>, Option<&str>, u32) -> Result<Page<T>, WebError>,
    ) -> Result<Page<T>, AppError> {
        let node = find_node(parts.store(), self.hierarchy.as_ref()).await?;
        let fetch = async |cursor: Option<String>, limit| {
            let page = list(node.as_ref(), cursor.as_deref(), limit).await;
            page.map_err(to_app_error)
        };
        self.page.fetch(fetch).await
    }
}

/// Opens the store to change users, keys and custom roles.
pub async fn open(context: &Context) -> Result<AccessParts, AppError> {
    create(&context.installation, context.installation.store().await?)
}

/// Opens the store to list users, keys and custom roles.
pub async fn open_to_read(context: &Context) -> Result<AccessParts, AppError> {
    create(
        &context.installation,
        context.installation.store_to_read().await?,
    )
}

/// Opens the store with its keys, to change notice settings and the secrets of recipients. Returns the notices of the
/// installation too.
pub async fn open_with_keys(context: &Context) -> Result<(AccessParts, Notices), AppError> {
    let installation = &context.installation;
    let parts = installation.open_parts().await?;
    let notices = Some(parts.notices.clone());
    let access = create_with(installation, parts.store, notices)?;
    Ok((access.with_sealer(parts.sealer), parts.notices))
}

/// Returns the parts of the access functions for an open store.
pub fn create(installation: &Installation, store: Arc<dyn Store>) -> Result<AccessParts, AppError> {
    create_with(installation, store, None)
}

fn create_with(
    installation: &Installation,
    store: Arc<dyn Store>,
    notices: Option<Notices>,
) -> Result<AccessParts, AppError> {
    let config = &installation.config;
    let public_url = config.web.public_url()?;
    let redirect = match &config.redirect {
        Some(redirect) => redirect.clone(),
        None => callback_address(&public_url)?,
    };
    let options = WebOptions {
        notices,
        ..WebOptions::new(public_url, redirect)
    };
    let clock = Arc::clone(&installation.clock);
    Ok(AccessParts::new(store, clock, options))
}

/// Returns the error of a request as the error of a command.
pub fn to_app_error(error: WebError) -> AppError {
    error.error
}

/// Returns a warning if groups of the OpenID provider grant roles that do not exist. Without a store, there is none:
/// its own check reports that.
pub async fn check_oidc_roles(installation: &Installation) -> Option<CheckFinding> {
    let oidc = installation.config.web.oidc.as_ref()?;
    let parts = create(installation, installation.store_to_read().await.ok()?).ok()?;
    let missing = find_missing_roles(&parts, &oidc.grants).await.ok()?;
    let missing: Vec<String> = missing
        .iter()
        .map(|grant| format!("{:?} at {}", grant.role, grant.node))
        .collect();
    let message = format!(
        "web.oidc.grants has roles that do not exist, and grants nothing by them: {}",
        missing.join(", ")
    );
    (!missing.is_empty()).then(|| CheckFinding::warning("oidc", message, role_hint()))
}

/// Returns the object of a name if it is the only one, or the one of a pkid. `place` returns the pkid and the node.
pub async fn find_one<T>(
    kind: &str,
    text: &str,
    mut named: Vec<T>,
    place: impl Fn(&T) -> (Pkid, Hierarchy),
    get: impl AsyncFnOnce(Pkid) -> Result<T, WebError>,
) -> Result<T, AppError> {
    if named.len() > 1 {
        let places = named.iter().map(place);
        let places: Vec<String> = places
            .map(|(pkid, node)| format!("{pkid} at {node}"))
            .collect();
        let message = format!("several {kind}s have the name {text:?}");
        let hint = format!("name one by its pkid: {}", places.join(", "));
        return Err(AppError::new(ErrorKind::Usage, message).hint(hint));
    }
    if let Some(found) = named.pop() {
        return Ok(found);
    }
    let not_found = || {
        let hint = format!("`relation-host {kind} list` lists the {kind}s");
        AppError::new(ErrorKind::NotFound, format!("there is no {kind} {text:?}")).hint(hint)
    };
    let pkid = text.parse().map_err(|_| not_found())?;
    get(pkid).await.map_err(|error| match error.error.kind {
        ErrorKind::NotFound => not_found(),
        _ => error.error,
    })
}

/// Formats roles with their nodes: `operator at sys.A, auditor at sys.B`. `custom_roles` has the custom roles.
pub fn format_grants(grants: &[RoleGrant], custom_roles: &[CustomRole]) -> String {
    let texts = grants.iter().map(|grant| {
        let name = escape_control_chars(roles::name(grant, custom_roles));
        format!("{name} at {}", grant.node)
    });
    texts.collect::<Vec<_>>().join(", ")
}
