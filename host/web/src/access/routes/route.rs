//! The routes for users, keys, credentials, notices, the audit log and sessions: one table for the router, the OpenAPI
//! document and the tests.

use axum::extract::FromRef;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::listing::list;
use super::{api_keys, callback_auth, deliveries, nodes, notice_settings, roles, session, users};
use crate::access::api_keys::ApiKey;
use crate::access::audit::AuditEvent;
use crate::access::callback_auth::CallbackAuth;
use crate::access::users::User;
use crate::access::{AccessParts, Operation};

/// A route for users, keys, credentials of callbacks, notices, the audit log or sessions.
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
    /// Lists custom roles.
    ListRoles,
    /// Adds a custom role.
    AddRole,
    /// Shows a custom role.
    GetRole,
    /// Replaces the operations of a custom role.
    SetRoleOperations,
    /// Deletes a custom role.
    DeleteRole,
    /// Lists the nodes that have notice settings.
    ListNoticeSettings,
    /// Shows the notice settings of a node.
    GetNoticeSettings,
    /// Replaces the notice settings of a node.
    SaveNoticeSettings,
    /// Removes the notice settings of a node.
    RemoveNoticeSettings,
    /// Shows the notice settings that apply at a node.
    ResolveNoticeSettings,
    /// Gives a webhook a new signing secret.
    RotateNoticeSecret,
    /// Sets the credentials of an SNMP target.
    SetNoticeSecrets,
    /// Sends a test to a recipient.
    TestNoticeRecipient,
    /// Enables an endpoint that was disabled after failures.
    EnableNoticeEndpoint,
    /// Lists deliveries of notices.
    ListDeliveries,
    /// Shows a delivery of a notice.
    GetDelivery,
    /// Sends a notice again.
    ResendDelivery,
    /// Sends undelivered notices since a time again.
    ResendDeliveries,
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
        Self::ListNoticeSettings,
        Self::GetNoticeSettings,
        Self::SaveNoticeSettings,
        Self::RemoveNoticeSettings,
        Self::ResolveNoticeSettings,
        Self::RotateNoticeSecret,
        Self::SetNoticeSecrets,
        Self::TestNoticeRecipient,
        Self::EnableNoticeEndpoint,
        Self::ListDeliveries,
        Self::GetDelivery,
        Self::ResendDelivery,
        Self::ResendDeliveries,
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
            | Self::ListNoticeSettings
            | Self::GetNoticeSettings
            | Self::ResolveNoticeSettings
            | Self::ListDeliveries
            | Self::GetDelivery
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
            | Self::RotateNoticeSecret
            | Self::TestNoticeRecipient
            | Self::EnableNoticeEndpoint
            | Self::ResendDelivery
            | Self::ResendDeliveries
            | Self::LogIn => Method::POST,
            Self::SetUserRoles
            | Self::SetRoleOperations
            | Self::ReplaceCallbackAuth
            | Self::SaveNoticeSettings
            | Self::SetNoticeSecrets => Method::PUT,
            Self::DeleteCallbackAuth
            | Self::DeleteNode
            | Self::DeleteRole
            | Self::RemoveNoticeSettings
            | Self::LogOut => Method::DELETE,
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
            Self::ListNoticeSettings => "/api/data/NoticeSettings/",
            Self::GetNoticeSettings | Self::SaveNoticeSettings | Self::RemoveNoticeSettings => {
                "/api/data/NoticeSettings/{node}/"
            }
            Self::ResolveNoticeSettings => "/api/data/NoticeSettings/{node}/resolved/",
            Self::RotateNoticeSecret => {
                "/api/data/NoticeSettings/{node}/recipients/{id}/+RotateSecret/"
            }
            Self::SetNoticeSecrets => "/api/data/NoticeSettings/{node}/recipients/{id}/secrets/",
            Self::TestNoticeRecipient => "/api/data/NoticeSettings/{node}/recipients/{id}/+Test/",
            Self::EnableNoticeEndpoint => {
                "/api/data/NoticeSettings/{node}/recipients/{id}/+Enable/"
            }
            Self::ListDeliveries => "/api/data/NoticeDelivery/",
            Self::GetDelivery => "/api/data/NoticeDelivery/{pkid}/",
            Self::ResendDelivery => "/api/data/NoticeDelivery/{pkid}/+Resend/",
            Self::ResendDeliveries => "/api/data/NoticeDelivery/+Resend/",
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
                | Self::ListNoticeSettings
                | Self::ListDeliveries
        )
    }

    /// Returns whether the route compares the version of `If-Match`.
    pub fn takes_version(self) -> bool {
        matches!(self, Self::SaveNoticeSettings | Self::RemoveNoticeSettings)
    }

    /// Returns the operation that a principal needs at the object's node.
    pub fn operation(self) -> Option<Operation> {
        match self {
            Self::ListAuditEvents => Some(Operation::Audit),
            Self::ListCallbackAuths
            | Self::GetCallbackAuth
            | Self::ListNodes
            | Self::GetNode
            | Self::ListNoticeSettings
            | Self::GetNoticeSettings
            | Self::ResolveNoticeSettings
            | Self::ListDeliveries
            | Self::GetDelivery => Some(Operation::Read),
            Self::SaveNoticeSettings
            | Self::RemoveNoticeSettings
            | Self::RotateNoticeSecret
            | Self::SetNoticeSecrets
            | Self::TestNoticeRecipient
            | Self::EnableNoticeEndpoint
            | Self::ResendDelivery
            | Self::ResendDeliveries => Some(Operation::Notices),
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
            Self::DeleteNode => "Deletes a node without objects at or below it",
            Self::ListRoles => "Lists custom roles",
            Self::AddRole => "Adds a custom role",
            Self::GetRole => "Shows a custom role",
            Self::SetRoleOperations => {
                "Replaces the operations of a custom role, which ends sessions of its users"
            }
            Self::DeleteRole => "Deletes a custom role that nobody has",
            Self::ListNoticeSettings => "Lists the nodes that have notice settings",
            Self::GetNoticeSettings => "Shows the notice settings of a node, without secrets",
            Self::SaveNoticeSettings => {
                "Replaces the notice settings of a node; only this response has the signing secrets of new webhooks"
            }
            Self::RemoveNoticeSettings => "Removes the notice settings of a node",
            Self::ResolveNoticeSettings => "Shows the notice settings that apply at a node",
            Self::RotateNoticeSecret => {
                "Gives a webhook a new signing secret; only this response has it"
            }
            Self::SetNoticeSecrets => "Sets the credentials of an SNMP target",
            Self::TestNoticeRecipient => {
                "Sends a test to a recipient, and returns the receiver's reply"
            }
            Self::EnableNoticeEndpoint => "Enables an endpoint that was disabled after failures",
            Self::ListDeliveries => "Lists deliveries of notices, the newest first",
            Self::GetDelivery => "Shows a delivery of a notice",
            Self::ResendDelivery => "Sends a notice again",
            Self::ResendDeliveries => "Sends undelivered notices since a time again",
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
            Self::DeleteCallbackAuth
            | Self::DeleteNode
            | Self::DeleteRole
            | Self::RemoveNoticeSettings
            | Self::SetNoticeSecrets
            | Self::EnableNoticeEndpoint
            | Self::ResendDelivery
            | Self::LogOut => "204",
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
            Self::ListNoticeSettings => on(filter, notice_settings::list),
            Self::GetNoticeSettings => on(filter, notice_settings::show),
            Self::SaveNoticeSettings => on(filter, notice_settings::save),
            Self::RemoveNoticeSettings => on(filter, notice_settings::remove),
            Self::ResolveNoticeSettings => on(filter, notice_settings::resolve),
            Self::RotateNoticeSecret => on(filter, notice_settings::rotate_secret),
            Self::SetNoticeSecrets => on(filter, notice_settings::set_secrets),
            Self::TestNoticeRecipient => on(filter, notice_settings::send_test),
            Self::EnableNoticeEndpoint => on(filter, notice_settings::enable),
            Self::ListDeliveries => on(filter, deliveries::list),
            Self::GetDelivery => on(filter, deliveries::show),
            Self::ResendDelivery => on(filter, deliveries::resend),
            Self::ResendDeliveries => on(filter, deliveries::resend_since),
            Self::GetSession => on(filter, session::show),
            Self::LogIn => on(filter, session::log_in),
            Self::LogOut => on(filter, session::log_out),
        }
    }
}
