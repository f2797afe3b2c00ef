//! The emulated Webex of a scenario: organizations, grants and actions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use relation_host::clock::ManualClock;
use relation_host::egress::Transport;
use serde_json::json;
use webex_emulator::{ClientLimits, Consent, Organization, Revocation};

use super::model::{NewGrant, Webex, WebexAction};
use super::template::Bindings;
use super::world::granted_scopes;

/// The emulator and its organizations.
pub struct ScenarioWebex {
    webex: webex_emulator::Webex,
    organizations: BTreeMap<String, Organization>,
}

impl ScenarioWebex {
    /// Creates a Webex without organizations.
    pub fn new(webex: webex_emulator::Webex) -> Self {
        Self {
            webex,
            organizations: BTreeMap::new(),
        }
    }

    /// Returns a transport to the emulator at `base`. Latency advances the clock; a request whose latency is
    /// `longest` or more times out.
    pub fn transport(
        &self,
        base: Uri,
        clock: &Arc<ManualClock>,
        longest: Duration,
    ) -> Arc<dyn Transport> {
        let client_limits = ClientLimits {
            time: longest,
            ..ClientLimits::default()
        };
        let emulated = crate::EmulatedWebex::with_base(self.webex.clone(), base);
        Arc::new(
            emulated
                .client_limits(client_limits)
                .clock(Arc::clone(clock)),
        )
    }

    /// Returns violations of Webex's rules for clients.
    pub fn violations(&self) -> Vec<String> {
        self.webex.violations()
    }

    /// Creates the organizations and grants of `[webex]`, and binds their names.
    pub fn populate(&mut self, webex: &Webex, bindings: &mut Bindings) -> Result<(), String> {
        for organization in &webex.organizations {
            let made = self.webex.create_organization(&organization.display_name);
            bindings.set(format!("{}.uuid", organization.name), made.uuid.clone());
            bindings.set(format!("{}.id", organization.name), made.id.clone());
            if let Some(roles) = &organization.roles {
                self.webex.set_roles(&made, roles.clone());
            }
            if let Some(licenses) = &organization.licenses {
                self.webex.set_licenses(&made, licenses.clone());
            }
            self.organizations.insert(organization.name.clone(), made);
        }
        for grant in &webex.grants {
            self.add_grant(grant, bindings)?;
        }
        for fault in &webex.faults {
            self.webex.inject(fault.clone());
        }
        Ok(())
    }

    fn organization(&self, name: &str) -> Result<&Organization, String> {
        self.organizations.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.organizations.keys().map(String::as_str).collect();
            format!(
                "there is no organization {name:?} at Webex; there are: {}",
                known.join(", ")
            )
        })
    }

    fn add_grant(&self, grant: &NewGrant, bindings: &mut Bindings) -> Result<(), String> {
        let organization = self.organization(&grant.organization)?;
        let given = self.webex.grant(organization, granted_scopes(grant));
        let name = &grant.name;
        bindings.set(format!("{name}.tokens"), given.json().to_string());
        bindings.set(format!("{name}.access-token"), given.access_token());
        bindings.set(format!("{name}.refresh-token"), given.refresh_token());
        Ok(())
    }

    /// Performs an action.
    ///
    /// # Errors
    /// The reason why the action is not possible.
    pub fn apply(&self, action: &WebexAction, bindings: &mut Bindings) -> Result<(), String> {
        let filled = |template: &super::template::Template| {
            template.fill(bindings).map_err(|error| error.to_string())
        };
        match action {
            WebexAction::Consent {
                organization,
                link,
                only,
                without,
            } => {
                let organization = self.organization(organization)?;
                let mut consent = Consent::accept(&organization.uuid);
                if let Some(only) = only {
                    consent = consent.only(only);
                }
                if !without.is_empty() {
                    consent = consent.without(without);
                }
                let link = filled(link)?;
                self.complete_consent(&link, &consent, bindings)?;
            }
            WebexAction::Decline { link } => {
                let link = filled(link)?;
                self.complete_consent(&link, &Consent::decline(), bindings)?;
            }
            WebexAction::FailConsent {
                link,
                error,
                description,
            } => {
                let link = filled(link)?;
                self.complete_consent(&link, &Consent::fail(error, description), bindings)?;
            }
            WebexAction::Grant(grant) => self.add_grant(grant, bindings)?,
            WebexAction::RevokeOrganization(name) => {
                let organization = self.organization(name)?;
                if !self.webex.revoke(Revocation::Organization(organization)) {
                    return Err(format!("{name} has granted nothing that could end"));
                }
            }
            WebexAction::RevokeToken(token) => {
                let written = token;
                let token = filled(token)?;
                if !self.webex.revoke(Revocation::Token(&token)) {
                    return Err(format!("Webex knows no such token: {written}"));
                }
            }
            WebexAction::Mode {
                mode,
                reuse_detection,
            } => {
                if let Some(mode) = mode {
                    self.webex.set_mode(*mode);
                }
                if let Some(on) = reuse_detection {
                    self.webex.set_reuse_detection(*on);
                }
            }
            WebexAction::Fault(fault) => self.webex.inject(fault.clone()),
            WebexAction::ClearFaults => self.webex.clear_faults(),
            WebexAction::Roles {
                organization,
                roles,
            } => {
                let organization = self.organization(organization)?;
                self.webex.set_roles(organization, roles.clone());
            }
            WebexAction::Licenses {
                organization,
                licenses,
            } => {
                let organization = self.organization(organization)?;
                self.webex.set_licenses(organization, licenses.clone());
            }
            WebexAction::Entries {
                organization,
                listing,
                entries,
            } => {
                let organization = self.organization(organization)?;
                let set = self
                    .webex
                    .set_entries(organization, *listing, entries.clone());
                set.map_err(|error| error.to_string())?;
            }
            WebexAction::Generate {
                organization,
                listing,
                count,
            } => {
                let organization = self.organization(organization)?;
                let generated = self.webex.generate(organization, *listing, *count);
                generated.map_err(|error| error.to_string())?;
            }
            WebexAction::Wholesale(settings) => self.webex.set_wholesale(settings.clone()),
            WebexAction::Paging { listing, paging } => {
                self.webex.set_paging(*listing, paging.clone());
            }
        }
        Ok(())
    }

    fn complete_consent(
        &self,
        link: &str,
        consent: &Consent,
        bindings: &mut Bindings,
    ) -> Result<(), String> {
        let callback = self
            .webex
            .authorize(link, consent)
            .map_err(|error| format!("Webex sends the browser nowhere: {error}"))?;
        bindings.set("callback", json!(callback));
        Ok(())
    }
}
