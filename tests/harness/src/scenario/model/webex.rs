//! The emulated Webex of a scenario: organizations, grants and actions.

use std::time::Duration;

use serde_json::Value;
use webex_emulator::{ErrorStyle, Fault, License, Listing, Mode, Paging, Role, WholesaleSettings};

use crate::scenario::template::Template;
use relation_toml::SourcePosition;

/// The emulated Webex.
#[derive(Clone, Debug)]
pub struct Webex {
    /// The mode of refreshes.
    pub mode: Mode,
    /// Whether the use of a rotated-out token ends the whole grant.
    pub reuse_detection: bool,
    /// The lifetime of an access token.
    pub access_lifetime: Duration,
    /// The lifetime of a refresh token.
    pub refresh_lifetime: Duration,
    /// The lifetime of an authorization code.
    pub code_lifetime: Option<Duration>,
    /// The format of the token endpoint's errors.
    pub error_style: ErrorStyle,
    /// Whether token responses lack `scope` and `token_type`.
    pub bare_responses: bool,
    /// Whether a consent without PKCE is refused.
    pub require_pkce: bool,
    /// Whether the second use of a code revokes the tokens of the first.
    pub code_reuse_revokes: bool,
    /// The time for which a revoked access token still works.
    pub revocation_lag: Option<Duration>,
    /// Whether a violation of Webex's rules for clients fails the scenario.
    pub violations: Violations,
    /// The organizations.
    pub organizations: Vec<Organization>,
    /// The grants.
    pub grants: Vec<NewGrant>,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Webex {
    /// Returns the names that `[webex]` defines.
    pub fn names(&self) -> Vec<String> {
        let organizations = self.organizations.iter();
        let organizations = organizations
            .flat_map(|one| ORGANIZATION_NAMES.map(|part| format!("{}.{part}", one.name)));
        let grants = self.grants.iter();
        let grants = grants.flat_map(|one| GRANT_NAMES.map(|part| format!("{}.{part}", one.name)));
        organizations.chain(grants).collect()
    }
}

/// The suffixes of an organization's names.
const ORGANIZATION_NAMES: [&str; 2] = ["uuid", "id"];

/// The suffixes of a grant's names.
const GRANT_NAMES: [&str; 3] = ["tokens", "access-token", "refresh-token"];

/// The treatment of violations of Webex's rules for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violations {
    /// A violation fails the scenario.
    Forbidden,
    /// Violations are ignored.
    Allowed,
}

/// An organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// The name in the scenario: `{name.uuid}` and `{name.id}` are the organization's ids.
    pub name: String,
    /// The name at Webex.
    pub display_name: String,
    /// The roles, in place of the default ones.
    pub roles: Option<Vec<Role>>,
    /// The licenses, in place of the default ones.
    pub licenses: Option<Vec<License>>,
}

/// Tokens that an organization grants without a consent page.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// The position in the file.
    pub position: SourcePosition,
    /// The name in the scenario: `{name.tokens}`, `{name.access-token}`, `{name.refresh-token}`.
    pub name: String,
    /// The organization.
    pub organization: String,
    /// The scopes; `None` for the default ones.
    pub scopes: Option<Vec<String>>,
}

/// An action at the emulated Webex.
#[derive(Clone, Debug)]
pub enum WebexAction {
    /// A person opens a link and accepts.
    Consent {
        /// The organization of the administrator.
        organization: String,
        /// The link.
        link: Template,
        /// The only granted scopes.
        only: Option<Vec<String>>,
        /// Scopes that are not granted.
        without: Vec<String>,
    },
    /// A person opens a link and declines.
    Decline {
        /// The link.
        link: Template,
    },
    /// A person opens a link, and Webex fails.
    FailConsent {
        /// The link.
        link: Template,
        /// OAuth's error code.
        error: String,
        /// The description of the error.
        description: String,
    },
    /// An organization grants tokens.
    Grant(NewGrant),
    /// Revokes the grant of an organization.
    RevokeOrganization(String),
    /// Revokes a token.
    RevokeToken(Template),
    /// Changes the mode of refreshes.
    Mode {
        /// The new mode.
        mode: Option<Mode>,
        /// Whether the use of a rotated-out token ends the grant.
        reuse_detection: Option<bool>,
    },
    /// Injects a fault.
    Fault(Fault),
    /// Clears all faults.
    ClearFaults,
    /// Sets the roles of an organization.
    Roles {
        /// The organization.
        organization: String,
        /// All roles.
        roles: Vec<Role>,
    },
    /// Sets the licenses of an organization.
    Licenses {
        /// The organization.
        organization: String,
        /// All licenses.
        licenses: Vec<License>,
    },
    /// Sets the entries of any list of an organization.
    Entries {
        /// The organization.
        organization: String,
        /// The list.
        listing: Listing,
        /// All entries.
        entries: Vec<Value>,
    },
    /// Generates the entries of a list.
    Generate {
        /// The organization.
        organization: String,
        /// The list.
        listing: Listing,
        /// The number of entries.
        count: usize,
    },
    /// Sets the behavior of changes of wholesale customers.
    Wholesale(WholesaleSettings),
    /// Sets the paging of a listing.
    Paging {
        /// The listing.
        listing: Listing,
        /// The paging; `None` for a single page.
        paging: Option<Paging>,
    },
}

impl WebexAction {
    /// Returns the action's name in a scenario.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Consent { .. } => "consent",
            Self::Decline { .. } => "decline",
            Self::FailConsent { .. } => "fail-consent",
            Self::Grant(_) => "grant",
            Self::RevokeOrganization(_) | Self::RevokeToken(_) => "revoke",
            Self::Mode { .. } => "mode",
            Self::Fault(_) => "fault",
            Self::ClearFaults => "clear-faults",
            Self::Roles { .. } => "roles",
            Self::Licenses { .. } => "licenses",
            Self::Entries { .. } => "entries",
            Self::Generate { .. } => "generate",
            Self::Wholesale(_) => "wholesale",
            Self::Paging { .. } => "paging",
        }
    }
}
