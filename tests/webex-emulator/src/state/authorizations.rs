//! The listing of authorizations, and their revocation.

use super::{Refusal, State};
use crate::ids::Digest;

/// One token of a grant, as `GET /v1/authorizations` lists it.
pub(crate) struct Authorization {
    /// The UUID of the grant, or one derived from the access token.
    pub(crate) uuid: String,
    pub(crate) client_id: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) created: u64,
    pub(crate) kind: TokenKind,
}

/// The kind of a listed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenKind {
    Refresh,
    Access,
}

impl TokenKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Access => "access",
        }
    }
}

impl State {
    /// Returns the valid tokens that the organization's administrator has granted, the oldest first.
    pub(crate) fn authorizations(&self, organization_uuid: &str) -> Vec<Authorization> {
        let now = self.settings.now();
        let mut found = Vec::new();
        for (uuid, family) in &self.families {
            if family.organization_uuid != organization_uuid {
                continue;
            }
            let list = |uuid: String, created, kind| Authorization {
                uuid,
                client_id: family.client_id.clone(),
                created,
                kind,
            };
            let refreshes = family.refresh_tokens.iter().any(|digest| {
                self.refresh_tokens.get(digest).is_some_and(|token| {
                    !token.revoked && !token.rotated_out && now < token.expires_at
                })
            });
            if refreshes {
                found.push(list(uuid.clone(), family.created, TokenKind::Refresh));
            }
            for digest in &family.access_tokens {
                if let Some(token) = self.access_tokens.get(digest)
                    && token.revoked_at.is_none()
                    && now < token.expires_at
                {
                    found.push(list(digest.uuid(), token.created, TokenKind::Access));
                }
            }
        }
        found.sort_by(|a, b| (a.created, a.kind, &a.uuid).cmp(&(b.created, b.kind, &b.uuid)));
        found
    }

    /// Revokes the organization's authorization with this UUID: a grant with all its tokens, or one
    /// access token. Returns every token that is invalid now.
    pub(crate) fn revoke_authorization(
        &mut self,
        organization_uuid: &str,
        uuid: &str,
    ) -> Option<Vec<Digest>> {
        if let Some(family) = self.families.get(uuid) {
            let is_own = family.organization_uuid == organization_uuid;
            return is_own.then(|| self.revoke_family(uuid));
        }
        let mut families = self.families.values();
        let digest = families
            .find_map(|family| {
                let mut tokens = family.access_tokens.iter();
                (family.organization_uuid == organization_uuid)
                    .then(|| tokens.find(|digest| digest.uuid() == uuid))
                    .flatten()
            })?
            .clone();
        Some(self.revoke_access_token(&digest))
    }

    /// Revokes a token on its client's request (RFC 7009): a refresh token with its access tokens.
    /// Returns every token that is invalid now; none if it is unknown.
    ///
    /// # Errors
    /// If the token was issued to another client.
    pub(crate) fn revoke_for_client(
        &mut self,
        client_id: &str,
        token: &str,
    ) -> Result<Vec<Digest>, Refusal> {
        let digest = Digest::from_secret(token);
        let refresh = self.refresh_tokens.get(&digest).map(|token| &token.family);
        let access = self.access_tokens.get(&digest).map(|token| &token.family);
        let family = refresh.or(access).and_then(|id| self.families.get(id));
        match family {
            Some(family) if family.client_id != client_id => Err(Refusal::Unknown),
            _ => Ok(self.revoke_token(token)),
        }
    }
}
