//! The routes for users, keys, credentials, the audit log and sessions: one table for the router, the OpenAPI document and the tests.

use axum::extract::FromRef;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::listing::list;
use super::{api_keys, callback_auth, nodes, roles, session, users};
use crate::access::api_keys::ApiKey;
use crate::access::audit::AuditEvent;
use crate::access::callback_auth::CallbackAuth;
use crate::access::users::User;
use crate::access::{AccessParts, Operation};

/// A route for users, keys, credentials of callbacks, the audit log or sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessRoute {
    /// Lists users.
    ListUsers,
    /// Adds a user.
    AddUser,
    /// Shows a user.
    GetUser,
    /// Replaces the roles of a user.
    SetUserRoles,
    /// Disables a user.
    DisableUser,
    /// Enables a user.
    EnableUser,
    /// Creates a link to set the password of a user.
    CreateSetUpLink,
    /// Lists keys.
    ListApiKeys,
    /// Adds a key.
    AddApiKey,
    /// Shows a key.
    GetApiKey,
    /// Gives a key a new secret.
    RotateApiKey,
    /// Revokes a key.
    RevokeApiKey,
    /// Lists credentials of callbacks.
    ListCallbackAuths,
    /// Adds credentials of callbacks.
    AddCallbackAuth,
    /// Shows credentials of callbacks, without their secrets.
    GetCallbackAuth,
    /// Replaces credentials of callbacks.
    ReplaceCallbackAuth,
    /// Deletes credentials of callbacks.
    DeleteCallbackAuth,
    /// Lists the audit log.
    ListAuditEvents,
    /// Lists nodes.
    ListNodes,
    /// Adds a node.
    AddNode,
    /// Shows a node.
    GetNode,
    /// Deletes a node.
    DeleteNode,
    /// Lists own roles.
    ListRoles,
    /// Adds an own role.
    AddRole,
    /// Shows an own role.
    GetRole,
    /// Replaces the operations of an own role.
    SetRoleOperations,
    /// Deletes an own role.
    DeleteRole,
    /// Shows who the request comes from.
    GetSession,
    /// Logs in.
    LogIn,
    /// Logs out.
    LogOut,
}

