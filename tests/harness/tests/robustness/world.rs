//! A customer of an emulated Webex in a harness, and its final state.

use std::sync::Arc;
use std::time::Duration;

use relation_harness::emulated::emulator_clock;
use relation_harness::harness::START_TIME;
use relation_harness::storage::Snapshot;
use relation_harness::sweep::SweepWorld;
use relation_harness::{Call, CallFailure, EmulatedWebex, Harness, Http, ObservedCall};
use relation_host::ComponentSource;
use relation_host::clock::ManualClock;
use relation_host::component::ComponentCache;
use relation_host::imports::Interceptor;
use relation_host::reports::Grant;
use relation_host::types::{Failure, Pkid, Reference, Timestamp};
use relation_test_stores::{LentStore, StoreKind};
use secrecy::SecretString;
use serde_json::{Value, json};
use webex_emulator::{
    Consent, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator, Listing, Mode,
    Organization, Webex,
};

pub const DAY: Duration = Duration::from_secs(86_400);
pub const HOUR: Duration = Duration::from_secs(3600);

pub const REDIRECT: &str = "http://127.0.0.1:8484/callback";

/// The member of the final state with violations of Webex's rules.
pub const VIOLATIONS: &str = "violations at Webex";
/// The member of the final state with [`World::state_before_reconnect`].
pub const BEFORE: &str = "before connecting again";

/// The maximum number of attempts of a call.
const MAX_ATTEMPTS: usize = 4;

pub struct World {
    pub harness: Harness,
    pub webex: Webex,
    pub organization: Organization,
    /// The address to which Webex redirected the browser after a consent.
    pub callback: Option<SecretString>,
    /// The state before a new consent that was necessary.
    pub state_before_reconnect: Option<Value>,
    grant: webex_emulator::Grant,
    /// Given back when the harness has ended.
    _lent: Option<LentStore>,
}

impl SweepWorld for World {
    fn harness(&mut self) -> &mut Harness {
        &mut self.harness
    }
}

impl World {
    pub async fn start(mode: Mode, interceptor: Arc<dyn Interceptor>) -> Self {
        let lent = match StoreKind::selected() {
            Some(kind) => Some(LentStore::lend(kind).await),
            None => None,
        };
        Self::on_store(lent, true, mode, interceptor).await
    }

    /// Starts a world on a store in memory.
    pub async fn with_leases(leases: bool, mode: Mode, interceptor: Arc<dyn Interceptor>) -> Self {
        Self::on_store(None, leases, mode, interceptor).await
    }

    async fn on_store(
        lent: Option<LentStore>,
        leases: bool,
        mode: Mode,
        interceptor: Arc<dyn Interceptor>,
    ) -> Self {
        let clock = Arc::new(ManualClock::new(START_TIME));
        let webex = Emulator::builder()
            .clock(emulator_clock(&clock))
            .seed(1)
            .mode(mode)
            .reuse_detection(true)
            .in_process();
        webex.add_redirect_uri(REDIRECT);
        let organization = webex.create_organization("Contoso");
        let grant = webex.grant(&organization, DEFAULT_SCOPES);
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let component = target.join("component/spark-customer.wasm");
        assert!(component.is_file(), "run `cargo xtask build`");
        let cache = target.join("test-caches/relation-host/components");
        let mut harness = Harness::builder(ComponentSource::File(component));
        if let Some(lent) = &lent {
            harness = harness.scratch_store(lent.store());
        }
        let harness = harness
            .component_cache(ComponentCache::new(cache))
            .clock(clock)
            .setting("webex.client-id", DEFAULT_CLIENT_ID)
            .setting("refresh.jitter", "0")
            .secret(
                "webex.client-secret",
                SecretString::from(DEFAULT_CLIENT_SECRET),
            )
            .http(Http::Transport(Arc::new(EmulatedWebex::new(webex.clone()))))
            .interceptor(interceptor)
            .leases(leases)
            .start()
            .await
            .unwrap();
        Self {
            harness,
            webex,
            organization,
            callback: None,
            state_before_reconnect: None,
            grant,
            _lent: lent,
        }
    }

