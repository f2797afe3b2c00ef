//! Grants: the consents that a connection is made of, each with its own tokens, scopes and clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One consent of a connection; see the contract's `grant`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// The organisation. Every connection has it.
    #[default]
    Organization,
    /// The customers of a wholesale partner.
    WholesaleCustomers,
    /// The users of a wholesale partner's customers.
    WholesaleUsers,
}

impl Grant {
    /// All of them, the organisation first.
    pub const ALL: [Self; 3] = [
        Self::Organization,
        Self::WholesaleCustomers,
        Self::WholesaleUsers,
    ];

    /// The contract's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::WholesaleCustomers => "wholesale-customers",
            Self::WholesaleUsers => "wholesale-users",
        }
    }

    /// The name of its sealed access token.
    pub fn access_token(self) -> &'static str {
        match self {
            Self::Organization => "token",
            Self::WholesaleCustomers => "wholesale_customers.token",
            Self::WholesaleUsers => "wholesale_users.token",
        }
    }

    /// The name of its sealed refresh token.
    pub fn refresh_token(self) -> &'static str {
        match self {
            Self::Organization => "refresh_token",
            Self::WholesaleCustomers => "wholesale_customers.refresh_token",
            Self::WholesaleUsers => "wholesale_users.refresh_token",
        }
    }

    /// The id of the wakeup for its next refresh.
    pub fn refresh_wakeup(self) -> &'static str {
        match self {
            Self::Organization => "refresh",
            Self::WholesaleCustomers => "refresh.wholesale-customers",
            Self::WholesaleUsers => "refresh.wholesale-users",
        }
    }

    /// The grant whose next refresh the wakeup `id` is for.
    pub fn of_refresh_wakeup(id: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|grant| grant.refresh_wakeup() == id)
    }

    /// The grant at whose expiries the wakeup `id` looks.
    pub fn of_expiry_wakeup(id: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|grant| grant.expiry_wakeup() == id)
    }

    /// The role of the schedule that shows its refreshes.
    pub const fn refresh_schedule(self) -> &'static str {
        match self {
            Self::Organization => "refresh-schedule",
            Self::WholesaleCustomers => "refresh-schedule.wholesale-customers",
            Self::WholesaleUsers => "refresh-schedule.wholesale-users",
        }
    }

    /// The role of the schedule that shows the looks at its expiries.
    pub const fn expiry_schedule(self) -> &'static str {
        match self {
            Self::Organization => "expiry-schedule",
            Self::WholesaleCustomers => "expiry-schedule.wholesale-customers",
            Self::WholesaleUsers => "expiry-schedule.wholesale-users",
        }
    }

    /// The id of the wakeup for the next look at its expiries.
    pub fn expiry_wakeup(self) -> &'static str {
        match self {
            Self::Organization => "expiry",
            Self::WholesaleCustomers => "expiry.wholesale-customers",
            Self::WholesaleUsers => "expiry.wholesale-users",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