impl AccessRoute {
    /// Every route.
    pub const ALL: &'static [Self] = &[
        Self::ListUsers,
        Self::AddUser,
        Self::GetUser,
        Self::SetUserRoles,
        Self::DisableUser,
        Self::EnableUser,
        Self::CreateSetUpLink,
        Self::ListApiKeys,
        Self::AddApiKey,
        Self::GetApiKey,
        Self::RotateApiKey,
        Self::RevokeApiKey,
        Self::ListCallbackAuths,
        Self::AddCallbackAuth,
        Self::GetCallbackAuth,
        Self::ReplaceCallbackAuth,
        Self::DeleteCallbackAuth,
        Self::ListAuditEvents,
        Self::ListNodes,
        Self::AddNode,
        Self::GetNode,
        Self::DeleteNode,
        Self::ListRoles,
        Self::AddRole,
        Self::GetRole,
        Self::SetRoleOperations,
        Self::DeleteRole,
        Self::GetSession,
        Self::LogIn,
        Self::LogOut,
    ];

    /// Returns the method.
    pub fn method(self) -> Method {
        match self {
            Self::ListUsers
            | Self::GetUser
            | Self::ListApiKeys
            | Self::GetApiKey
            | Self::ListCallbackAuths
            | Self::GetCallbackAuth
            | Self::ListAuditEvents
            | Self::ListNodes
            | Self::GetNode
            | Self::ListRoles
            | Self::GetRole
            | Self::GetSession => Method::GET,
            Self::AddUser
            | Self::DisableUser
            | Self::EnableUser
            | Self::CreateSetUpLink
            | Self::AddApiKey
            | Self::RotateApiKey
            | Self::RevokeApiKey
            | Self::AddCallbackAuth
            | Self::AddNode
            | Self::AddRole
            | Self::LogIn => Method::POST,
            Self::SetUserRoles | Self::SetRoleOperations | Self::ReplaceCallbackAuth => Method::PUT,
            Self::DeleteCallbackAuth | Self::DeleteNode | Self::DeleteRole | Self::LogOut => {
                Method::DELETE
            }
        }
    }

    /// Returns the path, with its parameter in braces.
    pub fn path(self) -> &'static str {
        match self {
            Self::ListUsers | Self::AddUser => "/api/data/User/",
            Self::GetUser => "/api/data/User/{pkid}/",
            Self::SetUserRoles => "/api/data/User/{pkid}/grants/",
            Self::DisableUser => "/api/data/User/{pkid}/+Disable/",
            Self::EnableUser => "/api/data/User/{pkid}/+Enable/",
            Self::CreateSetUpLink => "/api/data/User/{pkid}/+SetUpLink/",
            Self::ListApiKeys | Self::AddApiKey => "/api/data/ApiKey/",
            Self::GetApiKey => "/api/data/ApiKey/{pkid}/",
            Self::RotateApiKey => "/api/data/ApiKey/{pkid}/+Rotate/",
            Self::RevokeApiKey => "/api/data/ApiKey/{pkid}/+Revoke/",
            Self::ListCallbackAuths | Self::AddCallbackAuth => "/api/data/ApiCallbackAuth/",
            Self::GetCallbackAuth | Self::ReplaceCallbackAuth | Self::DeleteCallbackAuth => {
                "/api/data/ApiCallbackAuth/{pkid}/"
            }
            Self::ListAuditEvents => "/api/data/AuditEvent/",
            Self::ListNodes | Self::AddNode => "/api/data/HierarchyNode/",
            Self::GetNode | Self::DeleteNode => "/api/data/HierarchyNode/{pkid}/",
            Self::ListRoles | Self::AddRole => "/api/data/Role/",
            Self::GetRole | Self::SetRoleOperations | Self::DeleteRole => "/api/data/Role/{pkid}/",
            Self::GetSession | Self::LogIn | Self::LogOut => "/api/session/",
        }
    }

    /// Returns whether the route lists objects.
    pub(crate) fn is_list(self) -> bool {
        matches!(
            self,
            Self::ListUsers
                | Self::ListApiKeys
                | Self::ListCallbackAuths
                | Self::ListAuditEvents
                | Self::ListNodes
                | Self::ListRoles
        )
    }

    /// Returns the operation that a principal needs at the object's node.
    pub fn operation(self) -> Option<Operation> {
        match self {
            Self::ListAuditEvents => Some(Operation::Audit),
            Self::ListCallbackAuths | Self::GetCallbackAuth | Self::ListNodes | Self::GetNode => {
                Some(Operation::Read)
            }
            Self::AddNode => Some(Operation::Add),
            Self::DeleteNode => Some(Operation::Delete),
            Self::GetSession | Self::LogIn | Self::LogOut => None,
            Self::ListUsers
            | Self::AddUser
            | Self::GetUser
            | Self::SetUserRoles
            | Self::DisableUser
            | Self::EnableUser
            | Self::CreateSetUpLink
            | Self::ListApiKeys
            | Self::AddApiKey
            | Self::GetApiKey
            | Self::RotateApiKey
            | Self::RevokeApiKey
            | Self::AddCallbackAuth
            | Self::ReplaceCallbackAuth
            | Self::DeleteCallbackAuth
            | Self::ListRoles
            | Self::AddRole
            | Self::GetRole
            | Self::SetRoleOperations
            | Self::DeleteRole => Some(Operation::Administer),
        }
    }

    pub(crate) fn summary(self) -> &'static str {
        match self {
            Self::ListUsers => "Lists users",
            Self::AddUser => "Adds a user",
            Self::GetUser => "Shows a user",
            Self::SetUserRoles => "Replaces the roles of a user, which ends sessions and links",
            Self::DisableUser => "Disables a user",
            Self::EnableUser => "Enables a user",
            Self::CreateSetUpLink => "Creates a link to set the password of a user",
            Self::ListApiKeys => "Lists API keys",
            Self::AddApiKey => "Adds an API key; only this response has its text",
            Self::GetApiKey => "Shows an API key",
            Self::RotateApiKey => "Gives an API key a new secret",
            Self::RevokeApiKey => "Revokes an API key",
            Self::ListCallbackAuths => "Lists credentials of callbacks",
            Self::AddCallbackAuth => "Adds credentials of callbacks",
            Self::GetCallbackAuth => "Shows credentials of callbacks, without their secrets",
            Self::ReplaceCallbackAuth => "Replaces credentials of callbacks",
            Self::DeleteCallbackAuth => "Deletes credentials of callbacks",
            Self::ListAuditEvents => "Lists the audit log, the latest event first",
            Self::ListNodes => "Lists the nodes of the hierarchy",
            Self::AddNode => "Adds a node below another one",
            Self::GetNode => "Shows a node",
            Self::DeleteNode => "Deletes a node at and below which nothing is",
            Self::ListRoles => "Lists own roles",
            Self::AddRole => "Adds an own role",
            Self::GetRole => "Shows an own role",
            Self::SetRoleOperations => {
                "Replaces the operations of an own role, which ends sessions of its users"
            }
            Self::DeleteRole => "Deletes an own role that nobody has",
            Self::GetSession => "Shows who the request comes from",
            Self::LogIn => "Logs in",
            Self::LogOut => "Logs out",
        }
    }

    /// Returns the status of a successful response.
    pub(crate) fn success(self) -> &'static str {
        match self {
            Self::AddUser
            | Self::CreateSetUpLink
            | Self::AddApiKey
            | Self::AddCallbackAuth
            | Self::AddNode
            | Self::AddRole
            | Self::LogIn => "201",
            Self::DeleteCallbackAuth | Self::DeleteNode | Self::DeleteRole | Self::LogOut => "204",
            _ => "200",
        }
    }

    pub(super) fn handler<S>(self) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
        AccessParts: FromRef<S>,
    {
        let filter = MethodFilter::try_from(self.method()).unwrap_or(MethodFilter::GET);
        match self {
            Self::ListUsers => on(filter, list::<User>),
            Self::AddUser => on(filter, users::add),
            Self::GetUser => on(filter, users::show),
            Self::SetUserRoles => on(filter, users::set_grants),
            Self::DisableUser => on(filter, users::disable),
            Self::EnableUser => on(filter, users::enable),
            Self::CreateSetUpLink => on(filter, users::create_link),
            Self::ListApiKeys => on(filter, list::<ApiKey>),
            Self::AddApiKey => on(filter, api_keys::add),
            Self::GetApiKey => on(filter, api_keys::show),
            Self::RotateApiKey => on(filter, api_keys::rotate),
            Self::RevokeApiKey => on(filter, api_keys::revoke),
            Self::ListCallbackAuths => on(filter, list::<CallbackAuth>),
            Self::AddCallbackAuth => on(filter, callback_auth::add),
            Self::GetCallbackAuth => on(filter, callback_auth::show),
            Self::ReplaceCallbackAuth => on(filter, callback_auth::replace),
            Self::DeleteCallbackAuth => on(filter, callback_auth::delete),
            Self::ListAuditEvents => on(filter, list::<AuditEvent>),
            Self::ListNodes => on(filter, nodes::list),
            Self::AddNode => on(filter, nodes::add),
            Self::GetNode => on(filter, nodes::show),
            Self::DeleteNode => on(filter, nodes::delete),
            Self::ListRoles => on(filter, roles::list),
            Self::AddRole => on(filter, roles::add),
            Self::GetRole => on(filter, roles::show),
            Self::SetRoleOperations => on(filter, roles::set_operations),
            Self::DeleteRole => on(filter, roles::delete),
            Self::GetSession => on(filter, session::show),
            Self::LogIn => on(filter, session::log_in),
            Self::LogOut => on(filter, session::log_out),
        }
    }
}
