//! Permissions: principals, their roles at nodes of the hierarchy, and the proof that a request is permitted.
//!
//! The right to do something is decided by one range test: a role is granted at a node and covers everything at and
//! below it. An object outside does not exist for the principal, neither in lists and counts nor in errors.
//!
//! [`users`], [`sessions`] and [`api_keys`] manage who can be a principal. [`callback_auth`] manages the credentials of
//! callbacks, and [`notice_settings`] and [`deliveries`] the notices. [`audit`] records what principals do. All are
//! documents of the host's store. [`authenticate`] finds the principal of a request.

mod allowed;
pub mod api_keys;
pub mod audit;
mod authenticate;
mod authority;
mod back_off;
pub mod callback_auth;
pub(crate) mod callback_rate;
pub mod consent_links;
mod cross_site;
pub mod deliveries;
mod documents;
mod housekeeping;
pub(crate) mod idempotency;
pub mod nodes;
pub mod notice_settings;
pub mod oidc;
mod operation;
mod parts;
mod passwords;
mod principal;
mod request_rate;
pub mod roles;
mod routes;
pub mod sessions;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
pub mod users;

pub use allowed::{Allowed, Permission, permission};
pub use authenticate::authenticate;
pub use authority::{Authority, ClientAddress};
pub use cross_site::refuse_cross_site;
pub use housekeeping::{Removed, remove_expired};
pub use operation::{Operation, ROLES, Role, find_operation, find_role};
pub use parts::AccessParts;
pub(crate) use passwords::find_password_error;
pub use passwords::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, PasswordCost};
pub use principal::{Principal, PrincipalKind, RoleGrant};
pub use routes::{AccessRoute, routes};
pub(crate) use tokens::create_token;
pub use users::first_administrator_link;
