//! Support for the tests of this module: a store in memory, and a clock that a test moves.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use relation_app::config::RedirectAddress;
use relation_host::clock::ManualClock;
use relation_host::store::sqlite::SqliteStore;
use relation_host::types::{Hierarchy, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::sessions::{LogIn, LogInError, NewSession, log_in};
use super::users::{self, NewUser, User};
use super::{
    AccessParts, Allowed, Authority, ClientAddress, PasswordCost, Permission, Principal,
    PrincipalKind, RoleGrant, permission,
};
use crate::WebOptions;

pub(crate) const PASSWORD: &str = "canary-password-7";

pub(crate) struct World {
    pub(crate) parts: AccessParts,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn create_parts() -> AccessParts {
    World::new().parts
}

pub(crate) fn create_options(public_url: &str) -> WebOptions {
    let redirect = RedirectAddress::parse("http://127.0.0.1:8400/callback").unwrap();
    WebOptions {
        password_cost: PasswordCost::lowest_for_tests(),
        ..WebOptions::new(public_url.parse().unwrap(), redirect)
    }
}

pub(crate) fn node(text: &str) -> Hierarchy {
    text.parse().unwrap()
}

pub(crate) fn grant(role: &str, at: &str) -> RoleGrant {
    RoleGrant {
        role: role.to_owned(),
        node: node(at),
    }
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

pub(crate) fn address() -> ClientAddress {
    ClientAddress(Some(IpAddr::from([192, 0, 2, 1])))
}

/// Returns the proof for a principal with these roles.
pub(crate) fn allow(grants: &[RoleGrant]) -> Allowed<permission::Administer> {
    allow_to(grants)
}

/// Works like [`allow`], for any operation.
pub(crate) fn allow_to<P: Permission>(grants: &[RoleGrant]) -> Allowed<P> {
    let principal = Principal {
        custom_roles: Vec::new(),
        kind: PrincipalKind::User,
        pkid: relation_host::types::Pkid::random(),
        name: "actor".to_owned(),
        grants: grants.to_vec(),
    };
    Allowed::new(&Arc::new(principal)).expect("the roles permit the operation at some node")
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_url("http://127.0.0.1:8400/")
    }

    pub(crate) fn with_url(public_url: &str) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_795_000_000_000)));
        clock.advance(Duration::from_secs(1000));
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let options = create_options(public_url);
        let parts = AccessParts::new(store, Arc::clone(&clock) as _, options);
        Self { parts, clock }
    }

    /// Returns the same installation after a restart with other options.
    pub(crate) fn restart(&self, store: Arc<SqliteStore>, options: WebOptions) -> Self {
        let clock = Arc::clone(&self.clock);
        let parts = AccessParts::new(store, Arc::clone(&clock) as _, options);
        Self { parts, clock }
    }

    pub(crate) async fn add(&self, name: &str, role: &str, at: &str) -> User {
        let user = NewUser {
            name: name.to_owned(),
            hierarchy: node(at),
            grants: vec![grant(role, at)],
            language: None,
        };
        users::add(&self.parts, &Authority::Operator, user)
            .await
            .unwrap()
    }

    /// Adds a user with the password [`PASSWORD`].
    pub(crate) async fn add_with_password(&self, name: &str, role: &str, at: &str) -> User {
        let user = self.add(name, role, at).await;
        let link = users::set_up_link(&self.parts, &Authority::Operator, &user.pkid).await;
        let token = token_of(&link.unwrap());
        users::set_password(&self.parts, address(), &token, &secret(PASSWORD))
            .await
            .unwrap()
    }

    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
    ) -> Result<NewSession, LogInError> {
        self.log_in_from(address(), name, password).await
    }

    pub(crate) async fn log_in_from(
        &self,
        address: ClientAddress,
        name: &str,
        password: &str,
    ) -> Result<NewSession, LogInError> {
        let request = LogIn {
            address,
            name: name.to_owned(),
            password: secret(password),
            previous: None,
            user_agent: Some("Browser/1".to_owned()),
        };
        log_in(&self.parts, request).await
    }

    /// Returns whether the id of a session is valid.
    pub(crate) async fn is_valid(&self, token: &SecretString) -> bool {
        let found = super::sessions::authenticate(&self.parts, token).await;
        found.unwrap().is_some()
    }

    /// Returns all documents of the host as text.
    pub(crate) async fn dump(&self) -> String {
        let mut text = String::new();
        for model in ["User", "Session", "ApiKey", "OneTimeLink", "AuditEvent"] {
            let filter = relation_host::types::Filter {
                model: format!("host/{model}"),
                hierarchy: None,
                equals: Vec::new(),
            };
            let page = self.parts.store().find(&filter, None, 1000).await.unwrap();
            for document in page.items {
                text.push_str(&format!("{document:?}\n"));
            }
        }
        text
    }
}

/// Returns the token of a link.
pub(crate) fn token_of(link: &users::OneTimeLink) -> SecretString {
    let path = link.url.path().to_owned();
    secret(path.rsplit('/').next().unwrap())
}

pub(crate) fn expose(token: &SecretString) -> &str {
    token.expose_secret()
}