    /// Returns an add with an idempotency key, with or without tokens.
    pub fn add(&self, with_tokens: bool) -> Call {
        let fields =
            json!({ "name": "Contoso", "account_number_external": self.organization.uuid });
        Call::Add {
            hierarchy: "sys.Provider.Reseller.Contoso".parse().unwrap(),
            fields: fields.as_object().unwrap().clone(),
            token_response: with_tokens.then(|| SecretString::from(self.grant.json().to_string())),
            idempotency_key: Some("the first".to_owned()),
        }
    }

    /// Returns an add of a wholesale partner without tokens.
    pub fn add_partner(&self) -> Call {
        let fields = json!({
            "name": "Contoso", "account_number_external": self.organization.uuid,
            "wholesale_status": true,
        });
        Call::Add {
            hierarchy: "sys.Provider.Reseller.Contoso".parse().unwrap(),
            fields: fields.as_object().unwrap().clone(),
            token_response: None,
            idempotency_key: None,
        }
    }

    /// Connects the grant for wholesale customers.
    pub async fn connect_wholesale_customers(&self) {
        let begun = self.call_ok(Call::Connect {
            pkid: self.customer().await,
            grant: Grant::WholesaleCustomers,
            redirect_uri: REDIRECT.to_owned(),
        });
        let begun = begun.await;
        let complete = self.complete(self.consent(&begun)).await;
        self.call_ok(complete).await;
    }

    /// Returns the action that adds a wholesale customer.
    pub async fn add_wholesale_customer(&self) -> Call {
        let arguments = json!({
            "external_id": "c-17", "provisioning_id": "P1", "packages": ["webex_meetings"],
            "name": "Newcomer", "email": "boss@newcomer.example",
            "address_line1": "1 Main Street", "city": "Austin", "country": "US",
        });
        Call::Invoke {
            action: "AddWholesaleCustomer".to_owned(),
            pkid: self.customer().await,
            arguments: arguments.as_object().unwrap().clone(),
        }
    }

    /// Returns the customer's pkid, if there is a customer.
    pub async fn pkid(&self) -> Option<Pkid> {
        let snapshot = self.snapshot().await;
        let record = snapshot.documents_of("data/SparkCustomer").next();
        record.map(|(name, _)| {
            name.rsplit('/')
                .next()
                .unwrap()
                .to_owned()
                .try_into()
                .unwrap()
        })
    }

    pub async fn customer(&self) -> Pkid {
        self.pkid().await.expect("a customer")
    }

    /// Adds a customer of another organization, with tokens.
    pub async fn another_customer(&self) -> (Pkid, Organization) {
        let organization = self.webex.create_organization("Fabrikam");
        let grant = self.webex.grant(&organization, DEFAULT_SCOPES);
        let fields = json!({ "name": "Fabrikam", "account_number_external": organization.uuid });
        let added = self
            .call_ok(Call::Add {
                hierarchy: "sys.Provider.Reseller.Fabrikam".parse().unwrap(),
                fields: fields.as_object().unwrap().clone(),
                token_response: Some(SecretString::from(grant.json().to_string())),
                idempotency_key: None,
            })
            .await;
        let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
        (pkid.try_into().unwrap(), organization)
    }

    /// Advances the clock until a wakeup of the customer is due, without running the wakeup.
    pub async fn until_due(&self, id: &str) {
        let due = self.due(id).await;
        let left = due.0 - self.harness.now().0;
        self.advance(Duration::from_millis(left - 1)).await;
        assert_eq!(self.due(id).await, due, "{id} was moved meanwhile");
        self.harness.clock().advance_to(due);
    }

    async fn due(&self, id: &str) -> Timestamp {
        let record = Reference::record(self.customer().await);
        self.snapshot().await.wakeups[&format!("{record}#{id}")].due
    }

    pub async fn snapshot(&self) -> Snapshot {
        self.harness.snapshot().await.unwrap()
    }

