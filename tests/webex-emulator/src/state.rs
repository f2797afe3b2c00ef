//! The state of the emulated service: organizations, authorizations, and live tokens.

mod authorizations;
mod codes;
mod contact_center;
mod directory;
mod inspect;
mod refresh;
mod wholesale;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use secrecy::SecretString;
use serde::Serialize;

pub(crate) use self::authorizations::Authorization;
pub use self::inspect::LatestTokens;
use crate::collection::Collection;
use crate::directory::Role;
use crate::generator::Generator;
use crate::ids::{self, Digest};
use crate::paging::{Listing, Paging};
use crate::settings::{Clock, Mode, Registration, Settings, millis};
use crate::token_response::{Grant, TokenResponse};
use crate::wholesale::WholesaleSettings;

use codes::Code;
pub(crate) use codes::{CodeRefusal, Exchange};
pub use directory::EntryError;
use wholesale::Operation;
pub(crate) use wholesale::OperationKind;

/// "At most 750 active access tokens per account": one more revokes the oldest.
const TOKENS_PER_ACCOUNT: usize = 750;

/// An emulated Webex organization.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// The id that `/v1` uses: unpadded base64url of `ciscospark://us/ORGANIZATION/<uuid>`.
    pub id: String,
    /// The bare UUID, as Control Hub shows it.
    pub uuid: String,
    /// Its name.
    pub display_name: String,
    /// Its creation time, in milliseconds since the Unix epoch.
    #[serde(skip)]
    pub created: u64,
}

/// The reason why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Never issued, issued to another client, or forgotten.
    Unknown,
    Expired,
    Revoked,
    RotatedOut,
    /// The grant lacks a requested scope.
    Scope,
}

/// The principal of an access token.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) organization: Organization,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    /// The administrator's roles now, whatever they were at the consent.
    pub(crate) roles: Vec<Role>,
    /// Milliseconds since the Unix epoch.
    pub(crate) expires_at: u64,
}

/// The proposal of the consent page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposal {
    /// UUID of the organization whose administrator consents; the first one by default.
    pub(crate) organization: Option<String>,
    /// Scopes whose boxes are not ticked.
    pub(crate) without: Vec<String>,
}

/// One authorization with every token issued under it.
#[derive(Clone)]
struct Family {
    organization_uuid: String,
    client_id: String,
    /// Milliseconds since the Unix epoch.
    created: u64,
    scopes: Vec<String>,
    refresh_tokens: VecDeque<Digest>,
    access_tokens: VecDeque<Digest>,
    /// The access token issued last, for the mode that returns it again.
    latest: Option<(SecretString, u64)>,
}

#[derive(Clone)]
struct RefreshToken {
    family: String,
    expires_at: u64,
    revoked: bool,
    rotated_out: bool,
}

#[derive(Clone)]
struct AccessToken {
    family: String,
    scopes: Vec<String>,
    created: u64,
    expires_at: u64,
    revoked_at: Option<u64>,
}

