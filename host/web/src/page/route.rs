//! The routes of the page: one table for the router and the tests.

use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::{
    actions, alerts, audit, bulk, callback, choose_language, connect, consent, data, deliveries,
    demo, edit, keys, live, needs, notice_preview, notice_recipients, notice_secrets, notices,
    oidc, organization, organizations, roles, session, transaction_changes, transaction_support,
    transactions, users,
};
use crate::Web;
use crate::access::Operation;

/// Defines the routes, each with its method, its path, its operation and its handler.
macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident: $method:ident $path:literal, $operation:expr, $handler:path;)*) => {
        /// A route of the page. Static files and addresses without a route are not in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PageRoute {
            $($(#[$doc])* $name,)*
        }

        impl PageRoute {
            /// Every route.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the method.
            pub fn method(self) -> Method {
                match self {
                    $(Self::$name => Method::$method,)*
                }
            }

            /// Returns the path, with its parameters in braces.
            pub fn path(self) -> &'static str {
                match self {
                    $(Self::$name => $path,)*
                }
            }

            /// Returns the operation that a principal needs at the object's node. `None` if the route needs no
            /// principal, or only a session. The routes of an action and of the changes of a transaction need that of
            /// the action as well.
            pub fn operation(self) -> Option<Operation> {
                match self {
                    $(Self::$name => $operation,)*
                }
            }

            /// Returns the handler.
            pub(super) fn handler(self) -> MethodRouter<Web> {
                match self {
                    $(Self::$name => on(MethodFilter::$method, $handler),)*
                }
            }
        }
    };
}

const READ: Option<Operation> = Some(Operation::Read);
const ADD: Option<Operation> = Some(Operation::Add);
const MODIFY: Option<Operation> = Some(Operation::Modify);
const DELETE: Option<Operation> = Some(Operation::Delete);
const CONNECT: Option<Operation> = Some(Operation::Connect);
const REFRESH: Option<Operation> = Some(Operation::Refresh);
const NOTICES: Option<Operation> = Some(Operation::Notices);
const ADMINISTER: Option<Operation> = Some(Operation::Administer);
const AUDIT: Option<Operation> = Some(Operation::Audit);

