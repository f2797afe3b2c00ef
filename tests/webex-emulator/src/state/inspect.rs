//! What a test may ask about tokens; asking changes nothing.

use secrecy::ExposeSecret as _;

use super::State;
use crate::answer::Grant;
use crate::ids::{self, Digest};

/// The tokens that were given out last under a grant: what a client holds that lost no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The access token.
    pub access_token: Digest,
    /// The refresh token.
    pub refresh_token: Digest,
}

impl State {
    /// Whether a request with this token would be accepted now.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        match self.refresh_tokens.get(&Digest::of(token)) {
            Some(known) => {
                !known.revoked && !known.rotated_out && self.settings.now() < known.expires_at
            }
            None => self.authenticate(token).is_ok(),
        }
    }

    pub(crate) fn newest(&self, grant: &Grant) -> Option<Newest> {
        let id = ids::decode("AUTHORIZATION", &grant.authorization_id)?;
        let family = self.families.get(&id)?;
        let (access_token, _) = family.latest.as_ref()?;
        Some(Newest {
            access_token: Digest::of(access_token.expose_secret()),
            refresh_token: family.refresh_tokens.back()?.clone(),
        })
    }
}
