//! The worlds of trials. The plugin's own workflows create them, once.

use std::sync::Arc;
use std::time::Duration;

use relation_harness::memory::MemoryStore;
use relation_host::reports::{Authorization, Grant};
use relation_host::types::{Document, Pkid, Timestamp};
use relation_host::{AddRequest, CallErrorKind};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::call::{Call, CallOutcome};
use crate::fake_webex::{CANARY, NetworkFault, ORGANIZATION, ResponseMutation, token_response};
use crate::runner::{RunnerError, START_TIME, TrialRunner};
use crate::trial::Trial;

/// The node of every world's customer.
pub const NODE: &str = "sys.Provider.Reseller.Acme";
/// The redirect address of every world's consents.
pub const REDIRECT: &str = "http://127.0.0.1:8085/callback";
const DAY: Duration = Duration::from_secs(86_400);

/// The kind of a trial's world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorldKind {
    /// No records.
    Empty,
    /// A customer with pasted tokens, a shadow, and a proxy with a password.
    Connected,
    /// A wholesale customer without tokens; a consent for each grant is pending, and an earlier one
    /// was superseded.
    Waiting,
    /// [`WorldKind::Connected`] with imported roles and licenses, an unfinished second import, and
    /// a pending consent.
    Imported,
    /// [`WorldKind::Connected`] 89 days later, after failed refreshes: with open alerts.
    Ending,
}

impl WorldKind {
    /// The kinds with a record: all but [`WorldKind::Empty`].
    pub const WITH_RECORD: [Self; 4] =
        [Self::Connected, Self::Waiting, Self::Imported, Self::Ending];
}

/// One world, to be copied for each trial.
#[derive(Clone)]
pub(crate) struct WorldSnapshot {
    pub(crate) store: MemoryStore,
    pub(crate) now: Timestamp,
    pub(crate) documents: Arc<[Document]>,
    pub(crate) record: Option<Pkid>,
    /// Consents, pending or over.
    pub(crate) consents: Arc<[Authorization]>,
}

/// All worlds.
pub(crate) struct WorldSnapshots {
    empty: WorldSnapshot,
    with_record: Vec<WorldSnapshot>,
}

impl WorldSnapshots {
    pub(crate) fn empty(store: MemoryStore) -> Self {
        let empty = WorldSnapshot {
            store,
            now: START_TIME,
            documents: Arc::from([]),
            record: None,
            consents: Arc::from([]),
        };
        Self {
            empty,
            with_record: Vec::new(),
        }
    }

    pub(crate) fn get(&self, world: WorldKind) -> &WorldSnapshot {
        let place = WorldKind::WITH_RECORD
            .iter()
            .position(|each| *each == world);
        let found = place.and_then(|place| self.with_record.get(place));
        found.unwrap_or(&self.empty)
    }

    /// Copies for another thread, without waiting.
    pub(crate) fn copy(&self) -> Self {
        let copy = |snapshot: &WorldSnapshot| WorldSnapshot {
            store: snapshot.store.fork(),
            ..snapshot.clone()
        };
        Self {
            empty: copy(&self.empty),
            with_record: self.with_record.iter().map(copy).collect(),
        }
    }

    /// Creates them by the plugin.
    pub(crate) async fn create(runner: &TrialRunner) -> Result<Self, RunnerError> {
        let empty = runner.snapshots.get(WorldKind::Empty).clone();
        let connected = connected(Trial::begin(runner, &empty, 1).await?).await?;
        let with_record = vec![
            connected.clone(),
            waiting(Trial::begin(runner, &empty, 2).await?).await?,
            imported(Trial::begin(runner, &connected, 3).await?).await?,
            ending(Trial::begin(runner, &connected, 4).await?).await?,
        ];
        Ok(Self { empty, with_record })
    }
}

/// Returns the fields of the worlds' customer.
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

/// Returns the request that adds the worlds' customer.
pub fn add_request(fields: Map<String, Value>, tokens: Option<String>) -> Option<AddRequest> {
    Some(AddRequest {
        hierarchy: NODE.parse().ok()?,
        fields,
        token_response: tokens.map(SecretString::from),
        idempotency_key: Some("order 66".into()),
    })
}

async fn connected(mut trial: Trial<'_>) -> Result<WorldSnapshot, RunnerError> {
    let request = add_request(fields(), Some(token_response("0").to_string()));
    let request = request.ok_or_else(|| world_error("the node is invalid"))?;
    let record = done(trial.call(Call::Add(request)).await)?;
    Ok(trial.into_snapshot(record, Vec::new()))
}

async fn waiting(mut trial: Trial<'_>) -> Result<WorldSnapshot, RunnerError> {
    let mut fields = fields();
    fields.insert("wholesale_status".into(), Value::Bool(true));
    let request = add_request(fields, None).ok_or_else(|| world_error("the node is invalid"))?;
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
    Ok(trial.into_snapshot(record, consents))
}

async fn imported(mut trial: Trial<'_>) -> Result<WorldSnapshot, RunnerError> {
    let record = trial.record().ok_or_else(|| world_error("no record"))?;
    done(trial.call(Call::Sync(record.clone())).await)?;
    // The second import stops after the roles: a wakeup continues it.
    trial.prepare([
        ResponseMutation::Good,
        ResponseMutation::NetworkFault(NetworkFault::Reset),
    ]);
    trial.call(Call::Sync(record.clone())).await;
    let consents = vec![consent(&mut trial, &record, Grant::Organization).await?];
    Ok(trial.into_snapshot(record, consents))
}

async fn ending(mut trial: Trial<'_>) -> Result<WorldSnapshot, RunnerError> {
    let record = trial.record().ok_or_else(|| world_error("no record"))?;
    for days in [61, 27, 1] {
        trial.clock.advance(days * DAY);
        trial.prepare([ResponseMutation::NetworkFault(NetworkFault::Timeout)]);
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
    Ok(trial.into_snapshot(record, Vec::new()))
}

async fn consent(
    trial: &mut Trial<'_>,
    record: &Pkid,
    grant: Grant,
) -> Result<Authorization, RunnerError> {
    let call = trial
        .call(Call::Connect(record.clone(), grant, REDIRECT.into()))
        .await;
    let value = call.and_then(|call| call.result.ok());
    let authorization = value.and_then(|value| serde_json::from_str(&value.json).ok());
    authorization.ok_or_else(|| world_error("no consent begins"))
}

fn done(call: Option<CallOutcome>) -> Result<Pkid, RunnerError> {
    match call.map(|call| (call.function, call.result)) {
        Some((_, Ok(value))) => value.record.ok_or_else(|| world_error("no record")),
        Some((function, Err(kind))) => Err(refused(function, &kind)),
        None => Err(world_error("nothing was called")),
    }
}

fn refused(function: &str, kind: &CallErrorKind) -> RunnerError {
    RunnerError::WorldKind(format!("{function}: {kind}"))
}

fn world_error(what: &str) -> RunnerError {
    RunnerError::WorldKind(what.to_owned())
}
