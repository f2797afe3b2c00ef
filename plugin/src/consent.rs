//! The consents that a record has begun. A record stores enough to recognize a callback, but not
//! enough to forge one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use crate::grant::Grant;
use crate::platform::{Environment, Secret, UnixMillis};

/// Random bytes of a state and of a verifier (RFC 7636, section 4.1, recommends 32).
const STATE_BYTES: usize = 32;
/// The maximum length of a redirect URI in bytes.
const MAX_REDIRECT_URI_BYTES: usize = 2_048;
/// Parameters that the callback adds (RFC 6749, sections 4.1.2 and 4.1.2.1).
const CALLBACK_PARAMETERS: &[&str] = &["code", "state", "error", "error_description", "error_uri"];

/// The consents of a record, by grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consents {
    /// Consents that a callback can still complete.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pending: BTreeMap<Grant, PendingConsent>,
    /// The latest finished consent of each grant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub past: BTreeMap<Grant, PastConsent>,
}

/// A consent that waits for its callback. Its verifier is sealed, see [`verifier_name`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingConsent {
    /// The SHA-256 of the state, hexadecimal.
    pub state: String,
    /// The redirect URI as it was given.
    pub redirect_uri: String,
    /// The requested scopes.
    pub scopes: Vec<String>,
    /// The time after which the callback is refused.
    pub expires: UnixMillis,
}

/// A consent that no callback can complete any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastConsent {
    /// The SHA-256 of the state, hexadecimal.
    pub state: String,
    /// Why the consent is finished.
    #[serde(rename = "fate")]
    pub outcome: ConsentOutcome,
}

/// The reason why a consent is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentOutcome {
    /// Its tokens are stored.
    Used,
    /// Its callback arrived, but brought no tokens: Webex refused, or the tokens were not stored.
    Failed,
    /// A later consent for the same grant replaced it.
    Superseded,
    /// No callback arrived in time.
    Expired,
}

/// The result of looking up a callback's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentMatch {
    /// An unused state of this grant, possibly expired.
    Pending(Grant, PendingConsent),
    /// A state of a finished consent.
    Past(Grant, ConsentOutcome),
    /// A state that was never issued, or so long ago that it is forgotten.
    Unknown,
}

impl Consents {
    /// Returns whether no consent is stored.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.past.is_empty()
    }

    /// Adds a pending consent, replacing an earlier one for the same grant.
    pub fn begin(&mut self, grant: Grant, pending: PendingConsent, now: UnixMillis) {
        if let Some(earlier) = self.pending.get(&grant) {
            let outcome = match earlier.expires <= now {
                true => ConsentOutcome::Expired,
                false => ConsentOutcome::Superseded,
            };
            self.end(grant, outcome);
        }
        self.pending.insert(grant, pending);
    }

    /// Marks the pending consent for `grant` as finished.
    pub fn end(&mut self, grant: Grant, outcome: ConsentOutcome) {
        if let Some(PendingConsent { state, .. }) = self.pending.remove(&grant) {
            self.past.insert(grant, PastConsent { state, outcome });
        }
    }

    /// Makes the consent for `grant` pending again, if it is still the latest one.
    pub fn restore(&mut self, grant: Grant, pending: PendingConsent) {
        if self.is_latest(grant, &pending.state) {
            self.past.remove(&grant);
            self.pending.insert(grant, pending);
        }
    }

    /// Notes that the latest finished consent for `grant` has succeeded, if that is the one of `state`.
    pub fn succeed(&mut self, grant: Grant, state: &str) {
        if self.is_latest(grant, state)
            && let Some(past) = self.past.get_mut(&grant)
        {
            past.outcome = ConsentOutcome::Used;
        }
    }

    /// Returns whether the finished consent with the hashed `state` is the latest one for `grant`.
    fn is_latest(&self, grant: Grant, state: &str) -> bool {
        let is_past = |past: &PastConsent| past.state == state;
        !self.pending.contains_key(&grant) && self.past.get(&grant).is_some_and(is_past)
    }

    /// Finds the consent that `state` belongs to.
    pub fn find(&self, state: &str) -> ConsentMatch {
        let state = hash_state(state);
        let pending = self.pending.iter().find(|(_, each)| each.state == state);
        let past = || self.past.iter().find(|(_, each)| each.state == state);
        match pending {
            Some((grant, pending)) => ConsentMatch::Pending(*grant, pending.clone()),
            None => past().map_or(ConsentMatch::Unknown, |(grant, past)| {
                ConsentMatch::Past(*grant, past.outcome)
            }),
        }
    }
}

/// Returns the name of the sealed PKCE verifier of the pending consent for `grant`.
pub fn verifier_name(grant: Grant) -> &'static str {
    match grant {
        Grant::Organization => "verifier",
        Grant::WholesaleCustomers => "wholesale_customers.verifier",
        Grant::WholesaleUsers => "wholesale_users.verifier",
    }
}

/// Creates a state: the pkid, a full stop and 256 random bits in base64url.
pub fn new_state(pkid: &str, environment: &dyn Environment) -> String {
    format!("{pkid}.{}", random_base64url(environment))
}

/// Creates a PKCE verifier: 256 random bits in base64url, 43 characters.
pub fn new_verifier(environment: &dyn Environment) -> Secret {
    Secret::new(random_base64url(environment))
}

