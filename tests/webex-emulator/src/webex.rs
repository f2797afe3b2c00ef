//! The emulated service, as a test sees it.

mod authorization;
mod directory;

use std::fmt;

use axum::Router;

use crate::answer::Grant;
#[cfg(doc)]
use crate::builder::Builder;
use crate::faults::Fault;
use crate::gate::{Gate, Stage};
use crate::record::{InFlight, RecordedRequest};
use crate::routes;
use crate::settings::{Clock, Mode};
use crate::shared::Shared;
use crate::state::{Newest, Organization};

/// The emulated service: what it knows, and how a test steers it.
///
/// An [`Emulator`](crate::Emulator) is one that listens; [`Builder::in_process`] makes one that is
/// only asked by [`answer`](Webex::answer). A clone is another handle on the same service.
#[derive(Clone)]
pub struct Webex {
    pub(crate) shared: Shared,
    pub(crate) router: Router,
}

/// What is revoked.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Revocation<'a> {
    /// A refresh token with all access tokens it gave, or a lone access token.
    Token(&'a str),
    /// All that was granted in an organisation.
    Organization(&'a Organization),
}

impl<'a> From<&'a str> for Revocation<'a> {
    fn from(token: &'a str) -> Self {
        Self::Token(token)
    }
}

impl<'a> From<&'a Organization> for Revocation<'a> {
    fn from(organization: &'a Organization) -> Self {
        Self::Organization(organization)
    }
}

impl<'a> From<&'a Grant> for Revocation<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self::Token(grant.refresh_token())
    }
}

impl Webex {
    pub(crate) fn new(shared: Shared) -> Self {
        let router = routes::all(shared.clone());
        Self { shared, router }
    }

    /// Another service that knows the same as this one at this moment, by a clock of its own:
    /// tokens, faults not yet met, the record, and what its random numbers will be. From now on
    /// neither knows of the other.
    ///
    /// Gates and requests in flight stay behind; in the copy these were abandoned.
    #[must_use]
    pub fn fork(&self, clock: Clock) -> Self {
        Self::new(self.shared.fork(clock))
    }

    /// The client that grants are made to: the first that was registered.
    pub fn client_id(&self) -> &str {
        self.shared.settings().default_client()
    }

    /// Makes an organisation with one administrator.
    pub fn create_organization(&self, display_name: &str) -> Organization {
        self.shared.state().create_organization(display_name)
    }

    /// The administrator authorises the first client, with exactly these scopes.
    pub fn grant<S: Into<String>>(
        &self,
        organization: &Organization,
        scopes: impl IntoIterator<Item = S>,
    ) -> Grant {
        self.grant_to(self.client_id(), organization, scopes)
    }

    /// The administrator authorises this client, with exactly these scopes.
    pub fn grant_to<S: Into<String>>(
        &self,
        client_id: &str,
        organization: &Organization,
        scopes: impl IntoIterator<Item = S>,
    ) -> Grant {
        let scopes = scopes.into_iter().map(Into::into).collect();
        let mut state = self.shared.state();
        state.grant(&organization.uuid, client_id, scopes)
    }

    /// Changes what a refresh does from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.state().mode = mode;
    }

    /// Turns the revocation of a family on reuse of a rotated-out token on or off.
    pub fn set_reuse_detection(&self, on: bool) {
        self.shared.state().reuse_detection = on;
    }

    /// Adds a fault after those already there.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.inject(fault);
    }

    /// Forgets every fault.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Revokes behind the client's back, as when an administrator loses his role. False if the
    /// token is unknown or the organisation had granted nothing.
    pub fn revoke<'a>(&self, what: impl Into<Revocation<'a>>) -> bool {
        let mut state = self.shared.state();
        match what.into() {
            Revocation::Token(token) => state.revoke_token(token),
            Revocation::Organization(organization) => !state
                .revoke_organization(&organization.uuid, None)
                .is_empty(),
        }
    }

    /// Whether a request with this access or refresh token would be accepted now. Asking changes
    /// nothing and is not recorded.
    pub fn accepts(&self, token: &str) -> bool {
        self.shared.state().accepts(token)
    }

    /// The tokens given out last under a grant; none if it was not made here.
    pub fn newest(&self, grant: &Grant) -> Option<Newest> {
        self.shared.state().newest(grant)
    }

    /// Holds requests to this path, and to those below it, before anything is done about them.
    pub fn gate(&self, path: impl Into<String>) -> Gate {
        self.shared.gates.add(path.into(), Stage::Before)
    }

    /// Holds requests to this path, and to those below it, when they are carried out but not
    /// answered yet.
    pub fn gate_after(&self, path: impl Into<String>) -> Gate {
        self.shared.gates.add(path.into(), Stage::After)
    }

    /// Every request so far in the order of arrival, the oldest forgotten if there are too many.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.requests()
    }

    /// How many requests there are and were at the same time.
    pub fn in_flight(&self) -> InFlight {
        self.shared.recorder.in_flight()
    }

    /// Resolves once no request is in flight: also the end of a connection that a client has given up is
    /// seen then.
    pub async fn idle(&self) {
        self.shared.recorder.idle().await;
    }

    /// What clients did that no client may: two requests in flight with one refresh token, or
    /// the use of a token or code that its holder knew to be revoked, rotated out or used.
    ///
    /// A client knows what it was told: by a whole answer that rotated the token out, exchanged
    /// the code or refused either as dead, or by its own successful revocation. The first use of a token that was
    /// revoked behind its back, or whose successor was lost on the way, is no violation.
    pub fn violations(&self) -> Vec<String> {
        self.shared.recorder.violations()
    }

    /// Fails the test if there are violations.
    ///
    /// # Panics
    /// With the list of violations if there are any.
    #[track_caller]
    pub fn assert_sound(&self) {
        let violations = self.violations();
        assert!(
            violations.is_empty(),
            "clients broke the rules of the token endpoint:\n{}",
            violations.join("\n")
        );
    }
}

impl fmt::Debug for Webex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webex").finish_non_exhaustive()
    }
}
