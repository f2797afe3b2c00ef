//! Queries of tests about tokens; they change nothing.

use secrecy::ExposeSecret as _;

use super::State;
use crate::ids::{self, Digest};
use crate::token_response::Grant;

/// The tokens issued last under a grant: those of a client that has lost no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestTokens {
    /// The access token.
    pub access_token: Digest,
    /// The refresh token.
    pub refresh_token: Digest,
}

impl State {
    /// Returns whether a request with this token would be accepted now.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        match self.refresh_tokens.get(&Digest::from_secret(token)) {
            Some(known) => {
                !known.revoked && !known.rotated_out && self.settings.now() < known.expires_at
            }
            None => self.authenticate(token).is_ok(),
        }
    }

    pub(crate) fn latest_tokens(&self, grant: &Grant) -> Option<LatestTokens> {
        let id = ids::decode("AUTHORIZATION", &grant.authorization_id)?;
        let family = self.families.get(&id)?;
        let (access_token, _) = family.latest.as_ref()?;
        Some(LatestTokens {
            access_token: Digest::from_secret(access_token.expose_secret()),
            refresh_token: family.refresh_tokens.back()?.clone(),
        })
    }
}
