//! Authorization codes: issued by consent, exchanged once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::State;
use crate::authorize::AuthorizationRequest;
use crate::ids::{self, Digest};
use crate::settings::millis;
use crate::token_response::Grant;

/// How long an invalid code is remembered, to distinguish its reuse from an unknown code.
const CODE_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// An issued code.
#[derive(Clone)]
pub(super) struct Code {
    client_id: String,
    redirect_uri: String,
    organization_uuid: String,
    scopes: Vec<String>,
    challenge: Option<String>,
    expires_at: u64,
    /// UUID of the authorization that its first use created.
    used: Option<String>,
}

/// A client's request for the exchange of a code. Its secret was right.
pub(crate) struct Exchange<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) code: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: Option<&'a str>,
}

/// The reason why a code was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeRefusal {
    /// Never issued, issued to another client, or forgotten.
    Unknown,
    Expired,
    Used,
    /// Not byte for byte the redirect address of the authorization request.
    RedirectUri,
    /// The PKCE verifier is missing or does not match the challenge.
    Verifier,
}

impl State {
    /// Issues a code for an administrator's consent.
    pub(crate) fn issue_code(
        &mut self,
        request: &AuthorizationRequest,
        organization_uuid: &str,
        scopes: Vec<String>,
    ) -> String {
        let (now, retention) = (self.settings.now(), millis(CODE_RETENTION));
        self.codes
            .retain(|_, code| now < code.expires_at.saturating_add(retention));
        let text = self.generator.code();
        self.codes.insert(
            Digest::from_secret(&text),
            Code {
                client_id: request.client_id.clone(),
                redirect_uri: request.redirect_uri.clone(),
                organization_uuid: organization_uuid.to_owned(),
                scopes,
                challenge: request.challenge.clone(),
                expires_at: self.expiry_after(self.settings.code_ttl),
                used: None,
            },
        );
        text
    }

    /// Performs `grant_type=authorization_code`. A rejection leaves the code unchanged.
    pub(crate) fn exchange(&mut self, exchange: &Exchange<'_>) -> Result<Grant, CodeRefusal> {
        let now = self.settings.now();
        let digest = Digest::from_secret(exchange.code);
        let code = self
            .codes
            .get(&digest)
            .filter(|code| code.client_id == exchange.client_id)
            .ok_or(CodeRefusal::Unknown)?;
        if let Some(family) = code.used.clone() {
            if self.settings.code_reuse_revokes {
                self.revoke_family(&family);
            }
            return Err(CodeRefusal::Used);
        }
        if now >= code.expires_at {
            return Err(CodeRefusal::Expired);
        }
        if code.redirect_uri != exchange.redirect_uri {
            return Err(CodeRefusal::RedirectUri);
        }
        if let Some(challenge) = &code.challenge
            && !exchange
                .verifier
                .is_some_and(|verifier| verifier_matches(verifier, challenge))
        {
            return Err(CodeRefusal::Verifier);
        }
        let (organization, scopes) = (code.organization_uuid.clone(), code.scopes.clone());
        let grant = self.grant(&organization, exchange.client_id, scopes);
        if let Some(code) = self.codes.get_mut(&digest) {
            code.used = ids::decode("AUTHORIZATION", grant.authorization_id());
        }
        Ok(grant)
    }
}

/// Implements RFC 7636 section 4.6 for `S256`; section 4.1 defines the verifier's format.
fn verifier_matches(verifier: &str, challenge: &str) -> bool {
    let unreserved = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn verifier_matches_only_its_challenge() {
        assert!(verifier_matches(VERIFIER, CHALLENGE));
        assert!(!verifier_matches(&VERIFIER.replace('d', "e"), CHALLENGE));
        assert!(!verifier_matches(CHALLENGE, CHALLENGE));
    }

    #[test]
    fn short_verifier_is_rejected() {
        let short = "abc";
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(short.as_bytes()));
        assert!(!verifier_matches(short, &challenge));
    }
}
