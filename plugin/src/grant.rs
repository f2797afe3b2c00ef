//! Grants: the consents that a connection consists of, each with its own tokens, scopes and
//! schedule.

use std::fmt;

pub use crate::contract::Grant;

impl Grant {
    /// All grants, the organization first.
    pub const ALL: [Self; 3] = [
        Self::Organization,
        Self::WholesaleCustomers,
        Self::WholesaleUsers,
    ];

    /// Returns the grant's name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::WholesaleCustomers => "wholesale-customers",
            Self::WholesaleUsers => "wholesale-users",
        }
    }

    /// Returns the name of the sealed access token.
    pub fn access_token(self) -> &'static str {
        match self {
            Self::Organization => "token",
            Self::WholesaleCustomers => "wholesale_customers.token",
            Self::WholesaleUsers => "wholesale_users.token",
        }
    }

    /// Returns the name of the sealed refresh token.
    pub fn refresh_token(self) -> &'static str {
        match self {
            Self::Organization => "refresh_token",
            Self::WholesaleCustomers => "wholesale_customers.refresh_token",
            Self::WholesaleUsers => "wholesale_users.refresh_token",
        }
    }

    /// Returns the id of the wakeup for the next refresh.
    pub fn refresh_wakeup(self) -> &'static str {
        match self {
            Self::Organization => "refresh",
            Self::WholesaleCustomers => "refresh.wholesale-customers",
            Self::WholesaleUsers => "refresh.wholesale-users",
        }
    }

    /// Returns the grant that the refresh wakeup `id` belongs to.
    pub fn from_refresh_wakeup(id: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|grant| grant.refresh_wakeup() == id)
    }

    /// Returns the grant that the expiry-check wakeup `id` belongs to.
    pub fn from_expiry_wakeup(id: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|grant| grant.expiry_wakeup() == id)
    }

    /// Returns the role of the schedule that shows the grant's refreshes.
    pub const fn refresh_schedule(self) -> &'static str {
        match self {
            Self::Organization => "refresh-schedule",
            Self::WholesaleCustomers => "refresh-schedule.wholesale-customers",
            Self::WholesaleUsers => "refresh-schedule.wholesale-users",
        }
    }

    /// Returns the role of the schedule that shows the grant's expiry checks.
    pub const fn expiry_schedule(self) -> &'static str {
        match self {
            Self::Organization => "expiry-schedule",
            Self::WholesaleCustomers => "expiry-schedule.wholesale-customers",
            Self::WholesaleUsers => "expiry-schedule.wholesale-users",
        }
    }

    /// Returns the id of the wakeup for the next expiry check.
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