    /// Makes a call, which must succeed.
    pub async fn call_ok(&self, call: Call) -> Value {
        let seen = self.harness.call(call).await;
        seen.result.unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// Repeats a call until it succeeds.
    pub async fn call_until_ok(&self, call: Call) -> Result<Value, CallFailure> {
        let mut failed = None;
        for _ in 0..MAX_ATTEMPTS {
            match self.harness.call(call.clone()).await.result {
                Ok(output) => return Ok(output),
                Err(reason) => failed = Some(reason),
            }
            self.advance(Duration::from_secs(120)).await;
        }
        Err(failed.unwrap())
    }

    pub async fn advance(&self, time: Duration) -> Vec<ObservedCall<Value>> {
        self.harness.advance(time).await
    }

    pub async fn connect(&self) -> Call {
        Call::Connect {
            pkid: self.customer().await,
            grant: Grant::Organization,
            redirect_uri: REDIRECT.to_owned(),
        }
    }

    /// Accepts the consent of a link. Returns the address to which Webex redirects the browser.
    pub fn consent(&self, begun: &Value) -> SecretString {
        self.consent_of(&self.organization, begun)
    }

    /// Accepts the consent of a link for an organization.
    pub fn consent_of(&self, organization: &Organization, begun: &Value) -> SecretString {
        let consent = Consent::accept(&organization.uuid);
        let callback = self
            .webex
            .authorize(begun["url"].as_str().unwrap(), &consent);
        SecretString::from(callback.unwrap())
    }

    pub async fn complete(&self, callback: SecretString) -> Call {
        Call::CompleteConnect {
            pkid: self.customer().await,
            callback,
        }
    }

    /// Repeats a whole consent until it succeeds.
    pub async fn reconnect(&self) {
        for _ in 0..MAX_ATTEMPTS {
            let begun = self.call_until_ok(self.connect().await).await.unwrap();
            let call = self.complete(self.consent(&begun)).await;
            if self.harness.call(call).await.result.is_ok() {
                return;
            }
        }
        panic!("no consent can be completed");
    }

    pub async fn state(&self) -> String {
        let snapshot = self.snapshot().await;
        let record = snapshot.documents_of("data/SparkCustomer").next();
        let state = record.map(|(_, record)| record.body["connection"]["state"].clone());
        state
            .and_then(|state| state.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Returns the final state, without keys, tokens and moments.
    pub async fn final_state(&self) -> Value {
        let snapshot = self.snapshot().await;
        let mut documents: Vec<Value> = snapshot
            .documents
            .iter()
            .map(|(name, stored)| {
                let model = name.rsplit_once('/').unwrap().0;
                let body = &stored.body;
                json!({
                    "model": model,
                    "hierarchy": stored.hierarchy,
                    "name": body["name"],
                    "state": body["connection"]["state"],
                    "scopes": body["connection"]["scopes"],
                    "notes": body["notes"],
                    "account_number": body["account_number"],
                    "code": body["code"],
                    "active": body["active"],
                })
            })
            .collect();
        documents.sort_by_key(Value::to_string);
        let short = |name: &str| {
            let (document, own) = name.split_once('#').unwrap();
            format!("{}#{own}", document.rsplit_once('/').unwrap().0)
        };
        let wakeups: Vec<Value> = snapshot
            .wakeups
            .iter()
            .map(|(name, waiting)| {
                let soon = waiting.due <= self.harness.now().after(7 * DAY);
                json!([short(name), waiting.attempts, soon])
            })
            .collect();
        let mut secrets: Vec<String> = snapshot.secrets.keys().map(|name| short(name)).collect();
        secrets.sort();
        let customers = self.webex.entries(&self.organization, Listing::Customers);
        let wholesale: Vec<&Value> = customers.iter().map(|each| &each["externalId"]).collect();
        json!({
            "customers at Webex": wholesale,
            "documents": documents,
            "wakeups": wakeups,
            "secrets": secrets,
            VIOLATIONS: self.webex.violations(),
            BEFORE: self.state_before_reconnect,
        })
    }
}

/// Returns whether the call failed with `not-found`.
pub fn is_not_found(failed: &CallFailure) -> bool {
    matches!(failed.refusal(), Some(Failure::NotFound(_)))
}
