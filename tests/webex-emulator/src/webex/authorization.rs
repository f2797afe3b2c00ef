//! The integration's registration and the administrator's consent, as tests control them.

use url::Url;

use super::Webex;
use crate::authorize::{self, AuthorizationError, Parameters};
use crate::consent::{Consent, RedirectError};
use crate::state::Organization;

impl Webex {
    /// Registers one more redirect address of the first client.
    pub fn add_redirect_uri(&self, uri: &str) {
        let mut state = self.shared.state();
        if let Some(registration) = state.registration_mut(self.client_id()) {
            registration.redirect_uris.push(uri.to_owned());
        }
    }

    /// Sets the permitted scopes of the first client from now on.
    pub fn set_scopes<S: Into<String>>(&self, scopes: impl IntoIterator<Item = S>) {
        let scopes = scopes.into_iter().map(Into::into).collect();
        let mut state = self.shared.state();
        if let Some(registration) = state.registration_mut(self.client_id()) {
            registration.scopes = scopes;
        }
    }

    /// Sets the organization whose administrator the consent page proposes; by default the first
    /// one created.
    pub fn propose(&self, organization: &Organization) {
        self.shared.state().proposal.organization = Some(organization.uuid.clone());
    }

    /// Sets the scopes whose boxes the consent page leaves unticked.
    pub fn propose_without<S: Into<String>>(&self, scopes: impl IntoIterator<Item = S>) {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.shared.state().proposal.without = scopes;
    }

    /// Opens a link to `/v1/authorize` as a browser with an administrator would. Returns the
    /// address to which the browser is redirected, with a code or an error in its query. No request is recorded, and no
    /// fault acts.
    ///
    /// # Errors
    /// If the browser would not be redirected: the client is unknown, the redirect address is not
    /// registered, or there is no such organization.
    pub fn authorize(&self, link: &str, consent: &Consent) -> Result<String, RedirectError> {
        let link = Url::parse(link)
            .map_err(|error| RedirectError(format!("{link:?} is not an address: {error}")))?;
        let parameters = Parameters::parse(link.query().unwrap_or_default().as_bytes());
        let location = authorize::validate(&self.shared, &parameters)
            .and_then(|request| authorize::decide(&self.shared, &request, consent));
        match location {
            Ok(location) | Err(AuthorizationError::Redirect(location)) => Ok(location),
            Err(AuthorizationError::Page(reason)) => Err(RedirectError(reason)),
        }
    }
}
