//! What a scenario runs in: the harness, and who answers its requests.

use std::sync::Arc;

use http::Uri;
use relation_host::egress::Transport;
use relation_host::schedule::clock::ManualClock;
use relation_host::types::{Document, Key, Wakeup};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator};

use super::at_once::Crossing;
use super::component::Component;
use super::disturbance::Disturber;
use super::emulated::Emulated;
use super::matching::Matcher;
use super::model::{self, Action, Content, NewGrant, Scenario, StoreKind, Webex};
use super::stage::Stage;
use super::template::{Bindings, Template, Unbound};
use crate::emulated::{self, time_of};
use crate::harness::{Given, GivenError, WEBEX};
use crate::{Harness, Http, StartError};

/// What a scenario runs in.
pub struct World {
    /// The hosts and what they touch.
    pub harness: Harness,
    /// Who answers.
    pub web: Web,
    /// The way to them.
    pub crossing: Arc<Crossing>,
    /// Who lets things go wrong between plugin and host.
    pub disturber: Arc<Disturber>,
    /// What was captured, and what time it is.
    pub matcher: Matcher,
}

/// Who answers requests.
pub enum Web {
    /// The exchanges of each step.
    Script(Arc<Stage>),
    /// The emulator.
    Emulated(Box<Emulated>),
}

