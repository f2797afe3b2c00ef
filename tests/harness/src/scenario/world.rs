//! The environment of a scenario: the harness and its transport.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::Uri;
use relation_host::NodeSettings;
use relation_host::clock::ManualClock;
use relation_host::egress::Transport;
use relation_host::store::{Store, StoreError};
use relation_host::types::{Document, Hierarchy, Key, Wakeup};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator};

use super::component::Component;
use super::concurrent::ConcurrentTransport;
use super::disturbances::DisturbanceInterceptor;
use super::matching::Matcher;
use super::model::{self, Action, Content, NewGrant, Scenario, StoreKind, Webex};
use super::scripted_transport::ScriptedTransport;
use super::template::{Bindings, Template, UnboundName};
use super::webex::ScenarioWebex;
use crate::emulated::{self, emulator_clock};
use crate::harness::{InitialState, InitialStateError, WEBEX_ORIGINS};
use crate::{Harness, Http, StartError};

/// The environment of a scenario.
pub struct World {
    /// The hosts, store and clock.
    pub harness: Harness,
    /// The source of responses.
    pub web: WebexBackend,
    /// The transport to the source of responses.
    pub transport: Arc<ConcurrentTransport>,
    /// The interceptor for disturbances.
    pub interceptor: Arc<DisturbanceInterceptor>,
    /// The captured values, and the time.
    pub matcher: Matcher,
}

/// The source of responses.
pub enum WebexBackend {
    /// The exchanges of each step.
    Script(Arc<ScriptedTransport>),
    /// The emulator.
    Emulated(Box<ScenarioWebex>),
}