/// Everything that changes while the emulator runs, tokens by digest.
#[derive(Clone)]
pub(crate) struct State {
    settings: Settings,
    pub(crate) generator: Generator,
    pub(crate) mode: Mode,
    /// Other modes, by the organization's UUID.
    pub(crate) modes: HashMap<String, Mode>,
    pub(crate) reuse_detection: bool,
    organizations: HashMap<String, Organization>,
    /// Their UUIDs in the order of creation.
    organizations_in_order: Vec<String>,
    /// By client id.
    registrations: HashMap<String, Registration>,
    /// The proposal of the consent page.
    pub(crate) proposal: Proposal,
    /// Changed lists by the organization's UUID; the others have the initial entries.
    collections: HashMap<(String, Listing), Arc<Collection>>,
    /// Changed roles of administrators by the organization's UUID.
    administrator_roles: HashMap<String, Vec<Role>>,
    /// Listings without an entry have their usual pages.
    pub(crate) paging: HashMap<Listing, Paging>,
    /// The behavior of wholesale operations.
    pub(crate) wholesale: WholesaleSettings,
    /// Background work on customers, by customer id.
    operations: HashMap<String, Operation>,
    /// UUIDs of customers' organizations to which their partners have no access yet.
    locked_organizations: HashSet<String>,
    /// Requests to Contact Center by client id: the start of a minute, and their number since.
    contact_center_requests: HashMap<String, (u64, u64)>,
    codes: HashMap<Digest, Code>,
    /// By UUID of the authorization.
    families: HashMap<String, Family>,
    refresh_tokens: HashMap<Digest, RefreshToken>,
    access_tokens: HashMap<Digest, AccessToken>,
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        mode: Mode,
        reuse_detection: bool,
        generator: Generator,
    ) -> Self {
        let wholesale = settings.wholesale.clone();
        let registrations = settings
            .clients
            .iter()
            .map(|client| (client.id.clone(), client.registration.clone()))
            .collect();
        Self {
            settings,
            generator,
            mode,
            modes: HashMap::new(),
            reuse_detection,
            organizations: HashMap::new(),
            organizations_in_order: Vec::new(),
            registrations,
            proposal: Proposal::default(),
            collections: HashMap::new(),
            administrator_roles: HashMap::new(),
            paging: HashMap::new(),
            wholesale,
            operations: HashMap::new(),
            locked_organizations: HashSet::new(),
            contact_center_requests: HashMap::new(),
            codes: HashMap::new(),
            families: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Copies the state for another clock.
    pub(crate) fn fork(&self, clock: Clock) -> Self {
        let mut copy = self.clone();
        copy.settings.clock = clock;
        copy
    }

    pub(crate) fn create_organization(&mut self, display_name: &str) -> Organization {
        let uuid = self.generator.uuid();
        let organization = Organization {
            id: ids::encode("ORGANIZATION", &uuid),
            uuid: uuid.clone(),
            display_name: display_name.to_owned(),
            created: self.settings.now(),
        };
        self.organizations_in_order.push(uuid.clone());
        self.organizations.insert(uuid, organization.clone());
        organization
    }

    /// Returns every organization in the order of creation.
    pub(crate) fn organizations(&self) -> impl Iterator<Item = &Organization> {
        let uuids = self.organizations_in_order.iter();
        uuids.filter_map(|uuid| self.organizations.get(uuid))
    }

    /// Returns the organization whose administrator the consent page proposes, if there is any.
    pub(crate) fn proposed_organization(&self) -> Option<&Organization> {
        let chosen = self.proposal.organization.as_ref();
        chosen
            .and_then(|uuid| self.organizations.get(uuid))
            .or_else(|| self.organizations().next())
    }

    pub(crate) fn registration(&self, client_id: &str) -> Option<&Registration> {
        self.registrations.get(client_id)
    }

    pub(crate) fn registration_mut(&mut self, client_id: &str) -> Option<&mut Registration> {
        self.registrations.get_mut(client_id)
    }

    /// Finds an organization by its `/v1` id or its UUID.
    pub(crate) fn organization(&self, id_or_uuid: &str) -> Option<&Organization> {
        self.organizations.get(id_or_uuid).or_else(|| {
            let uuid = ids::decode("ORGANIZATION", id_or_uuid)?;
            self.organizations.get(&uuid)
        })
    }

    /// Authorizes the client as an administrator of the organization.
    pub(crate) fn grant(
        &mut self,
        organization_uuid: &str,
        client_id: &str,
        scopes: Vec<String>,
    ) -> Grant {
        let id = self.generator.uuid();
        self.families.insert(
            id.clone(),
            Family {
                organization_uuid: organization_uuid.to_owned(),
                client_id: client_id.to_owned(),
                created: self.settings.now(),
                scopes: scopes.clone(),
                refresh_tokens: VecDeque::new(),
                access_tokens: VecDeque::new(),
                latest: None,
            },
        );
        let refresh_token = self.issue_refresh_token(&id);
        let access_token = self.issue_access_token(&id, scopes.clone());
        Grant {
            response: TokenResponse {
                access_token,
                expires_in: self.settings.access_ttl.as_secs(),
                refresh: Some((refresh_token, self.settings.refresh_ttl.as_secs())),
                scopes,
                bare: self.settings.bare_responses,
            },
            authorization_id: ids::encode("AUTHORIZATION", &id),
            client_id: client_id.to_owned(),
        }
    }

    fn expiry_after(&self, lifetime: std::time::Duration) -> u64 {
        self.settings.now().saturating_add(millis(lifetime))
    }

    fn issue_refresh_token(&mut self, id: &str) -> SecretString {
        let expires_at = self.expiry_after(self.settings.refresh_ttl);
        let Some(family) = self.families.get_mut(id) else {
            return SecretString::default();
        };
        let token = self.generator.token(&family.organization_uuid);
        let digest = Digest::from_secret(&token);
        if let Some(oldest) = push_bounded(&mut family.refresh_tokens, digest.clone()) {
            self.refresh_tokens.remove(&oldest);
        }
        self.refresh_tokens.insert(
            digest,
            RefreshToken {
                family: id.to_owned(),
                expires_at,
                revoked: false,
                rotated_out: false,
            },
        );
        SecretString::from(token)
    }

    fn issue_access_token(&mut self, id: &str, scopes: Vec<String>) -> SecretString {
        let now = self.settings.now();
        let expires_at = self.expiry_after(self.settings.access_ttl);
        let Some(family) = self.families.get_mut(id) else {
            return SecretString::default();
        };
        let token = self.generator.token(&family.organization_uuid);
        let digest = Digest::from_secret(&token);
        if let Some(oldest) = push_bounded(&mut family.access_tokens, digest.clone()) {
            self.access_tokens.remove(&oldest);
        }
        self.access_tokens.insert(
            digest,
            AccessToken {
                family: id.to_owned(),
                scopes,
                created: now,
                expires_at,
                revoked_at: None,
            },
        );
        let token = SecretString::from(token);
        family.latest = Some((token.clone(), now));
        token
    }

    /// Returns the principal of a valid access token.
    pub(crate) fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        let now = self.settings.now();
        let known = self
            .access_tokens
            .get(&Digest::from_secret(token))
            .ok_or(Refusal::Unknown)?;
        let lag = millis(self.settings.revocation_lag);
        if known
            .revoked_at
            .is_some_and(|at| now >= at.saturating_add(lag))
        {
            return Err(Refusal::Revoked);
        }
        if now >= known.expires_at {
            return Err(Refusal::Expired);
        }
        let family = self.families.get(&known.family).ok_or(Refusal::Unknown)?;
        let organization = self
            .organizations
            .get(&family.organization_uuid)
            .ok_or(Refusal::Unknown)?;
        Ok(Principal {
            organization: organization.clone(),
            client_id: family.client_id.clone(),
            roles: self.administrator_roles(&family.organization_uuid),
            scopes: known.scopes.clone(),
            expires_at: known.expires_at,
        })
    }

    /// Revokes all of the organization's authorizations, for one client or for all.
    pub(crate) fn revoke_organization(
        &mut self,
        organization_uuid: &str,
        client_id: Option<&str>,
    ) -> Vec<Digest> {
        let ids: Vec<String> = self
            .families
            .iter()
            .filter(|(_, family)| {
                family.organization_uuid == organization_uuid
                    && client_id.is_none_or(|client_id| family.client_id == client_id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        ids.iter().flat_map(|id| self.revoke_family(id)).collect()
    }

    /// Revokes one token: a refresh token takes its access tokens with it. Returns every token that is
    /// invalid now; none if it is unknown.
    pub(crate) fn revoke_token(&mut self, token: &str) -> Vec<Digest> {
        let digest = Digest::from_secret(token);
        match self.refresh_tokens.get(&digest) {
            Some(known) => {
                let id = known.family.clone();
                self.revoke_family(&id)
            }
            None => self.revoke_access_token(&digest),
        }
    }

    fn revoke_access_token(&mut self, digest: &Digest) -> Vec<Digest> {
        let now = self.settings.now();
        match self.access_tokens.get_mut(digest) {
            Some(known) => {
                known.revoked_at.get_or_insert(now);
                vec![digest.clone()]
            }
            None => Vec::new(),
        }
    }

    fn revoke_family(&mut self, id: &str) -> Vec<Digest> {
        let now = self.settings.now();
        let Some(family) = self.families.get(id) else {
            return Vec::new();
        };
        for digest in &family.refresh_tokens {
            if let Some(token) = self.refresh_tokens.get_mut(digest) {
                token.revoked = true;
            }
        }
        for digest in &family.access_tokens {
            if let Some(token) = self.access_tokens.get_mut(digest) {
                token.revoked_at.get_or_insert(now);
            }
        }
        let (refresh, access) = (&family.refresh_tokens, &family.access_tokens);
        refresh.iter().chain(access).cloned().collect()
    }
}

/// Adds the newest token, and removes and returns the oldest if there are too many.
fn push_bounded(tokens: &mut VecDeque<Digest>, newest: Digest) -> Option<Digest> {
    tokens.push_back(newest);
    (tokens.len() > TOKENS_PER_ACCOUNT)
        .then(|| tokens.pop_front())
        .flatten()
}
