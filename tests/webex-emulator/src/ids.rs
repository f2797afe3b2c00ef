//! Identifiers of Webex: resource ids, and digests of secrets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Returns the `/v1` id of a resource: base64url without padding of
/// `ciscospark://us/<kind>/<uuid>`.
pub(crate) fn encode(kind: &str, uuid: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("ciscospark://us/{kind}/{uuid}"))
}

/// Returns the UUID inside a `/v1` id of the given kind, in any cluster, padding and base64 alphabet. `None` if it is
/// not such an id.
pub(crate) fn decode(kind: &str, id: &str) -> Option<String> {
    let text = decode_text(id)?;
    let mut parts = text.strip_prefix("ciscospark://")?.split('/');
    let (_cluster, found, uuid, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    if found != kind || rest.is_some() {
        return None;
    }
    Uuid::parse_str(uuid).ok().map(|uuid| uuid.to_string())
}

fn decode_text(id: &str) -> Option<String> {
    let unpadded = id.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD
        .decode(unpadded)
        .or_else(|_| STANDARD.decode(id))
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// Returns the UUID at the beginning of the last part of a `/v1` id of any kind, or a bare UUID, with or without
/// hyphens.
pub(crate) fn uuid_in(id: &str) -> Option<Uuid> {
    if let Ok(uuid) = Uuid::parse_str(id) {
        return Some(uuid);
    }
    let text = decode_text(id)?;
    let (_, last) = text.rsplit_once('/')?;
    Uuid::parse_str(last.get(..36)?).ok()
}

/// Returns the UUID of an organization's one administrator, which is derived from the organization's.
pub(crate) fn administrator(organization_uuid: &str) -> String {
    Digest::from_secret(&format!("administrator of {organization_uuid}")).uuid()
}

/// A digest that replaces a secret in output: the first 128 bits of its SHA-256, in hex.
///
/// Equal secrets have equal digests, so a test can follow a token through the record, which holds
/// no token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Computes the digest of a secret.
    pub fn from_secret(secret: &str) -> Self {
        let digest = Sha256::digest(secret.as_bytes());
        Self(hex::encode(
            digest.first_chunk::<16>().map_or(&[][..], |half| half),
        ))
    }

    /// Returns the digest in the form of a UUID.
    pub(crate) fn uuid(&self) -> String {
        Uuid::parse_str(&self.0).unwrap_or_default().to_string()
    }

    /// Returns the 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "1eb65fdf-9643-417f-9974-ad72cae0e10f";

    #[test]
    fn organization_id_is_unpadded_base64url() {
        assert_eq!(
            encode("ORGANIZATION", UUID),
            "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8xZWI2NWZkZi05NjQzLTQxN2YtOTk3NC1hZDcyY2FlMGUxMGY"
        );
    }

    #[test]
    fn an_id_is_read_with_and_without_padding() {
        let id = encode("ORGANIZATION", UUID);
        assert_eq!(decode("ORGANIZATION", &id).as_deref(), Some(UUID));
        assert_eq!(
            decode("ORGANIZATION", &format!("{id}=")).as_deref(),
            Some(UUID)
        );
    }

    #[test]
    fn uuid_is_found_in_an_id_of_any_kind() {
        let id = encode("SCIM_GROUP", &format!("{UUID}:{UUID}"));
        for id in [&id, UUID, &UUID.replace('-', "")] {
            assert_eq!(
                uuid_in(id).map(|uuid| uuid.to_string()).as_deref(),
                Some(UUID)
            );
        }
        assert_eq!(uuid_in("nonsense"), None);
    }

    #[test]
    fn other_ids_are_not_organization_ids() {
        assert_eq!(decode("ORGANIZATION", UUID), None);
        assert_eq!(decode("ORGANIZATION", &encode("PEOPLE", UUID)), None);
    }
}
