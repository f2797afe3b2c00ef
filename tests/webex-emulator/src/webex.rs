//! The emulated service, as a test uses it.

mod authorization;
mod directory;

use std::fmt;

use axum::Router;

#[cfg(doc)]
use crate::builder::Builder;
use crate::faults::Fault;
use crate::gate::{Gate, ProcessingStage};
use crate::record::{InFlight, RecordedRequest};
use crate::routes;
use crate::settings::{Clock, Mode};
use crate::shared::Shared;
use crate::state::{LatestTokens, Organization};
use crate::token_response::Grant;

/// The emulated service, with its state and the controls for tests.
///
/// An [`Emulator`](crate::Emulator) adds a listener; [`Builder::in_process`] creates one without,
/// for [`handle`](Webex::handle). Clones share the same service.
#[derive(Clone)]
pub struct Webex {
    pub(crate) shared: Shared,
    pub(crate) router: Router,
}

/// The target of a revocation.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Revocation<'a> {
    /// A refresh token with all access tokens issued for it, or a lone access token.
    Token(&'a str),
    /// All grants of an organization.
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
        let router = routes::router(shared.clone());
        Self { shared, router }
    }

    /// Copies the service with its current state, under its own clock: tokens, pending faults, the
    /// record, and the future random numbers. From then on the two are independent.
    ///
    /// Gates and requests in flight are not copied; in the copy these were abandoned.
    #[must_use]
    pub fn fork(&self, clock: Clock) -> Self {
        Self::new(self.shared.fork(clock))
    }

    /// Returns the client of grants: the first that was registered.
    pub fn client_id(&self) -> &str {
        self.shared.settings().default_client()
    }

    /// Creates an organization with one administrator.
    pub fn create_organization(&self, display_name: &str) -> Organization {
        self.shared.state().create_organization(display_name)
    }

    /// Authorizes the first client as the administrator, with exactly these scopes.
    pub fn grant<S: Into<String>>(
        &self,
        organization: &Organization,
        scopes: impl IntoIterator<Item = S>,
    ) -> Grant {
        self.grant_to(self.client_id(), organization, scopes)
    }

    /// Authorizes this client as the administrator, with exactly these scopes.
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

    /// Changes the effect of a refresh from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.state().mode = mode;
    }

    /// Changes the effect of a refresh of one organization's tokens from now on; `None` restores that of the others.
    pub fn set_organization_mode(
        &self,
        organization: &Organization,
        mode: impl Into<Option<Mode>>,
    ) {
        let mut state = self.shared.state();
        match mode.into() {
            Some(mode) => state.modes.insert(organization.uuid.clone(), mode),
            None => state.modes.remove(&organization.uuid),
        };
    }

    /// Enables or disables the revocation of a family on reuse of a rotated-out token.
    pub fn set_reuse_detection(&self, on: bool) {
        self.shared.state().reuse_detection = on;
    }

    /// Adds a fault after the existing ones.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.inject(fault);
    }

    /// Removes every fault.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Revokes without the client's knowledge, as when an administrator loses his role. Returns
    /// false if the token is unknown or the organization had granted nothing.
    pub fn revoke<'a>(&self, what: impl Into<Revocation<'a>>) -> bool {
        let mut state = self.shared.state();
        match what.into() {
            Revocation::Token(token) => !state.revoke_token(token).is_empty(),
            Revocation::Organization(organization) => !state
                .revoke_organization(&organization.uuid, None)
                .is_empty(),
        }
    }

    /// Returns whether a request with this access or refresh token would be accepted now. The check changes
    /// nothing and is not recorded.
    pub fn accepts(&self, token: &str) -> bool {
        self.shared.state().accepts(token)
    }

    /// Returns the tokens issued last under a grant, or `None` if it is unknown here.
    pub fn latest_tokens(&self, grant: &Grant) -> Option<LatestTokens> {
        self.shared.state().latest_tokens(grant)
    }

    /// Holds requests to this path, and to those below it, before they are carried out.
    pub fn gate(&self, path: impl Into<String>) -> Gate {
        self.shared.gates.add(path.into(), ProcessingStage::Before)
    }

    /// Holds requests to this path, and to those below it, after they are carried out and before
    /// the response.
    pub fn gate_after(&self, path: impl Into<String>) -> Gate {
        self.shared.gates.add(path.into(), ProcessingStage::After)
    }

    /// Returns every request so far in the order of arrival; the oldest are dropped if there are
    /// too many.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorder.requests()
    }

    /// Returns the numbers of concurrent requests.
    pub fn in_flight(&self) -> InFlight {
        self.shared.recorder.in_flight()
    }

    /// Resolves once no request is in flight: by then a connection abandoned by its client has been
    /// noticed too.
    pub async fn idle(&self) {
        self.shared.recorder.idle().await;
    }

    /// Returns violations by clients: two requests in flight with one refresh token, or the use of a token or code
    /// known to be invalid.
    ///
    /// A client learns this from a whole response that rotates out, exchanges or rejects the token or code, or from its
    /// own revocation. The first use of a token that was revoked without its knowledge, or whose successor was lost on
    /// the way, is not a violation.
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
