//! The proof that a request is permitted. Handlers cannot read or change anything without one.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};
use relation_host::types::{Document, Hierarchy, Pkid, RECORD_MODEL, Reference, Scope};

use super::{Operation, Principal};
use crate::{Web, WebError};

/// An operation as a type.
pub trait Permission: Send + Sync + 'static {
    /// The operation.
    const OPERATION: Operation;
}

/// The operations as types.
pub mod permission {
    use super::{Operation, Permission};

    macro_rules! permissions {
        ($($(#[$doc:meta])* $name:ident)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Permission for $name {
                const OPERATION: Operation = Operation::$name;
            }
        )*};
    }

    permissions! {
        /// See records.
        Read
        /// Add records.
        Add
        /// Change records.
        Modify
        /// Delete records.
        Delete
        /// Begin and complete consents.
        Connect
        /// Refresh tokens.
        Refresh
        /// Import data.
        Sync
        /// Run other actions.
        Act
        /// Change notice settings, test recipients, and send notices again.
        Notices
        /// Manage users and API keys.
        Administer
        /// See the audit log.
        Audit
    }
}

/// The proof that the principal of a request may perform an operation at some nodes, and the way to everything there.
///
/// Only the extractor makes one. It refuses a request without a principal with 401, and one whose principal has the
/// right nowhere with 403.
pub struct Allowed<P: Permission> {
    principal: Arc<Principal>,
    nodes: Vec<Hierarchy>,
    permission: PhantomData<P>,
}

impl<P: Permission, S: Sync> FromRequestParts<S> for Allowed<P> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, WebError> {
        let principal = parts.extensions.get::<Arc<Principal>>();
        let principal = principal.ok_or_else(WebError::unauthenticated)?;
        Self::new(principal).ok_or_else(|| WebError::forbidden(P::OPERATION.as_str()))
    }
}

impl<P: Permission> Allowed<P> {
    pub(super) fn new(principal: &Arc<Principal>) -> Option<Self> {
        let nodes = principal.nodes(P::OPERATION);
        (!nodes.is_empty()).then(|| Self {
            principal: Arc::clone(principal),
            nodes,
            permission: PhantomData,
        })
    }

    /// Returns the sender of the request.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Returns the nodes at and below which the operation is permitted. No node contains another.
    pub fn nodes(&self) -> &[Hierarchy] {
        &self.nodes
    }

    /// Returns whether the operation is permitted at this node.
    pub fn covers(&self, node: &Hierarchy) -> bool {
        self.nodes.iter().any(|granted| granted.contains(node))
    }

    /// Returns the part of the hierarchy for a list: the requested node with everything below it, or without a request
    /// the principal's own node.
    ///
    /// # Errors
    /// 404 for a node outside of the principal's; 400 if the principal has several nodes and requests none.
    pub fn range(&self, requested: Option<&Hierarchy>) -> Result<(Hierarchy, Scope), WebError> {
        let node = match (requested, self.nodes.as_slice()) {
            (Some(node), _) if self.covers(node) => node.clone(),
            (Some(_), _) => return Err(WebError::not_found()),
            (None, [node]) => node.clone(),
            (None, nodes) => {
                let nodes: Vec<&str> = nodes.iter().map(Hierarchy::as_str).collect();
                let message = "your roles cover several nodes: name one with `hierarchy`";
                let hint = format!("your nodes are {}", nodes.join(", "));
                return Err(AppError::new(ErrorKind::Usage, message).hint(hint).into());
            }
        };
        Ok((node, Scope::Subtree))
    }

    /// Checks that the operation is permitted at the node of an object.
    ///
    /// # Errors
    /// 404 if the principal may not even see it, otherwise 403.
    pub fn check(&self, node: &Hierarchy) -> Result<(), WebError> {
        if self.covers(node) {
            return Ok(());
        }
        Err(match self.principal.may(Operation::Read, node) {
            true => WebError::forbidden(P::OPERATION.as_str()),
            false => WebError::not_found(),
        })
    }

    /// Reads a document that the operation is permitted for.
    ///
    /// # Errors
    /// 404 if it does not exist or the principal may not see it; 403 if the principal sees it, but may not perform the
    /// operation.
    pub async fn document(&self, web: &Web, reference: Reference) -> Result<Document, WebError> {
        let found = web.store().get(&[reference]).await?;
        let document = found.into_iter().flatten().next();
        let document = document.ok_or_else(WebError::not_found)?;
        self.check(&document.hierarchy)?;
        Ok(document)
    }

    /// Reads a record that the operation is permitted for.
    ///
    /// # Errors
    /// Errors of [`Allowed::document`]; 404 too for a text that is not a pkid.
    pub async fn record(&self, web: &Web, pkid: &str) -> Result<StoredRecord, WebError> {
        let pkid: Pkid = pkid.parse().map_err(|_| WebError::not_found())?;
        let reference = Reference::new(RECORD_MODEL, pkid);
        Ok(self.document(web, reference).await?.into())
    }
}
