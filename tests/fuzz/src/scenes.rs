//! The worlds that trials begin in. They are made by the plugin's own workflows, once.

use std::sync::Arc;
use std::time::Duration;

use relation_harness::memory::MemoryStore;
use relation_host::reports::{Authorization, Grant};
use relation_host::types::{Document, Pkid, Timestamp};
use relation_host::{AddRequest, CallErrorKind};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::bench::{BEGINNING, Bench, BenchError};
use crate::call::{Call, Seen};
use crate::trial::Trial;
use crate::web::{CANARY, Fault, ORGANIZATION, Spoiled, token_response};

/// The node of every scene's customer.
pub const NODE: &str = "sys.Provider.Reseller.Acme";
/// Where every scene's consents come back to.
pub const REDIRECT: &str = "http://127.0.0.1:8085/callback";
const DAY: Duration = Duration::from_secs(86_400);

/// How a trial's world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Nothing is there.
    Empty,
    /// A customer with pasted tokens, a shadow, and a proxy with a password.
    Connected,
    /// A wholesale customer without tokens; a consent for each grant waits, and an earlier one was superseded.
    Waiting,
    /// [`Scene::Connected`] with imported roles and licences and an unfinished second import, and a consent
    /// that waits.
    Imported,
    /// [`Scene::Connected`] 89 days later, after failed refreshes: alerts stand.
    Ending,
}

impl Scene {
    /// All but [`Scene::Empty`]: those with a record.
    pub const FURNISHED: [Self; 4] = [Self::Connected, Self::Waiting, Self::Imported, Self::Ending];
}

/// One world, to be copied for each trial.
#[derive(Clone)]
pub(crate) struct Set {
    pub(crate) store: MemoryStore,
    pub(crate) now: Timestamp,
    pub(crate) documents: Arc<[Document]>,
    pub(crate) record: Option<Pkid>,
    /// Consents that wait or are over.
    pub(crate) consents: Arc<[Authorization]>,
}

/// All of them.
pub(crate) struct Scenes {
    empty: Set,
    furnished: Vec<Set>,
}

impl Scenes {
    pub(crate) fn nothing(store: MemoryStore) -> Self {
        let empty = Set {
            store,
            now: BEGINNING,
            documents: Arc::from([]),
            record: None,
            consents: Arc::from([]),
        };
        Self {
            empty,
            furnished: Vec::new(),
        }
    }

    pub(crate) fn get(&self, scene: Scene) -> &Set {
        let place = Scene::FURNISHED.iter().position(|each| *each == scene);
        let found = place.and_then(|place| self.furnished.get(place));
        found.unwrap_or(&self.empty)
    }

    /// For another thread: nothing is waited for there.
    pub(crate) fn copy(&self) -> Self {
        let copy = |set: &Set| Set {
            store: set.store.fork(),
            ..set.clone()
        };
        Self {
            empty: copy(&self.empty),
            furnished: self.furnished.iter().map(copy).collect(),
        }
    }

    /// Lets the plugin make them.
    pub(crate) async fn set(bench: &Bench) -> Result<Self, BenchError> {
        let empty = bench.scenes.get(Scene::Empty).clone();
        let connected = connected(Trial::begin(bench, &empty, 1).await?).await?;
        let furnished = vec![
            connected.clone(),
            waiting(Trial::begin(bench, &empty, 2).await?).await?,
            imported(Trial::begin(bench, &connected, 3).await?).await?,
            ending(Trial::begin(bench, &connected, 4).await?).await?,
        ];
        Ok(Self { empty, furnished })
    }
}

/// What the scenes' customer is added with.
pub fn fields() -> Map<String, Value> {
    let fields = json!({
        "name": "Acme",
        "account_number_external": ORGANIZATION,
        "account_email": "admin@acme.example",
        "https_proxy": format!("http://fuzz:{CANARY}p@proxy.example:3128/"),
        "webex_contact_center": true,
        "base_url_setting": "EU",
        "shadow": [{"name": "Acme's shadow"}],
        "dirsync_enabled": false,
        "email_domain": "acme.example",
        "default_calling_behaviour": "webex",
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What makes the scenes' customer.
pub fn adding(fields: Map<String, Value>, tokens: Option<String>) -> Option<AddRequest> {
    Some(AddRequest {
        hierarchy: NODE.parse().ok()?,
        fields,
        token_response: tokens.map(SecretString::from),
        idempotency_key: Some("order 66".into()),
    })
}

async fn connected(mut trial: Trial<'_>) -> Result<Set, BenchError> {
    let request = adding(fields(), Some(token_response("0").to_string()));
    let request = request.ok_or_else(|| scene("the node is none"))?;
    let record = done(trial.call(Call::Add(request)).await)?;
    Ok(trial.into_set(record, Vec::new()))
}

async fn waiting(mut trial: Trial<'_>) -> Result<Set, BenchError> {
    let mut fields = fields();
    fields.insert("wholesale_status".into(), Value::Bool(true));
    let request = adding(fields, None).ok_or_else(|| scene("the node is none"))?;
    let record = done(trial.call(Call::Add(request)).await)?;
    let mut consents = Vec::new();
    for grant in [
        Grant::Organization,
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ] {
        consents.push(consent(&mut trial, &record, grant).await?);
    }
    Ok(trial.into_set(record, consents))
}

async fn imported(mut trial: Trial<'_>) -> Result<Set, BenchError> {
    let record = trial.record().ok_or_else(|| scene("no record"))?;
    done(trial.call(Call::Sync(record.clone())).await)?;
    // The second import stops behind the roles: a wakeup goes on with it.
    trial.prepare([Spoiled::Good, Spoiled::Fault(Fault::Reset)]);
    trial.call(Call::Sync(record.clone())).await;
    let consents = vec![consent(&mut trial, &record, Grant::Organization).await?];
    Ok(trial.into_set(record, consents))
}

async fn ending(mut trial: Trial<'_>) -> Result<Set, BenchError> {
    let record = trial.record().ok_or_else(|| scene("no record"))?;
    for days in [61, 27, 1] {
        trial.clock.advance(days * DAY);
        trial.prepare([Spoiled::Fault(Fault::Timeout)]);
        done(
            trial
                .call(Call::Refresh(record.clone(), Grant::Organization))
                .await,
        )?;
        done(
            trial
                .call(Call::Check(record.clone(), Grant::Organization))
                .await,
        )?;
    }
    Ok(trial.into_set(record, Vec::new()))
}

async fn consent(
    trial: &mut Trial<'_>,
    record: &Pkid,
    grant: Grant,
) -> Result<Authorization, BenchError> {
    let seen = trial
        .call(Call::Connect(record.clone(), grant, REDIRECT.into()))
        .await;
    let answer = seen.and_then(|seen| seen.answer.ok());
    let authorization = answer.and_then(|answer| serde_json::from_str(&answer.json).ok());
    authorization.ok_or_else(|| scene("no consent begins"))
}

fn done(seen: Option<Seen>) -> Result<Pkid, BenchError> {
    match seen.map(|seen| (seen.function, seen.answer)) {
        Some((_, Ok(answer))) => answer.record.ok_or_else(|| scene("no record")),
        Some((function, Err(kind))) => Err(refused(function, &kind)),
        None => Err(scene("nothing was called")),
    }
}

fn refused(function: &str, kind: &CallErrorKind) -> BenchError {
    BenchError::Scene(format!("{function}: {kind}"))
}

fn scene(what: &str) -> BenchError {
    BenchError::Scene(what.to_owned())
}