routes! {
    /// Shows what needs a person: the start page.
    ShowNeeds: GET "/", READ, needs::show;
    /// Lists organizations.
    ListOrganizations: GET "/organizations", READ, organizations::list;
    /// Shows the form of a new organization.
    ShowNewOrganization: GET "/organizations/new", ADD, edit::show_new;
    /// Adds an organization.
    AddOrganization: POST "/organizations/new", ADD, edit::add;
    /// Refreshes the selected organizations.
    RefreshOrganizations: POST "/organizations/refresh", REFRESH, bulk::refresh;
    /// Shows what a deletion of the selected organizations would remove, or deletes them.
    DeleteOrganizations: POST "/organizations/delete", DELETE, bulk::delete;
    /// Shows an organization.
    ShowOrganization: GET "/organizations/{pkid}", READ, organization::show;
    /// Shows the form of an organization.
    ShowEdit: GET "/organizations/{pkid}/edit", MODIFY, edit::show;
    /// Changes an organization.
    ModifyOrganization: POST "/organizations/{pkid}/edit", MODIFY, edit::modify;
    /// Shows what a deletion would remove, or deletes an organization.
    DeleteOrganization: POST "/organizations/{pkid}/delete", DELETE, actions::delete;
    /// Shows the page that leads to Webex.
    ShowConnect: GET "/organizations/{pkid}/connect", CONNECT, connect::show;
    /// Begins a consent.
    BeginConnect: POST "/organizations/{pkid}/connect", CONNECT, connect::begin;
    /// Shows the form of an action.
    ShowAction: GET "/organizations/{pkid}/actions/{action}", READ, actions::show;
    /// Runs an action.
    RunAction: POST "/organizations/{pkid}/actions/{action}", READ, actions::run;
    /// Lists imported data of an organization.
    ListData: GET "/organizations/{pkid}/data", READ, data::list;
    /// Shows the coming notices of an organization.
    PreviewNotices: GET "/organizations/{pkid}/notices", READ, notice_preview::show;
    /// Shows the page of a link that was handed on.
    ShowConsent: GET "/consent/{token}", None, consent::show;
    /// Begins the consent of a link that was handed on.
    BeginConsent: POST "/consent/{token}", None, consent::begin;
    /// Creates a link to hand on.
    CreateConsentLink: POST "/organizations/{pkid}/connect-link", CONNECT, consent::create;
    /// Completes a consent when Webex sends the browser back.
    CompleteConsent: GET "/callback", None, callback::complete;
    /// Lists transactions.
    ListTransactions: GET "/transactions", READ, transactions::list;
    /// Shows a transaction.
    ShowTransaction: GET "/transactions/{id}", READ, transactions::show;
    /// Returns the progress of a transaction, for browsers without a stream.
    PollTransaction: GET "/transactions/{id}/progress", READ, transactions::progress;
    /// Returns a transaction as a text for a support case.
    ShowSupportText: GET "/transactions/{id}/support", READ, transaction_support::support;
    /// Submits the request of a transaction again.
    ReplayTransaction: POST "/transactions/{id}/replay", READ, transaction_changes::replay;
    /// Cancels a transaction.
    CancelTransaction: POST "/transactions/{id}/cancel", READ, transaction_changes::cancel;
    /// Streams the progress of a transaction.
    StreamEvents: GET "/events", READ, live::events;
    /// Lists alerts.
    ListAlerts: GET "/alerts", READ, alerts::list;
    /// Shows the notice settings of a node.
    ShowNotices: GET "/notices", READ, notices::show;
    /// Shows the form of notice settings.
    ShowEditNotices: GET "/notices/edit", NOTICES, notices::show_edit;
    /// Saves notice settings.
    SaveNotices: POST "/notices/edit", NOTICES, notices::save;
    /// Removes the notice settings of a node.
    RemoveNotices: POST "/notices/remove", NOTICES, notices::remove;
    /// Shows the form of a recipient.
    ShowRecipient: GET "/notices/recipient", NOTICES, notice_recipients::show;
    /// Adds or changes a recipient.
    SaveRecipient: POST "/notices/recipient", NOTICES, notice_recipients::save;
    /// Removes a recipient.
    RemoveRecipient: POST "/notices/recipient/remove", NOTICES, notice_recipients::remove;
    /// Sends a test to a recipient.
    TestRecipient: POST "/notices/recipient/test", NOTICES, notice_secrets::test;
    /// Enables a webhook or an SNMP target that was disabled.
    EnableRecipient: POST "/notices/recipient/enable", NOTICES, notice_secrets::enable;
    /// Gives a webhook a new secret.
    RotateRecipientSecret: POST "/notices/recipient/rotate", NOTICES, notice_secrets::rotate;
    /// Shows the form of the credentials of an SNMP target.
    ShowCredentials: GET "/notices/recipient/credentials", NOTICES, notice_secrets::show_credentials;
    /// Sets the credentials of an SNMP target.
    SetCredentials: POST "/notices/recipient/credentials", NOTICES, notice_secrets::set_credentials;
    /// Lists deliveries of notices.
    ListDeliveries: GET "/deliveries", READ, deliveries::list;
    /// Sends failed deliveries again.
    ResendDeliveries: POST "/deliveries/resend", NOTICES, deliveries::resend_all;
    /// Shows a delivery.
    ShowDelivery: GET "/deliveries/{pkid}", READ, deliveries::show;
    /// Sends a delivery again.
    ResendDelivery: POST "/deliveries/{pkid}/resend", NOTICES, deliveries::resend;
    /// Shows the log-in.
    ShowLogIn: GET "/login", None, session::show_log_in;
    /// Logs a user in.
    LogIn: POST "/login", None, session::log_in;
    /// Begins a log-in at an OpenID provider.
    BeginOidcLogIn: POST "/login/oidc", None, oidc::begin;
    /// Completes a log-in at an OpenID provider.
    CompleteOidcLogIn: GET "/login/oidc/callback", None, oidc::complete;
    /// Ends the session.
    LogOut: POST "/logout", None, session::log_out;
    /// Prolongs the session.
    KeepSession: GET "/session", None, session::keep_alive;
    /// Shows the page of a one-time link.
    ShowSetUp: GET "/set-up/{token}", None, session::show_set_up;
    /// Uses a one-time link.
    SetUp: POST "/set-up/{token}", None, session::set_up;
    /// Lists users.
    ListUsers: GET "/users", ADMINISTER, users::list;
    /// Shows the form of a new user.
    ShowNewUser: GET "/users/new", ADMINISTER, users::show_new;
    /// Adds a user.
    AddUser: POST "/users/new", ADMINISTER, users::add;
    /// Shows a user.
    ShowUser: GET "/users/{pkid}", ADMINISTER, users::show;
    /// Replaces the roles of a user.
    SetUserRoles: POST "/users/{pkid}/grants", ADMINISTER, users::set_grants;
    /// Creates a link to set the password of a user.
    CreateSetUpLink: POST "/users/{pkid}/link", ADMINISTER, users::create_link;
    /// Disables a user.
    DisableUser: POST "/users/{pkid}/disable", ADMINISTER, users::disable;
    /// Enables a user.
    EnableUser: POST "/users/{pkid}/enable", ADMINISTER, users::enable;
    /// Lists custom roles.
    ListRoles: GET "/roles", ADMINISTER, roles::list;
    /// Shows the form of a new role.
    ShowNewRole: GET "/roles/new", ADMINISTER, roles::show_new;
    /// Adds a role.
    AddRole: POST "/roles/new", ADMINISTER, roles::add;
    /// Shows a role.
    ShowRole: GET "/roles/{pkid}", ADMINISTER, roles::show;
    /// Replaces what a role permits.
    SetRoleOperations: POST "/roles/{pkid}/operations", ADMINISTER, roles::set_operations;
    /// Deletes a role.
    DeleteRole: POST "/roles/{pkid}/delete", ADMINISTER, roles::delete;
    /// Lists API keys.
    ListApiKeys: GET "/keys", ADMINISTER, keys::list;
    /// Shows the form of a new API key.
    ShowNewApiKey: GET "/keys/new", ADMINISTER, keys::show_new;
    /// Adds an API key.
    AddApiKey: POST "/keys/new", ADMINISTER, keys::add;
    /// Gives an API key a new secret.
    RotateApiKey: POST "/keys/{pkid}/rotate", ADMINISTER, keys::rotate;
    /// Revokes an API key.
    RevokeApiKey: POST "/keys/{pkid}/revoke", ADMINISTER, keys::revoke;
    /// Lists the audit log.
    ListAuditEvents: GET "/audit", AUDIT, audit::list;
    /// Chooses the language.
    ChooseLanguage: GET "/language/{code}", None, choose_language;
    /// Advances the clock of a demo.
    AdvanceTime: POST "/demo/time", None, demo::advance;
    /// Logs a visitor of a demo in.
    LogInToDemo: GET "/demo/log-in/{token}", None, demo::log_in;
}

impl PageRoute {
    /// Returns whether the route exists only in a demo.
    pub fn is_demo(self) -> bool {
        matches!(self, Self::AdvanceTime | Self::LogInToDemo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::LOG_IN_PATH;

    #[test]
    fn no_two_routes_are_the_same() {
        let mut seen = std::collections::HashSet::new();
        for route in PageRoute::ALL {
            assert!(seen.insert((route.method(), route.path())), "{route:?}");
        }
    }

    #[test]
    fn log_in_to_a_demo_has_the_path_of_its_address() {
        let path = format!("/{LOG_IN_PATH}/{{token}}");
        assert_eq!(PageRoute::LogInToDemo.path(), path);
    }
}