/// Why a scenario could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The component, its settings, or the store.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What is given.
    #[error("what is given cannot be stored: {0}")]
    Given(#[from] GivenError),
    /// A name in what is given.
    #[error(transparent)]
    Unbound(#[from] Unbound),
    /// What is given at Webex.
    #[error("{0}")]
    Webex(String),
}

impl World {
    /// Lets a scenario begin.
    ///
    /// # Errors
    /// If the component does not fit, or what is given cannot be so.
    pub async fn begin(scenario: &Scenario, component: &Component) -> Result<Self, BeginError> {
        let given = &scenario.given;
        let mut matcher = Matcher {
            bindings: Bindings::default(),
            now: given.clock,
        };
        let disturber = Arc::new(Disturber::default());
        let clock = Arc::new(ManualClock::new(given.clock));
        let mut builder = component
            .harness()
            .clock(Arc::clone(&clock))
            .seed(given.seed)
            .limits(scenario.limits.clone())
            .leases(given.leases)
            .interceptor(disturber.clone())
            .allow(allowed(scenario))
            .store(match given.store {
                StoreKind::Memory => crate::StoreKind::Memory,
                StoreKind::Sqlite => crate::StoreKind::Sqlite,
            });
        if !scenario.settings.contains_key("webex.client-id") {
            builder = builder.setting("webex.client-id", DEFAULT_CLIENT_ID);
        }
        for (name, value) in &scenario.settings {
            if let Some(value) = value {
                builder = builder.setting(name, value);
            }
        }
        if !scenario.secrets.contains_key("webex.client-secret") {
            let secret = SecretString::from(DEFAULT_CLIENT_SECRET);
            builder = builder.secret("webex.client-secret", secret);
        }
        for (name, value) in &scenario.secrets {
            if let Some(value) = value {
                builder = builder.secret(name, value.clone());
            }
        }
        let (web, carrier): (Web, Arc<dyn Transport>) = match &scenario.webex {
            None => {
                let stage = Arc::new(Stage::new(matcher.clone()));
                (Web::Script(stage.clone()), stage)
            }
            Some(webex) => {
                let emulated = emulated(webex, scenario, &clock);
                let base = base(scenario).and_then(|base| base.parse().ok());
                let base = base.unwrap_or(Uri::from_static(emulated::WEBEX));
                let transport = emulated.transport(base, &clock, scenario.limits.request_time);
                (Web::Emulated(Box::new(emulated)), transport)
            }
        };
        let crossing = Arc::new(Crossing::new(carrier));
        let http = Http::Transport(crossing.clone());
        let harness = builder.http(http).start().await?;
        let mut world = Self {
            harness,
            web,
            crossing,
            disturber,
            matcher: matcher.clone(),
        };
        if let (Web::Emulated(emulated), Some(webex)) = (&mut world.web, &scenario.webex) {
            emulated
                .people(webex, &mut matcher.bindings)
                .map_err(BeginError::Webex)?;
        }
        let given = stored(given, &matcher.bindings)?;
        world.harness.put(given).await?;
        world.matcher = matcher;
        Ok(world)
    }
}

/// What is given, with every name put in.
fn stored(given: &model::Given, bindings: &Bindings) -> Result<Given, Unbound> {
    let documents = given.documents.iter().map(|document| {
        let keys = document.keys.iter().map(|(name, value)| {
            let (name, value) = (name.clone(), value.fill(bindings)?);
            Ok(Key { name, value })
        });
        Ok(Document {
            reference: document.reference.clone(),
            hierarchy: document.hierarchy.clone(),
            version: 0,
            body: match &document.content {
                Content::Object(body) => bindings.fill(&Value::Object(body.clone()))?.to_string(),
                Content::Text(text) => text.fill(bindings)?,
            },
            keys: keys.collect::<Result<_, Unbound>>()?,
        })
    });
    let secrets = given.secrets.iter().map(|secret| {
        let value = Template::parse(secret.value.expose_secret()).fill(bindings)?;
        let value = SecretString::from(value);
        Ok((secret.owner.clone(), secret.name.clone(), value))
    });
    let wakeups = given.wakeups.iter().map(|given| {
        Ok(Wakeup {
            payload: given.payload.fill(bindings)?,
            ..given.wakeup.clone()
        })
    });
    Ok(Given {
        documents: documents.collect::<Result<_, Unbound>>()?,
        secrets: secrets.collect::<Result<_, Unbound>>()?,
        wakeups: wakeups.collect::<Result<_, Unbound>>()?,
    })
}

/// Where Webex is said to be, if it is said.
fn base(scenario: &Scenario) -> Option<&String> {
    scenario.settings.get("webex.base-url")?.as_ref()
}

/// The origins of everything that a scenario speaks of.
fn allowed(scenario: &Scenario) -> Vec<String> {
    let scripted = scenario.steps.iter().flat_map(|step| &step.http);
    let scripted = scripted.map(|exchange| exchange.request.url.to_string());
    let urls = base(scenario).cloned().into_iter().chain(scripted);
    let origins =
        urls.filter_map(|url| Some(Url::parse(&url).ok()?.origin().ascii_serialization()));
    let mut allowed: Vec<String> = origins.chain([WEBEX.to_owned()]).collect();
    allowed.sort();
    allowed.dedup();
    allowed
}

fn emulated(webex: &Webex, scenario: &Scenario, clock: &Arc<ManualClock>) -> Emulated {
    let of = |settings: Option<&Option<String>>, usual: &str| {
        let told = settings.cloned().flatten();
        told.unwrap_or_else(|| usual.to_owned())
    };
    let client_id = of(scenario.settings.get("webex.client-id"), DEFAULT_CLIENT_ID);
    let mut builder = Emulator::builder()
        .seed(scenario.given.seed)
        .clock(time_of(clock))
        .client(&client_id, DEFAULT_CLIENT_SECRET)
        .mode(webex.mode)
        .reuse_detection(webex.reuse_detection)
        .access_ttl(webex.access_life)
        .refresh_ttl(webex.refresh_life)
        .error_style(webex.error_style)
        .bare_responses(webex.bare_answers)
        .require_pkce(webex.require_pkce)
        .code_reuse_revokes(webex.code_reuse_revokes);
    if let Some(life) = webex.code_life {
        builder = builder.code_ttl(life);
    }
    if let Some(lag) = webex.revocation_lag {
        builder = builder.revocation_lag(lag);
    }
    let calls = scenario.steps.iter().flat_map(|step| match &step.action {
        Action::Call(call) => vec![call],
        Action::AtOnce(callers) => callers.iter().map(|caller| &caller.call).collect(),
        _ => Vec::new(),
    });
    for redirect_uri in calls.filter_map(|call| call.text("redirect_uri")) {
        builder = builder.redirect_uri(redirect_uri);
    }
    Emulated::new(builder.in_process())
}

/// The scopes of a grant.
pub fn scopes(grant: &NewGrant) -> Vec<String> {
    let usual = || {
        DEFAULT_SCOPES
            .iter()
            .map(|&scope| scope.to_owned())
            .collect()
    };
    grant.scopes.clone().unwrap_or_else(usual)
}
