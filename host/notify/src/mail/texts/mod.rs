//! The texts of notices: one implementation of [`Texts`] for each language.
//!
//! A text is selected by kind and language. Each language matches all kinds, so a missing text does not compile.

mod de;
mod en;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::NoticeKind;

/// A language of notices.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Returns the code of BCP 47.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// Finds a language by its code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.code() == code)
    }

    pub(super) fn texts(self) -> &'static dyn Texts {
        match self {
            Self::English => &en::English,
            Self::German => &de::German,
        }
    }
}

/// The time until an expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The time is over.
    Past,
    /// Later today.
    Today,
    /// Tomorrow.
    Tomorrow,
    /// In so many days, rounded up.
    Days(i64),
}

/// The values in the texts about one connection, each safe in a line of text.
#[derive(Debug)]
pub(super) struct Facts {
    /// The customer's name; empty in notices about the host.
    pub(super) customer: String,
    /// The grant, such as `organization`.
    pub(super) grant: String,
    /// The time until the expiry.
    pub(super) due: Option<Due>,
    /// The day of the expiry, such as `9 Dec`.
    pub(super) date: Option<String>,
    /// The time of the expiry with its zone.
    pub(super) time: Option<String>,
}

/// Short texts that have no values.
pub(super) struct Labels {
    pub(super) customer: &'static str,
    pub(super) node: &'static str,
    pub(super) grant: &'static str,
    pub(super) state: &'static str,
    pub(super) expires: &'static str,
    pub(super) expired: &'static str,
    pub(super) occurred: &'static str,
    pub(super) count: &'static str,
    pub(super) details: &'static str,
    pub(super) time: &'static str,
    pub(super) button: &'static str,
    pub(super) list_button: &'static str,
    pub(super) automatic: &'static str,
    pub(super) login: &'static str,
}

/// The texts of one language.
pub(super) trait Texts: Sync {
    /// Returns the subject without the tag in front.
    fn subject(&self, kind: NoticeKind, facts: &Facts) -> String;
    /// Returns the first sentences: the event.
    fn lead(&self, kind: NoticeKind, facts: &Facts) -> String;
    /// Returns the consequence if nothing is done.
    fn consequence(&self, kind: NoticeKind, facts: &Facts) -> String;
    /// Returns the name of the connection's state.
    fn state(&self, kind: NoticeKind) -> &'static str;
    /// Returns the name of a grant.
    fn grant(&self, grant: &str) -> String;
    /// Returns the reason for this message, and the place to change it.
    fn why(&self, node: &str, address: &str) -> String;
    /// Returns the subject of a digest.
    fn digest_subject(&self, total: u64, node: &str) -> String;
    /// Returns the first sentence of a digest.
    fn digest_lead(&self, total: u64, node: &str) -> String;
    /// Returns the line about notices that were left off.
    fn more(&self, more: u64) -> String;
    /// Returns a day without its year.
    fn date(&self, time: &DateTime<FixedOffset>) -> String;
    /// Returns a time with its zone.
    fn time(&self, time: &DateTime<FixedOffset>, zone: &str) -> String;
    /// Returns the texts without values.
    fn labels(&self) -> &'static Labels;
}
