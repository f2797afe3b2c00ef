//! What a row of the table is: a fault, how it comes about, and what class of faults it is of.

use std::pin::Pin;
use std::time::Duration;

use relation_e2e::front::Weather;
use relation_e2e::gateway::Manner;
use relation_e2e::world::CLIENT_SECRET;
use relation_e2e::{Customer, World, WorldBuilder};
use webex_emulator::{Fault, Mode, Stage};

/// The path of the token endpoint.
pub const TOKEN: &str = "/v1/access_token";

/// The pause before the second attempt when nobody asked for a longer one.
pub const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// A way in which Webex refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// As the page calls it.
    pub name: &'static str,
    /// What a refresh does.
    pub mode: Mode,
    /// Whether using a rotated-out token revokes everything of its grant.
    pub reuse_detection: bool,
}

impl Way {
    /// Whether the old refresh token dies when a new one is given out.
    pub fn rotates(self) -> bool {
        self.mode == Mode::Rotate
    }
}

/// Every way.
pub const WAYS: [Way; 6] = [
    way("extend-same", Mode::ExtendSame, false),
    way("frozen-clock", Mode::FrozenClock, false),
    way("omit-refresh-token", Mode::OmitRefreshToken, false),
    way("same-access-token", Mode::SameAccessToken, false),
    way("rotate", Mode::Rotate, false),
    way("rotate + reuse detection", Mode::Rotate, true),
];

const fn way(name: &'static str, mode: Mode, reuse_detection: bool) -> Way {
    Way {
        name,
        mode,
        reuse_detection,
    }
}

/// Rows that have something in common; a section of the page.
pub struct Group {
    /// The section's title.
    pub title: &'static str,
    /// What the rows have in common, for the reader of the page.
    pub about: &'static str,
    /// The world that they run in; the refresh mode is set by the sweep.
    pub world: fn() -> WorldBuilder,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A fault and what must come of it.
pub struct Row {
    /// What goes wrong, as the page says it.
    pub name: &'static str,
    /// How it comes about.
    pub disturbance: Disturbance,
    /// What must come of it.
    pub class: Class,
    /// Whether so much of Webex's answer arrives that its tracking id can be told.
    pub tracked: bool,
}

impl Row {
    /// A row whose fault comes about like this.
    pub fn new(name: &'static str, class: Class, disturbance: Disturbance) -> Self {
        Self {
            name,
            disturbance,
            class,
            tracked: true,
        }
    }

    /// The tracking id is lost with the answer.
    pub fn untracked(mut self) -> Self {
        self.tracked = false;
        self
    }
}

/// How a fault comes about.
pub enum Disturbance {
    /// Nothing goes wrong.
    Nothing,
    /// Webex's next answer is faulty.
    Webex(fn(&Held) -> Fault),
    /// Something happens before Webex is asked.
    Before(fn(&World, &Held)),
    /// Webex takes longer than a request may.
    Slow(Stage),
    /// The TLS front is spoiled.
    Front(Weather),
    /// The proxy misbehaves.
    Proxy(Manner),
    /// Something happens while Webex's answer is on its way: it has carried the request out.
    Meanwhile(Happening),
}

/// Something that a test does to a world.
pub type Happening =
    for<'a> fn(&'a World, &'a Customer) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What must come of a fault, in every way of refreshing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Webex's answer with tokens reaches the host whole: connected, holding what was issued last.
    Answered,
    /// As `Answered`, by a clock that is ahead: once it is right again, the tokens are refreshed
    /// without delay, and the record tells the true time.
    Ahead,
    /// The answer has new tokens but does not name the refresh token: connected. A refresh token
    /// that was rotated is lost at Webex's end, and the next refresh is refused.
    Unnamed,
    /// Webex has not carried the request out: the tokens are kept and work, and after this pause,
    /// to the second, the connection recovers by itself.
    NotCarriedOut {
        /// The pause.
        pause: Duration,
    },
    /// Webex has carried the request out and the answer is lost: the tokens are kept, and the
    /// next attempt recovers, unless the refresh token was rotated: then Webex refuses it.
    Lost,
    /// The answer has arrived, the store takes nothing as long as the lease holds, and the answer
    /// is kept in the stash: once the store is back it is applied.
    Stashed,
    /// The answer has arrived and cannot be stored: the host has no place for it, or not the right
    /// to. The record is as it was, and goes on as after a lost answer.
    Dropped,
    /// Webex does not accept the integration: the tokens are kept and work, one alert of the
    /// installation tells it, and after an hour the connection recovers by itself.
    Operator,
    /// Webex refuses the refresh token: only a person can go on.
    Refused,
}

impl Class {
    /// Not carried out, and nobody asked for patience.
    pub const FAILED: Self = Self::NotCarriedOut { pause: FIRST_PAUSE };
}

/// The secrets that a record holds, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
}

impl Held {
    /// The client secret, which every record is refreshed with.
    pub fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }
}

/// A row whose fault is in Webex's next answer.
pub fn webex(name: &'static str, class: Class, fault: fn(&Held) -> Fault) -> Row {
    Row::new(name, class, Disturbance::Webex(fault))
}
