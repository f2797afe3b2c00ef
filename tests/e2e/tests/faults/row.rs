//! Rows of the table: a fault, its injection, and its class.

use std::pin::Pin;
use std::time::Duration;

use relation_e2e::faulty_proxy::ProxyFault;
use relation_e2e::tls_front::TlsFault;
use relation_e2e::world::CLIENT_SECRET;
use relation_e2e::{Customer, World, WorldBuilder};
use webex_emulator::{Fault, Mode, ProcessingStage};

/// The path of the token endpoint.
pub const TOKEN: &str = "/v1/access_token";

/// The default pause before the second attempt.
pub const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// A way in which Webex refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshVariant {
    /// Its name on the page.
    pub name: &'static str,
    /// The effect of a refresh.
    pub mode: Mode,
    /// Whether using a rotated-out token revokes its whole grant.
    pub reuse_detection: bool,
}

impl RefreshVariant {
    /// Returns whether the old refresh token becomes invalid when a new one is issued.
    pub fn rotates(self) -> bool {
        self.mode == Mode::Rotate
    }
}

/// Every variant.
pub const VARIANTS: [RefreshVariant; 6] = [
    variant("extend-same", Mode::ExtendSame, false),
    variant("frozen-clock", Mode::FrozenClock, false),
    variant("omit-refresh-token", Mode::OmitRefreshToken, false),
    variant("same-access-token", Mode::SameAccessToken, false),
    variant("rotate", Mode::Rotate, false),
    variant("rotate + reuse detection", Mode::Rotate, true),
];

const fn variant(name: &'static str, mode: Mode, reuse_detection: bool) -> RefreshVariant {
    RefreshVariant {
        name,
        mode,
        reuse_detection,
    }
}

/// A group of similar rows: a section of the page.
pub struct Group {
    /// The section's title.
    pub title: &'static str,
    /// The common property of the rows, for readers of the page.
    pub about: &'static str,
    /// The world of the rows; the sweep sets the refresh mode.
    pub world: fn() -> WorldBuilder,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A fault and its expected outcome.
pub struct Row {
    /// The fault, as the page names it.
    pub name: &'static str,
    /// Its injection.
    pub injection: Injection,
    /// Its expected outcome.
    pub class: FaultClass,
    /// Whether enough of Webex's response arrives to read its tracking id.
    pub tracked: bool,
}

impl Row {
    /// Creates a row with this fault.
    pub fn new(name: &'static str, class: FaultClass, injection: Injection) -> Self {
        Self {
            name,
            injection,
            class,
            tracked: true,
        }
    }

    /// Marks the tracking id as lost with the response.
    pub fn untracked(mut self) -> Self {
        self.tracked = false;
        self
    }
}

/// The injection of a fault.
pub enum Injection {
    /// No fault.
    None,
    /// Webex's next response is faulty.
    Webex(fn(&TokenPair) -> Fault),
    /// An action before the request to Webex.
    BeforeRequest(fn(&World, &TokenPair)),
    /// Webex exceeds the request's timeout.
    Slow(ProcessingStage),
    /// A fault of the TLS front.
    Tls(TlsFault),
    /// A fault of the proxy.
    Proxy(ProxyFault),
    /// An action after Webex has carried out the request and before its response arrives.
    BeforeResponse(Action),
}

/// An action of a test on a world.
pub type Action =
    for<'a> fn(&'a World, &'a Customer) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The expected outcome of a fault, for every refresh variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultClass {
    /// Webex's response with tokens reaches the host whole: connected, with the tokens issued last.
    Delivered,
    /// Like `Delivered`, with a clock that is ahead. Once it is right again, the tokens are refreshed without delay,
    /// and the record has the true time.
    ClockAhead,
    /// The response has new tokens but omits the refresh token: connected. A rotated refresh token
    /// is lost, and Webex rejects the next refresh.
    TokenOmitted,
    /// Webex has not carried out the request: the tokens are kept and work, and after this pause,
    /// to the second, the connection recovers by itself.
    NotProcessed {
        /// The pause.
        pause: Duration,
    },
    /// Webex has carried out the request and the response is lost: the tokens are kept, and the
    /// next attempt recovers. Webex rejects that attempt if the refresh token was rotated.
    ResponseLost,
    /// The response has arrived, but the store takes no write while the lease is held. The result
    /// is stashed, and applied once the store is back.
    Stashed,
    /// The response has arrived and cannot be stored: the host has no space or no permission for
    /// it. The record is unchanged, and continues as after a lost response.
    Dropped,
    /// Webex rejects the integration. The tokens are kept and work, one alert of the installation reports it, and the
    /// connection recovers after an hour.
    ClientRejected,
    /// Webex rejects the refresh token: only a person can continue.
    Refused,
}

impl FaultClass {
    /// Not carried out, and without a longer pause requested.
    pub const FAILED: Self = Self::NotProcessed { pause: FIRST_PAUSE };
}

/// A record's secrets, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
}

impl TokenPair {
    /// Returns the client secret, with which every record is refreshed.
    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }
}

/// Creates a row whose fault is in Webex's next response.
pub fn webex(name: &'static str, class: FaultClass, fault: fn(&TokenPair) -> Fault) -> Row {
    Row::new(name, class, Injection::Webex(fault))
}
