//! Webex ids: the two forms of an organization's id, and the organization that a token names.

use std::fmt;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use uuid::Uuid;

use crate::platform::Secret;

/// Ids occur with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Webex organization.
///
/// Control Hub shows a bare UUID; the API uses the unpadded base64url of
/// `ciscospark://us/ORGANIZATION/<uuid>`. Both forms are equivalent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrgId(Uuid);

/// The reason why a text is not an organization's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrgIdError {
    /// The text has neither form.
    #[error(
        "is not an organization id: expected the UUID that Control Hub shows under Account, or the \
         base64 id of the Webex API"
    )]
    Malformed,
    /// The text is a Webex id of another type.
    #[error("is the Webex id of something other than an organization")]
    OtherType,
}

impl OrgId {
    /// Parses a hyphenated UUID of either case, or the API's base64 form with or without padding
    /// and of any cluster. Ignores surrounding white space, because ids are pasted.
    pub fn parse(text: &str) -> Result<Self, OrgIdError> {
        let text = text.trim();
        if let Some(uuid) = hyphenated(text) {
            return Ok(Self(uuid));
        }
        let uri = LENIENT
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(OrgIdError::Malformed)?;
        let path = uri
            .strip_prefix("ciscospark://")
            .ok_or(OrgIdError::Malformed)?;
        let mut segments = path.split('/');
        match (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        ) {
            // Ids of wholesale customers have the type `Organization`.
            (Some(_cluster), Some(kind), Some(uuid), None)
                if kind.eq_ignore_ascii_case("ORGANIZATION") =>
            {
                hyphenated(uuid).map(Self).ok_or(OrgIdError::Malformed)
            }
            (Some(_), Some(_), Some(_), None) => Err(OrgIdError::OtherType),
            _ => Err(OrgIdError::Malformed),
        }
    }

    /// Returns the form that Control Hub shows: the bare UUID in lower case.
    pub fn external(&self) -> String {
        self.0.hyphenated().to_string()
    }

    /// Returns the form that the Webex API uses.
    pub fn internal(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("ciscospark://us/ORGANIZATION/{self}"))
    }

    /// Reads the organization that an access token claims to be of, without verification: the third
    /// part of `<x>_<cluster>_<uuid>`, or the `realm` claim of a JWT.
    pub fn from_token_claim(token: &Secret) -> Option<Self> {
        let token = token.expose();
        let opaque = token
            .rsplit_once('_')
            .and_then(|(_, uuid)| hyphenated(uuid));
        let jwt = || {
            let claims = token.split('.').nth(1)?;
            let claims: Value = serde_json::from_slice(&LENIENT.decode(claims).ok()?).ok()?;
            hyphenated(claims.get("realm")?.as_str()?)
        };
        opaque.or_else(jwt).map(Self)
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

// `Uuid::try_parse` also accepts braced, URN and bare forms, which no interface of Webex shows.
fn hyphenated(text: &str) -> Option<Uuid> {
    if text.len() == 36 {
        Uuid::try_parse(text).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE as PADDED;
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "8a2c1f0e-5a0b-4b62-9c55-0d3f1c7d9e11";

    #[test]
    fn both_forms_name_the_same_organization() {
        let external = OrgId::parse(UUID).unwrap();
        let internal = OrgId::parse(&external.internal()).unwrap();
        assert_eq!(external, internal);
        assert_eq!(internal.external(), UUID);
        assert!(!external.internal().contains('='));
    }

    #[test]
    fn case_and_surrounding_space_do_not_matter() {
        let shouted = format!("  {}\n", UUID.to_uppercase());
        assert_eq!(OrgId::parse(&shouted).unwrap().external(), UUID);
    }

    #[test]
    fn id_of_another_cluster_is_the_same_organization() {
        let id = PADDED.encode(format!(
            "ciscospark://urn:TEAM:eu-central-1_k/ORGANIZATION/{UUID}"
        ));
        assert_eq!(OrgId::parse(&id).unwrap().external(), UUID);
    }

    #[test]
    fn id_of_a_person_has_its_own_error() {
        let id = PADDED.encode(format!("ciscospark://us/PEOPLE/{UUID}"));
        assert_eq!(OrgId::parse(&id), Err(OrgIdError::OtherType));
    }

    #[test]
    fn other_spellings_are_refused() {
        let bare = UUID.replace('-', "");
        let braced = format!("{{{UUID}}}");
        for text in ["", "Acme", bare.as_str(), braced.as_str(), "====", "é"] {
            assert_eq!(OrgId::parse(text), Err(OrgIdError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn organization_is_read_from_both_token_formats() {
        let opaque = Secret::new(format!("YWJj_P0A1_{UUID}"));
        assert_eq!(OrgId::from_token_claim(&opaque).unwrap().external(), UUID);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"realm":"{UUID}"}}"#));
        let jwt = Secret::new(format!("e30.{claims}.c2ln"));
        assert_eq!(OrgId::from_token_claim(&jwt).unwrap().external(), UUID);
        assert_eq!(OrgId::from_token_claim(&Secret::new("whatever")), None);
    }

    proptest! {
        #[test]
        fn every_organization_round_trips_in_both_forms(bits: u128, padded: bool) {
            let id = OrgId(Uuid::from_u128(bits));
            prop_assert_eq!(OrgId::parse(&id.external()), Ok(id));
            let mut internal = id.internal();
            while padded && !internal.len().is_multiple_of(4) {
                internal.push('=');
            }
            prop_assert_eq!(OrgId::parse(&internal), Ok(id));
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = OrgId::parse(&text);
            let _ = OrgId::from_token_claim(&Secret::new(text.as_str()));
            let _ = OrgId::parse(&PADDED.encode(format!("ciscospark://{text}")));
        }
    }
}