fn random_base64url(environment: &dyn Environment) -> String {
    URL_SAFE_NO_PAD.encode(environment.random(STATE_BYTES))
}

/// Hashes a state for storage, so that the store's content is not enough to forge a callback.
pub fn hash_state(state: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(state.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Checks a redirect URI:
///
/// - absolute, and `https:`, or `http:` to a loopback address (RFC 8252, section 7.3),
/// - without a fragment (RFC 6749, section 3.1.2) and without credentials,
/// - without a parameter that the callback adds.
///
/// # Errors
/// The reason, as a fragment that follows the field's name.
pub fn check_redirect(address: &str) -> Result<Url, String> {
    if address.len() > MAX_REDIRECT_URI_BYTES {
        return Err(format!("has more than {MAX_REDIRECT_URI_BYTES} bytes"));
    }
    let url = Url::parse(address).map_err(|error| {
        format!("is not an absolute URL such as http://127.0.0.1:8085/callback: {error}")
    })?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return Err(
                "is http: to another machine, where the code could be read: use https:, or http: \
                 to 127.0.0.1, [::1] or localhost"
                    .to_owned(),
            );
        }
        other => return Err(format!("must be an http: or https: address, not {other}:")),
    }
    if url.fragment().is_some() {
        return Err("has a fragment (#…), which no redirect address may have".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password, which a redirect address must not show".to_owned());
    }
    let taken = url
        .query_pairs()
        .find(|(name, _)| CALLBACK_PARAMETERS.contains(&name.as_ref()));
    if let Some((name, _)) = taken {
        return Err(format!("has the parameter {name}, which the callback adds"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_redirect_addresses_are_refused() {
        for address in [
            "https://relation.example.com/callback",
            "https://relation.example.com:8443/callback?tenant=1",
            "http://127.0.0.1:8085/callback",
            "http://[::1]:8085/",
            "http://localhost/callback",
        ] {
            assert!(check_redirect(address).is_ok(), "{address}");
        }
        for (address, why) in [
            ("", "absolute"),
            ("/callback", "absolute"),
            ("javascript:alert(1)", "http: or https:"),
            ("http://relation.example.com/", "another machine"),
            ("http://127.0.0.1.example.com/", "another machine"),
            ("http://localhost.example.com/", "another machine"),
            ("https://example.com/#here", "fragment"),
            ("https://me@example.com/", "user"),
            ("https://example.com/?state=1", "parameter state"),
        ] {
            let error = check_redirect(address).unwrap_err();
            assert!(error.contains(why), "{address}: {error}");
        }
        assert!(check_redirect(&format!("https://example.com/{}", "x".repeat(3_000))).is_err());
    }

    #[test]
    fn consent_is_found_by_the_hash_of_its_state() {
        let pending = |state: &str| PendingConsent {
            state: hash_state(state),
            redirect_uri: "http://localhost/".to_owned(),
            scopes: Vec::new(),
            expires: UnixMillis(10),
        };
        let grant = Grant::Organization;
        let mut consents = Consents::default();
        assert_eq!(consents.find("one"), ConsentMatch::Unknown);
        consents.begin(grant, pending("one"), UnixMillis(0));
        assert_eq!(
            consents.find("one"),
            ConsentMatch::Pending(grant, pending("one"))
        );
        consents.begin(grant, pending("two"), UnixMillis(5));
        assert_eq!(
            consents.find("one"),
            ConsentMatch::Past(grant, ConsentOutcome::Superseded)
        );
        assert_eq!(
            consents.find("two"),
            ConsentMatch::Pending(grant, pending("two"))
        );
        consents.begin(grant, pending("three"), UnixMillis(10));
        assert_eq!(
            consents.find("two"),
            ConsentMatch::Past(grant, ConsentOutcome::Expired)
        );
        assert_eq!(consents.find("one"), ConsentMatch::Unknown);
        consents.end(grant, ConsentOutcome::Used);
        assert_eq!(
            consents.find("three"),
            ConsentMatch::Past(grant, ConsentOutcome::Used)
        );
        let stored = serde_json::to_string(&consents).unwrap();
        assert!(!stored.contains("three"), "{stored}");
    }

    #[test]
    fn only_the_latest_consent_is_restored() {
        let pending = |state: &str| PendingConsent {
            state: hash_state(state),
            redirect_uri: "http://localhost/".to_owned(),
            scopes: Vec::new(),
            expires: UnixMillis(10),
        };
        let grant = Grant::Organization;
        let mut consents = Consents::default();
        consents.begin(grant, pending("one"), UnixMillis(0));
        consents.end(grant, ConsentOutcome::Failed);
        consents.restore(grant, pending("one"));
        let restored = ConsentMatch::Pending(grant, pending("one"));
        assert_eq!(consents.find("one"), restored);

        consents.end(grant, ConsentOutcome::Failed);
        consents.begin(grant, pending("two"), UnixMillis(0));
        consents.restore(grant, pending("one"));
        consents.succeed(grant, &hash_state("one"));
        let failed = ConsentMatch::Past(grant, ConsentOutcome::Failed);
        assert_eq!(consents.find("one"), failed);
        consents.end(grant, ConsentOutcome::Failed);
        consents.succeed(grant, &hash_state("two"));
        let used = ConsentMatch::Past(grant, ConsentOutcome::Used);
        assert_eq!(consents.find("two"), used);
    }
}
