//! The manager of users, keys and other objects: a principal with this right, or the operator of the command line.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use relation_app::{AppError, ErrorKind};
use relation_host::types::{Hierarchy, Scope};

use super::audit::{Actor, ActorKind, NewAuditEvent};
use super::documents::{Entry, Named, Range};
use super::roles::{self, CustomRole};
use super::{Allowed, Operation, Permission, RoleGrant, permission};
use crate::WebError;

/// The address that a request comes from, if it is known.
///
/// A layer of the server sets it as an extension of the request; without one, it is the address of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if let Some(address) = parts.extensions.get::<Self>() {
            return Ok(*address);
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|peer| peer.0.ip().to_canonical())))
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// The manager of users and keys, or of the objects of another operation.
pub enum Authority<'a, P: Permission = permission::Administer> {
    /// A principal, at its nodes and with its custom roles at most.
    Principal(&'a Allowed<P>, ClientAddress),
    /// The operator of the command line, who has the store and may do everything.
    Operator,
}

impl<P: Permission> Clone for Authority<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Permission> Copy for Authority<'_, P> {}

impl<P: Permission> Authority<'_, P> {
    /// Returns the part of the hierarchy for a list, as [`Allowed::range`] does; everything for the operator.
    pub(super) fn range(&self, requested: Option<&Hierarchy>) -> Result<Range, WebError> {
        match self {
            Self::Principal(allowed, _) => allowed.range(requested).map(Some),
            Self::Operator => Ok(requested.map(|node| (node.clone(), Scope::Subtree))),
        }
    }

    /// Checks that the operation is permitted at this node.
    pub(super) fn check_node(&self, node: &Hierarchy) -> Result<(), WebError> {
        match self {
            Self::Principal(allowed, _) => allowed.check(node),
            Self::Operator => Ok(()),
        }
    }

    /// Returns whether the operation is permitted at this node.
    pub(super) fn covers(&self, node: &Hierarchy) -> bool {
        match self {
            Self::Principal(allowed, _) => allowed.covers(node),
            Self::Operator => true,
        }
    }

    /// Returns whether a role may be given or taken at a node: everything that it permits must be permitted to the
    /// principal there. `roles` has the custom roles. An unknown role permits nothing, and only its node counts.
    pub(super) fn may_grant(&self, grant: &RoleGrant, roles: &[CustomRole]) -> bool {
        let Self::Principal(allowed, _) = self else {
            return true;
        };
        let operations = roles::operations(grant, roles);
        let principal = allowed.principal();
        allowed.covers(&grant.node)
            && operations
                .iter()
                .all(|operation| principal.may(*operation, &grant.node))
    }

    /// Returns whether a custom role may be given at some node.
    pub(super) fn can_grant(&self, role: &CustomRole) -> bool {
        let Self::Principal(allowed, _) = self else {
            return true;
        };
        // With a right at a node, the principal has it at all nodes below, too: these nodes are enough.
        let own = allowed.principal().grants.iter().map(|grant| &grant.node);
        let mut nodes = own.chain([&role.hierarchy]);
        nodes.any(|node| {
            let may = |operation: &Operation| allowed.principal().may(*operation, node);
            role.hierarchy.contains(node) && allowed.covers(node) && role.operations.iter().all(may)
        })
    }

    /// Checks that somebody with these roles may be managed. Otherwise a principal could become a user with more roles,
    /// by a link to set the password.
    pub(super) fn check_grants(
        &self,
        node: &Hierarchy,
        grants: &[RoleGrant],
        roles: &[CustomRole],
    ) -> Result<(), WebError> {
        self.check_node(node)?;
        match grants.iter().all(|grant| self.may_grant(grant, roles)) {
            true => Ok(()),
            false => Err(self.refuse_management()),
        }
    }

    /// Returns the error for a user, a key or a role with more rights than the administrator's.
    pub(super) fn refuse_management(&self) -> WebError {
        let message = "this user, key or role has rights that you do not have";
        let hint = "somebody with these rights can manage it";
        let error = AppError::new(ErrorKind::Usage, message).hint(hint);
        WebError::new(StatusCode::FORBIDDEN, error)
    }

    /// Returns whether the administrator may perform an operation at a node.
    pub(super) fn may(&self, operation: Operation, node: &Hierarchy) -> bool {
        match self {
            Self::Principal(allowed, _) => allowed.principal().may(operation, node),
            Self::Operator => true,
        }
    }

    /// Returns whether the administrator may use a node that is not stored yet. The node of a custom role may be used,
    /// and any node with the right to add nodes there.
    pub(super) fn may_add_node(&self, node: &Hierarchy) -> bool {
        match self {
            Self::Principal(allowed, _) => {
                let principal = allowed.principal();
                principal.may(Operation::Add, node)
                    || principal.grants.iter().any(|grant| grant.node == *node)
            }
            Self::Operator => true,
        }
    }

    pub(super) fn actor(&self) -> Actor {
        match self {
            Self::Principal(allowed, _) => Actor::from_principal(allowed.principal()),
            Self::Operator => Actor {
                kind: ActorKind::Operator,
                name: "command line".to_owned(),
                pkid: None,
            },
        }
    }

    fn address(&self) -> ClientAddress {
        match self {
            Self::Principal(_, address) => *address,
            Self::Operator => ClientAddress::default(),
        }
    }

    /// Creates the event of an operation at a node.
    pub(super) fn to_node_event(self, operation: &str, node: &Hierarchy) -> NewAuditEvent {
        NewAuditEvent::new(self.actor(), self.address(), operation, node)
    }

    /// Creates the event of an operation of the administrator's on a document.
    pub(super) fn to_event<T: Named>(self, operation: &str, entry: &Entry<T>) -> NewAuditEvent {
        let event = self.to_node_event(operation, &entry.node);
        event.on(entry.to_audit_object())
    }
}
