//! The settings of an emulator: token lifetimes, clients, refresh behavior, error bodies.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::contact_center::ContactCenterSettings;
use crate::directory::Directory;
use crate::paging::Listing;
use crate::scopes::{
    CONTACT_CENTER_SCOPES, DEFAULT_SCOPES, IDENTITY_SCOPES, PERSONAL_SCOPES, WHOLESALE_SCOPES,
};
use crate::wholesale::WholesaleSettings;

/// The default client id.
pub const DEFAULT_CLIENT_ID: &str =
    "Cdecafbad0123456789abcdef0123456789abcdef0123456789abcdef01234567";

/// The secret of [`DEFAULT_CLIENT_ID`]. It is public and protects nothing.
pub const DEFAULT_CLIENT_SECRET: &str = "emulated-client-secret";

/// A function that returns the time in milliseconds since the Unix epoch, UTC.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Returns the system's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        millis(since_epoch)
    })
}

/// Converts a duration to whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The effect of a refresh on the refresh token. Each was reported of the real service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The same refresh token comes back and its lifetime starts again.
    #[default]
    ExtendSame,
    /// The same refresh token comes back and its lifetime keeps running down.
    FrozenClock,
    /// The response omits the refresh token: the old one stays valid until its old expiry.
    OmitRefreshToken,
    /// The response has a new refresh token, and the old one is invalid.
    Rotate,
    /// Soon after the last one a refresh changes nothing: the response has the same two tokens with their
    /// remaining lifetimes. Later it works as `ExtendSame`.
    SameAccessToken,
}

/// The body of an error at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorStyle {
    /// RFC 6749 section 5.2: `{error, error_description, error_uri}`.
    #[default]
    Oauth,
    /// Like the rest of the API: `{message, errors: [{description}], trackingId}`.
    Webex,
}

/// The JSON type of a person's `invitePending` and `loginEnabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PersonFlags {
    /// `true` and `false`, as reported of the real service.
    #[default]
    Booleans,
    /// `"true"` and `"false"`, as in its specification.
    Strings,
}

/// The response to requests for workspace locations, whose end was announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WorkspaceLocations {
    /// The locations.
    #[default]
    Served,
    /// 404.
    NotFound,
    /// 410.
    Gone,
}

/// An integration's registration; it can be changed while the emulator runs.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// Compared byte for byte with the `redirect_uri` of a request.
    pub(crate) redirect_uris: Vec<String>,
    /// The permitted scopes.
    pub(crate) scopes: Vec<String>,
}

impl Default for Registration {
    fn default() -> Self {
        let scopes = [
            &DEFAULT_SCOPES[..],
            &WHOLESALE_SCOPES,
            &CONTACT_CENTER_SCOPES,
            &PERSONAL_SCOPES,
            &IDENTITY_SCOPES,
        ];
        Self {
            redirect_uris: Vec::new(),
            scopes: scopes.concat().into_iter().map(str::to_owned).collect(),
        }
    }
}

/// A registered integration.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    secret: SecretString,
    /// The registration at the emulator's start.
    pub(crate) registration: Registration,
}

impl Client {
    pub(crate) fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: SecretString::from(secret),
            registration: Registration::default(),
        }
    }

    /// Compares the secret. An emulator holds no real secret, so an ordinary comparison is enough.
    pub(crate) fn has_secret(&self, secret: &str) -> bool {
        self.secret.expose_secret() == secret
    }
}

/// All settings that stay fixed while an emulator runs.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) access_ttl: Duration,
    pub(crate) refresh_ttl: Duration,
    pub(crate) same_access_window: Duration,
    pub(crate) revocation_lag: Duration,
    pub(crate) clients: Vec<Client>,
    pub(crate) error_style: ErrorStyle,
    pub(crate) bare_responses: bool,
    pub(crate) person_flags: PersonFlags,
    pub(crate) organization_uuids: bool,
    pub(crate) recorded_requests: usize,
    pub(crate) code_ttl: Duration,
    pub(crate) require_pkce: bool,
    pub(crate) code_reuse_revokes: bool,
    /// The initial directory of every organization.
    pub(crate) directory: Directory,
    /// Numbers of generated entries that differ from the default.
    pub(crate) generated: HashMap<Listing, usize>,
    pub(crate) workspace_locations: WorkspaceLocations,
    pub(crate) contact_center: ContactCenterSettings,
    /// The behavior of wholesale operations at the start.
    pub(crate) wholesale: WholesaleSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock: system_clock(),
            // The lifetimes in the example of the token endpoint's documentation.
            access_ttl: Duration::from_secs(1_209_599),
            refresh_ttl: Duration::from_secs(7_775_999),
            // The vendor's refresh sample does nothing more than once in this time.
            same_access_window: Duration::from_secs(24 * 60 * 60),
            revocation_lag: Duration::ZERO,
            clients: Vec::new(),
            error_style: ErrorStyle::default(),
            bare_responses: false,
            person_flags: PersonFlags::default(),
            organization_uuids: false,
            recorded_requests: 100_000,
            // Not published; RFC 6749 section 4.1.2 allows ten minutes at most.
            code_ttl: Duration::from_secs(5 * 60),
            require_pkce: false,
            code_reuse_revokes: false,
            directory: Directory::default(),
            generated: HashMap::new(),
            workspace_locations: WorkspaceLocations::default(),
            contact_center: ContactCenterSettings::default(),
            wholesale: WholesaleSettings::default(),
        }
    }
}

impl Settings {
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Returns the number of generated entries of an organization at the start.
    pub(crate) fn generated_count(&self, listing: Listing) -> usize {
        let count = self.generated.get(&listing).copied();
        count.unwrap_or_else(|| listing.resource().default_count)
    }

    /// Returns the default client: the first.
    pub(crate) fn default_client(&self) -> &str {
        self.clients
            .first()
            .map_or(DEFAULT_CLIENT_ID, |client| client.id.as_str())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