/// The reason why a scenario could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The component, its settings, or the store failed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The initial state could not be stored.
    #[error("what is given cannot be stored: {0}")]
    InitialState(#[from] InitialStateError),
    /// The initial state uses an unknown name.
    #[error(transparent)]
    Unbound(#[from] UnboundName),
    /// The initial state at Webex is not possible.
    #[error("{0}")]
    Webex(String),
}

impl World {
    /// Begins a scenario.
    ///
    /// # Errors
    /// If the component does not fit, or the initial state is not possible.
    pub async fn begin(scenario: &Scenario, component: &Component) -> Result<Self, WorldError> {
        let given = &scenario.given;
        let mut matcher = Matcher {
            bindings: Bindings::default(),
            now: given.clock,
        };
        let interceptor = Arc::new(DisturbanceInterceptor::default());
        let clock = Arc::new(ManualClock::new(given.clock));
        let mut builder = component
            .harness()
            .clock(Arc::clone(&clock))
            .seed(given.seed)
            .limits(scenario.limits.clone())
            .leases(given.leases)
            .interceptor(interceptor.clone())
            .allow(allowed_origins(scenario))
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
        if !scenario.node_settings.is_empty() {
            let settings = SettingsByNode(scenario.node_settings.clone());
            builder = builder.node_settings(Arc::new(settings));
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
        let (web, backend): (WebexBackend, Arc<dyn Transport>) = match &scenario.webex {
            None => {
                let script = Arc::new(ScriptedTransport::new(matcher.clone()));
                (WebexBackend::Script(script.clone()), script)
            }
            Some(webex) => {
                let emulated = build_webex(webex, scenario, &clock);
                let base = webex_base_url(scenario).and_then(|base| base.parse().ok());
                let base = base.unwrap_or(Uri::from_static(emulated::WEBEX_BASE_URL));
                let transport = emulated.transport(base, &clock, scenario.limits.request_time);
                (WebexBackend::Emulated(Box::new(emulated)), transport)
            }
        };
        let transport = Arc::new(ConcurrentTransport::new(backend));
        let http = Http::Transport(transport.clone());
        let harness = builder.http(http).start().await?;
        let mut world = Self {
            harness,
            web,
            transport,
            interceptor,
            matcher: matcher.clone(),
        };
        if let (WebexBackend::Emulated(emulated), Some(webex)) = (&mut world.web, &scenario.webex) {
            emulated
                .populate(webex, &mut matcher.bindings)
                .map_err(WorldError::Webex)?;
        }
        let given = fill_given(given, &matcher.bindings)?;
        world.harness.put(given).await?;
        world.matcher = matcher;
        Ok(world)
    }
}

/// The settings of nodes in a scenario.
struct SettingsByNode(BTreeMap<String, BTreeMap<String, String>>);

#[async_trait]
impl NodeSettings for SettingsByNode {
    async fn find(
        &self,
        _store: &dyn Store,
        node: &Hierarchy,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        Ok(self.0.get(node.as_str()).cloned().unwrap_or_default())
    }
}

/// Fills the names in the initial state.
fn fill_given(given: &model::GivenState, bindings: &Bindings) -> Result<InitialState, UnboundName> {
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
            keys: keys.collect::<Result<_, UnboundName>>()?,
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
    Ok(InitialState {
        documents: documents.collect::<Result<_, UnboundName>>()?,
        secrets: secrets.collect::<Result<_, UnboundName>>()?,
        wakeups: wakeups.collect::<Result<_, UnboundName>>()?,
    })
}

/// Returns the setting of Webex's base URL, if there is one.
fn webex_base_url(scenario: &Scenario) -> Option<&String> {
    scenario.settings.get("webex.base-url")?.as_ref()
}

/// Returns the origins of all addresses in a scenario.
fn allowed_origins(scenario: &Scenario) -> Vec<String> {
    let scripted = scenario.steps.iter().flat_map(|step| &step.http);
    let scripted = scripted.map(|exchange| exchange.request.url.to_string());
    let urls = webex_base_url(scenario)
        .cloned()
        .into_iter()
        .chain(scripted);
    let origins =
        urls.filter_map(|url| Some(Url::parse(&url).ok()?.origin().ascii_serialization()));
    let mut allowed: Vec<String> = origins.chain(WEBEX_ORIGINS.map(str::to_owned)).collect();
    allowed.sort();
    allowed.dedup();
    allowed
}

fn build_webex(webex: &Webex, scenario: &Scenario, clock: &Arc<ManualClock>) -> ScenarioWebex {
    let value_or = |settings: Option<&Option<String>>, default: &str| {
        let configured = settings.cloned().flatten();
        configured.unwrap_or_else(|| default.to_owned())
    };
    let client_id = value_or(scenario.settings.get("webex.client-id"), DEFAULT_CLIENT_ID);
    let mut builder = Emulator::builder()
        .seed(scenario.given.seed)
        .clock(emulator_clock(clock))
        .client(&client_id, DEFAULT_CLIENT_SECRET)
        .mode(webex.mode)
        .reuse_detection(webex.reuse_detection)
        .access_ttl(webex.access_lifetime)
        .refresh_ttl(webex.refresh_lifetime)
        .error_style(webex.error_style)
        .bare_responses(webex.bare_responses)
        .require_pkce(webex.require_pkce)
        .code_reuse_revokes(webex.code_reuse_revokes);
    if let Some(lifetime) = webex.code_lifetime {
        builder = builder.code_ttl(lifetime);
    }
    if let Some(lag) = webex.revocation_lag {
        builder = builder.revocation_lag(lag);
    }
    let calls = scenario.steps.iter().flat_map(|step| match &step.action {
        Action::Call(call) => vec![call],
        Action::Concurrent(callers) => callers.iter().map(|caller| &caller.call).collect(),
        _ => Vec::new(),
    });
    for redirect_uri in calls.filter_map(|call| call.text("redirect_uri")) {
        builder = builder.redirect_uri(redirect_uri);
    }
    ScenarioWebex::new(builder.in_process())
}

/// Returns the scopes of a grant.
pub fn granted_scopes(grant: &NewGrant) -> Vec<String> {
    let default = || {
        DEFAULT_SCOPES
            .iter()
            .map(|&scope| scope.to_owned())
            .collect()
    };
    grant.scopes.clone().unwrap_or_else(default)
}
