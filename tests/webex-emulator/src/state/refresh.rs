//! The effect of a refresh, in each way reported of the real service.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Refusal, State};
use crate::ids::Digest;
use crate::settings::{Mode, millis};
use crate::token_response::TokenResponse;

/// New tokens, and the refresh token that this response invalidates.
pub(crate) struct RefreshResult {
    pub(crate) response: TokenResponse,
    pub(crate) rotated_out: Option<Digest>,
}

impl State {
    /// Performs `grant_type=refresh_token` for a client whose secret was right.
    ///
    /// `scopes` narrows the new access token; without it the token has all scopes of the grant.
    pub(crate) fn refresh(
        &mut self,
        client_id: &str,
        token: &str,
        scopes: Option<Vec<String>>,
    ) -> Result<RefreshResult, Refusal> {
        let now = self.settings.now();
        let digest = Digest::from_secret(token);
        let known = self.refresh_tokens.get(&digest).ok_or(Refusal::Unknown)?;
        let (id, expires_at) = (known.family.clone(), known.expires_at);
        let family = self.families.get(&id).ok_or(Refusal::Unknown)?;
        if family.client_id != client_id {
            return Err(Refusal::Unknown);
        }
        if known.revoked {
            return Err(Refusal::Revoked);
        }
        if known.rotated_out {
            if self.reuse_detection {
                self.revoke_family(&id);
            }
            return Err(Refusal::RotatedOut);
        }
        if now >= expires_at {
            return Err(Refusal::Expired);
        }
        let scopes = match scopes {
            Some(requested) if requested.iter().any(|scope| !family.scopes.contains(scope)) => {
                return Err(Refusal::Scope);
            }
            Some(requested) => requested,
            None => family.scopes.clone(),
        };

        let latest = family.latest.clone();
        let mode = self.modes.get(&family.organization_uuid);
        let mode = mode.copied().unwrap_or(self.mode);
        let full_lifetime = self.settings.refresh_ttl.as_secs();
        let remaining = seconds_between(now, expires_at);
        let same = || SecretString::from(token);
        let mut rotated_out = None;
        let (repeated, refresh) = match mode {
            Mode::ExtendSame => {
                self.extend(&digest);
                (None, Some((same(), full_lifetime)))
            }
            Mode::FrozenClock => (None, Some((same(), remaining))),
            Mode::OmitRefreshToken => (None, None),
            Mode::Rotate => {
                if let Some(old) = self.refresh_tokens.get_mut(&digest) {
                    old.rotated_out = true;
                }
                rotated_out = Some(digest);
                (None, Some((self.issue_refresh_token(&id), full_lifetime)))
            }
            Mode::SameAccessToken => {
                match latest.and_then(|latest| self.reusable_access_token(latest, now)) {
                    Some(repeated) => (Some(repeated), Some((same(), remaining))),
                    None => {
                        self.extend(&digest);
                        (None, Some((same(), full_lifetime)))
                    }
                }
            }
        };
        let (access_token, expires_in) = match repeated {
            Some(repeated) => repeated,
            None => (
                self.issue_access_token(&id, scopes.clone()),
                self.settings.access_ttl.as_secs(),
            ),
        };
        let response = TokenResponse {
            access_token,
            expires_in,
            refresh,
            scopes,
            bare: self.settings.bare_responses,
        };
        Ok(RefreshResult {
            response,
            rotated_out,
        })
    }

    /// Returns the access token issued last with its remaining seconds, while it is valid and
    /// recent.
    fn reusable_access_token(
        &self,
        (token, issued_at): (SecretString, u64),
        now: u64,
    ) -> Option<(SecretString, u64)> {
        let known = self
            .access_tokens
            .get(&Digest::from_secret(token.expose_secret()))
            .filter(|known| known.revoked_at.is_none() && now < known.expires_at)?;
        let age = now.saturating_sub(issued_at);
        (age < millis(self.settings.same_access_window))
            .then(|| (token, seconds_between(now, known.expires_at)))
    }

    fn extend(&mut self, digest: &Digest) {
        let expires_at = self.expiry_after(self.settings.refresh_ttl);
        if let Some(token) = self.refresh_tokens.get_mut(digest) {
            token.expires_at = expires_at;
        }
    }
}

/// Returns the whole seconds from one moment to a later one, both in milliseconds.
fn seconds_between(now: u64, then: u64) -> u64 {
    then.saturating_sub(now) / 1000
}
