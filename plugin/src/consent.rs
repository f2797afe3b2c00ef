//! What a record remembers of consents that were begun: enough to know a callback again, and
//! nothing that could stand in for one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use crate::grant::Grant;
use crate::platform::{Environment, Secret, Timestamp};

/// How long a person has from the link to the callback, in milliseconds. Webex's code does not
/// live longer.
pub const LIFE: u64 = 10 * 60 * 1_000;
/// Random bytes of a state and of a verifier (RFC 7636, section 4.1, recommends 32).
const CHANCE: usize = 32;
/// More than this no redirect address has, in bytes.
const LONGEST_ADDRESS: usize = 2_048;
/// Parameters that the callback brings (RFC 6749, sections 4.1.2 and 4.1.2.1).
const OF_THE_CALLBACK: &[&str] = &["code", "state", "error", "error_description", "error_uri"];

/// The consents of a record, by grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consents {
    /// Those that a callback may still complete.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pending: BTreeMap<Grant, Pending>,
    /// The latest that none can complete any more, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub past: BTreeMap<Grant, Past>,
}

/// A consent that waits for its callback. Its verifier is sealed, see [`verifier`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The SHA-256 of the state, hexadecimal.
    pub state: String,
    /// The redirect address, as it was given.
    pub redirect_uri: String,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// Afterwards it is too late.
    pub expires: Timestamp,
}

/// A consent that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The SHA-256 of the state, hexadecimal.
    pub state: String,
    /// Why.
    pub fate: Fate,
}

/// Why a consent is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Its callback came, whatever it brought.
    Used,
    /// Another one was begun after it.
    Superseded,
    /// Nobody came in time.
    Expired,
}

/// What a callback's state is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One that was given out for this grant and not used; perhaps too late.
    Pending(Grant, Pending),
    /// One of which nothing can come any more.
    Past(Grant, Fate),
    /// Nobody gave it out, or so long ago that it is forgotten.
    Unknown,
}

impl Consents {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.past.is_empty()
    }

    /// Remembers that a consent was begun, in place of an earlier one for the same grant.
    pub fn begin(&mut self, grant: Grant, pending: Pending, now: Timestamp) {
        if let Some(earlier) = self.pending.get(&grant) {
            let fate = match earlier.expires <= now {
                true => Fate::Expired,
                false => Fate::Superseded,
            };
            self.end(grant, fate);
        }
        self.pending.insert(grant, pending);
    }

    /// Remembers that the pending consent for `grant` is over.
    pub fn end(&mut self, grant: Grant, fate: Fate) {
        if let Some(Pending { state, .. }) = self.pending.remove(&grant) {
            self.past.insert(grant, Past { state, fate });
        }
    }

    /// Looks for the consent that `state` belongs to.
    pub fn find(&self, state: &str) -> Found {
        let state = digest(state);
        let pending = self.pending.iter().find(|(_, each)| each.state == state);
        let past = || self.past.iter().find(|(_, each)| each.state == state);
        match pending {
            Some((grant, pending)) => Found::Pending(*grant, pending.clone()),
            None => past().map_or(Found::Unknown, |(grant, past)| {
                Found::Past(*grant, past.fate)
            }),
        }
    }
}

/// The name of the sealed PKCE verifier of the pending consent for `grant`.
pub fn verifier(grant: Grant) -> &'static str {
    match grant {
        Grant::Organization => "verifier",
        Grant::WholesaleCustomers => "wholesale_customers.verifier",
        Grant::WholesaleUsers => "wholesale_users.verifier",
    }
}

/// A new state: the pkid, a full stop and 256 random bits in base64url.
pub fn new_state(pkid: &str, environment: &(impl Environment + ?Sized)) -> String {
    format!("{pkid}.{}", chance(environment))
}

/// A new PKCE verifier: 256 random bits in base64url, 43 characters.
pub fn new_verifier(environment: &(impl Environment + ?Sized)) -> Secret {
    Secret::new(chance(environment))
}

fn chance(environment: &(impl Environment + ?Sized)) -> String {
    URL_SAFE_NO_PAD.encode(environment.random(CHANCE))
}

/// What is stored of a state: who reads the store cannot make a callback of it.
pub fn digest(state: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(state.as_bytes()) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Checks an address to which Webex is to send a browser: absolute, `https:`, or `http:` to this
/// machine alone (RFC 8252, section 7.3), without a fragment (RFC 6749, section 3.1.2), without
/// credentials, and without a parameter that the callback brings.
///
/// # Errors
/// What is wrong, as a fragment that follows the field's name.
pub fn check_redirect(address: &str) -> Result<Url, String> {
    if address.len() > LONGEST_ADDRESS {
        return Err(format!("has more than {LONGEST_ADDRESS} bytes"));
    }
    let url = Url::parse(address).map_err(|error| {
        format!("is no absolute address such as http://127.0.0.1:8085/callback: {error}")
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
        .find(|(name, _)| OF_THE_CALLBACK.contains(&name.as_ref()));
    if let Some((name, _)) = taken {
        return Err(format!(
            "has the parameter {name}, which the callback brings"
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_a_code_must_not_be_sent_to_are_refused() {
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
            let fault = check_redirect(address).unwrap_err();
            assert!(fault.contains(why), "{address}: {fault}");
        }
        assert!(check_redirect(&format!("https://example.com/{}", "x".repeat(3_000))).is_err());
    }

    #[test]
    fn a_state_is_known_again_by_its_digest_whatever_became_of_it() {
        let pending = |state: &str| Pending {
            state: digest(state),
            redirect_uri: "http://localhost/".to_owned(),
            scopes: Vec::new(),
            expires: 10,
        };
        let grant = Grant::Organization;
        let mut consents = Consents::default();
        assert_eq!(consents.find("one"), Found::Unknown);
        consents.begin(grant, pending("one"), 0);
        assert_eq!(consents.find("one"), Found::Pending(grant, pending("one")));
        consents.begin(grant, pending("two"), 5);
        assert_eq!(consents.find("one"), Found::Past(grant, Fate::Superseded));
        assert_eq!(consents.find("two"), Found::Pending(grant, pending("two")));
        consents.begin(grant, pending("three"), 10);
        assert_eq!(consents.find("two"), Found::Past(grant, Fate::Expired));
        assert_eq!(consents.find("one"), Found::Unknown);
        consents.end(grant, Fate::Used);
        assert_eq!(consents.find("three"), Found::Past(grant, Fate::Used));
        let stored = serde_json::to_string(&consents).unwrap();
        assert!(!stored.contains("three"), "{stored}");
    }
}
