//! The integration's registration and the administrator's consent, as a test steers them.

use url::Url;

use super::Webex;
use crate::authorize::{self, Parameters, Rejected};
use crate::consent::{Consent, NotRedirected};
use crate::state::Organization;

impl Webex {
    /// Registers one more redirect address of the first client.
    pub fn add_redirect_uri(&self, uri: &str) {
        let mut state = self.shared.state();
        if let Some(registration) = state.registration_mut(self.client_id()) {
            registration.redirect_uris.push(uri.to_owned());
        }
    }

    /// Registers what the first client may ask for from now on.
    pub fn set_scopes<S: Into<String>>(&self, scopes: impl IntoIterator<Item = S>) {
        let scopes = scopes.into_iter().map(Into::into).collect();
        let mut state = self.shared.state();
        if let Some(registration) = state.registration_mut(self.client_id()) {
            registration.scopes = scopes;
        }
    }

    /// Lets the consent page propose the administrator of this organisation; it proposes that of
    /// the first one made if it is told nothing.
    pub fn propose(&self, organization: &Organization) {
        self.shared.state().proposal.organization = Some(organization.uuid.clone());
    }

    /// Lets the consent page leave the boxes of these scopes unticked, in place of those named
    /// before.
    pub fn propose_without<S: Into<String>>(&self, scopes: impl IntoIterator<Item = S>) {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.shared.state().proposal.without = scopes;
    }

    /// Does what a browser would do with a link to `/v1/authorize` and an administrator in front
    /// of it. Answers with the address that the browser is sent to, a code or an error in its
    /// query. Nothing is recorded and no fault met, since no request is made.
    ///
    /// # Errors
    /// If the browser would be sent nowhere: the client is unknown, the redirect address is not
    /// registered, or there is no such organisation.
    pub fn authorize(&self, link: &str, consent: &Consent) -> Result<String, NotRedirected> {
        let link = Url::parse(link)
            .map_err(|error| NotRedirected(format!("{link:?} is not an address: {error}")))?;
        let parameters = Parameters::read(link.query().unwrap_or_default().as_bytes());
        let location = authorize::read(&self.shared, &parameters)
            .and_then(|request| authorize::decide(&self.shared, &request, consent));
        match location {
            Ok(location) | Err(Rejected::Redirect(location)) => Ok(location),
            Err(Rejected::Page(reason)) => Err(NotRedirected(reason)),
        }
    }
}
