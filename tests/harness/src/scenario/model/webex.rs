//! The emulated Webex of a scenario: who is there, what was granted, what happens there.

use std::time::Duration;

use webex_emulator::{ErrorStyle, Fault, License, Listing, Mode, Paging, Role};

use crate::scenario::format::source::Place;
use crate::scenario::template::Template;

/// The emulated Webex.
#[derive(Clone, Debug)]
pub struct Webex {
    /// What a refresh does.
    pub mode: Mode,
    /// Whether the use of a rotated-out token ends the whole grant.
    pub reuse_detection: bool,
    /// Life of an access token.
    pub access_life: Duration,
    /// Life of a refresh token.
    pub refresh_life: Duration,
    /// Life of an authorization code.
    pub code_life: Option<Duration>,
    /// The body of refusals at the token endpoint.
    pub error_style: ErrorStyle,
    /// Whether token answers lack `scope` and `token_type`.
    pub bare_answers: bool,
    /// Whether a consent without PKCE is refused.
    pub require_pkce: bool,
    /// Whether the second use of a code ends what the first one gave.
    pub code_reuse_revokes: bool,
    /// How long a revoked access token still works.
    pub revocation_lag: Option<Duration>,
    /// Whether what no client may do fails the scenario.
    pub violations: Violations,
    /// Who is there.
    pub organizations: Vec<Organization>,
    /// What they have granted.
    pub grants: Vec<NewGrant>,
    /// What will go wrong.
    pub faults: Vec<Fault>,
}

impl Webex {
    /// The names that are known of it when a scenario begins.
    pub fn names(&self) -> Vec<String> {
        let organizations = self.organizations.iter();
        let organizations = organizations
            .flat_map(|one| ORGANIZATION_NAMES.map(|part| format!("{}.{part}", one.name)));
        let grants = self.grants.iter();
        let grants = grants.flat_map(|one| GRANT_NAMES.map(|part| format!("{}.{part}", one.name)));
        organizations.chain(grants).collect()
    }
}

/// What is known of an organisation, behind its name.
const ORGANIZATION_NAMES: [&str; 2] = ["uuid", "id"];

/// What is known of a grant, behind its name.
const GRANT_NAMES: [&str; 3] = ["tokens", "access-token", "refresh-token"];

/// What becomes of a scenario in which the plugin does what no client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violations {
    /// It fails.
    Forbidden,
    /// Nothing.
    Allowed,
}

/// An organisation.
#[derive(Clone, Debug)]
pub struct Organization {
    /// What the scenario calls it: `{name.uuid}` and `{name.id}` are its ids.
    pub name: String,
    /// What Webex calls it.
    pub display_name: String,
    /// Its roles in place of the usual ones.
    pub roles: Option<Vec<Role>>,
    /// Its licences in place of the usual ones.
    pub licenses: Option<Vec<License>>,
}

/// Tokens that an organisation grants without a consent page.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Where it is written.
    pub place: Place,
    /// What the scenario calls them: `{name.tokens}`, `{name.access-token}`, `{name.refresh-token}`.
    pub name: String,
    /// The organisation.
    pub organization: String,
    /// The scopes; none: the usual ones.
    pub scopes: Option<Vec<String>>,
}

/// What happens at the emulated Webex.
#[derive(Clone, Debug)]
pub enum WebexAction {
    /// A person opens a link and accepts.
    Consent {
        /// Whose administrator it is.
        organization: String,
        /// The link.
        link: Template,
        /// The only scopes that are granted.
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
        /// OAuth's word for it.
        error: String,
        /// More words.
        description: String,
    },
    /// An organisation grants tokens.
    Grant(NewGrant),
    /// What an organisation granted ends.
    RevokeOrganization(String),
    /// A token ends.
    RevokeToken(Template),
    /// Refreshes answer otherwise.
    Mode {
        /// How.
        mode: Option<Mode>,
        /// Whether the use of a rotated-out token ends the grant.
        reuse_detection: Option<bool>,
    },
    /// Something will go wrong.
    Fault(Fault),
    /// Nothing goes wrong any more.
    ClearFaults,
    /// An organisation has these roles.
    Roles {
        /// Which one.
        organization: String,
        /// All of them.
        roles: Vec<Role>,
    },
    /// An organisation has these licences.
    Licenses {
        /// Which one.
        organization: String,
        /// All of them.
        licenses: Vec<License>,
    },
    /// A listing comes in pages.
    Paging {
        /// Which one.
        listing: Listing,
        /// How; none: in one.
        paging: Option<Paging>,
    },
}

impl WebexAction {
    /// Its name in a scenario.
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
            Self::Paging { .. } => "paging",
        }
    }
}
