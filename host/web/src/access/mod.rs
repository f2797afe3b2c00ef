//! Who may do what: principals, their roles at nodes of the hierarchy, and the proof that a request is permitted.
//!
//! The right to do something is decided by one range test: a role is granted at a node and covers everything at and
//! below it. What lies outside does not exist for the principal, neither in lists and counts nor in errors.

mod allowed;
mod operation;
mod principal;

pub use allowed::{Allowed, Permission, permission};
pub use operation::{Operation, ROLES, Role, find_role};
pub use principal::{Principal, PrincipalKind, RoleGrant};
