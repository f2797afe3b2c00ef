//! The identifiers of Webex: resource ids, and digests that stand in for secrets.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The id that `/v1` uses for a resource: base64url without padding of
/// `ciscospark://us/<kind>/<uuid>`.
pub(crate) fn encode(kind: &str, uuid: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("ciscospark://us/{kind}/{uuid}"))
}

/// The UUID inside a `/v1` id of the given kind, in any cluster, padded or not, in either base64
/// alphabet; nothing if it is not such an id.
pub(crate) fn decode(kind: &str, id: &str) -> Option<String> {
    let unpadded = id.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD
        .decode(unpadded)
        .or_else(|_| STANDARD.decode(id))
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut parts = text.strip_prefix("ciscospark://")?.split('/');
    let (_cluster, found, uuid, rest) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    if found != kind || rest.is_some() {
        return None;
    }
    Uuid::parse_str(uuid).ok().map(|uuid| uuid.to_string())
}

/// What the emulator shows in place of a secret: the first 128 bits of its SHA-256, in hex.
///
/// Equal secrets have equal digests, so a test can follow a token through the record without
/// the record holding it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of a secret.
    pub fn of(secret: &str) -> Self {
        let mut hex = String::with_capacity(32);
        for byte in Sha256::digest(secret.as_bytes()).iter().take(16) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }

    /// The 32 hex digits.
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
    fn an_organization_id_is_unpadded_base64url_of_its_uri() {
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
    fn a_bare_uuid_or_an_id_of_another_kind_is_not_an_organization_id() {
        assert_eq!(decode("ORGANIZATION", UUID), None);
        assert_eq!(decode("ORGANIZATION", &encode("PEOPLE", UUID)), None);
    }
}
