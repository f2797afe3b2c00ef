//! A customer of an emulated Webex in a harness, and everything that is left of it.

use std::sync::Arc;
use std::time::Duration;

use relation_harness::emulated::time_of;
use relation_harness::harness::BEGINNING;
use relation_harness::storage::Snapshot;
use relation_harness::sweep::Scene;
use relation_harness::{Call, Emulated, Failed, Harness, Http, Observed};
use relation_host::ComponentSource;
use relation_host::imports::Interceptor;
use relation_host::reports::Grant;
use relation_host::schedule::clock::ManualClock;
use relation_host::types::{Failure, Pkid, Reference, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use webex_emulator::{
    Consent, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPES, Emulator, Mode,
    Organization, Webex,
};

pub const DAY: Duration = Duration::from_secs(86_400);
pub const HOUR: Duration = Duration::from_secs(3600);

pub const REDIRECT: &str = "http://127.0.0.1:8484/callback";

/// In what remains: what no careful client does.
pub const VIOLATIONS: &str = "violations at Webex";
/// In what remains: [`World::before_connecting_again`].
pub const BEFORE: &str = "before connecting again";

/// How often somebody asks again before giving up.
const PATIENCE: usize = 4;

pub struct World {
    pub harness: Harness,
    pub webex: Webex,
    pub organization: Organization,
    /// Where Webex sent the browser, once somebody has consented.
    pub callback: Option<SecretString>,
    /// What there was before somebody connected again, because only that helped.
    pub before_connecting_again: Option<Value>,
    grant: webex_emulator::Grant,
}

impl Scene for World {
    fn harness(&mut self) -> &mut Harness {
        &mut self.harness
    }
}

impl World {
    pub async fn start(mode: Mode, interceptor: Arc<dyn Interceptor>) -> Self {
        Self::with_leases(true, mode, interceptor).await
    }

    pub async fn with_leases(leases: bool, mode: Mode, interceptor: Arc<dyn Interceptor>) -> Self {
        let clock = Arc::new(ManualClock::new(BEGINNING));
        let webex = Emulator::builder()
            .clock(time_of(&clock))
            .seed(1)
            .mode(mode)
            .reuse_detection(true)
            .in_process();
        webex.add_redirect_uri(REDIRECT);
        let organization = webex.create_organization("Contoso");
        let grant = webex.grant(&organization, DEFAULT_SCOPES);
        let test = std::env::current_exe().unwrap();
        let component = test.ancestors().nth(3).unwrap();
        let component = component.join("component/spark-customer.wasm");
        assert!(component.is_file(), "run `cargo xtask build`");
        let harness = Harness::builder(ComponentSource::File(component))
            .clock(clock)
            .setting("webex.client-id", DEFAULT_CLIENT_ID)
            .setting("refresh.jitter", "0")
            .secret(
                "webex.client-secret",
                SecretString::from(DEFAULT_CLIENT_SECRET),
            )
            .http(Http::Transport(Arc::new(Emulated::new(webex.clone()))))
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
            before_connecting_again: None,
            grant,
        }
    }

    /// An add with an idempotency key, with the tokens of a grant or without.
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

    /// The customer's key, once there is one.
    pub async fn pkid(&self) -> Option<Pkid> {
        let snapshot = self.snapshot().await;
        let record = snapshot.of_model("data/SparkCustomer").next();
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

    /// Adds a customer of another organisation, with tokens.
    pub async fn another_customer(&self) -> (Pkid, Organization) {
        let organization = self.webex.create_organization("Fabrikam");
        let grant = self.webex.grant(&organization, DEFAULT_SCOPES);
        let fields = json!({ "name": "Fabrikam", "account_number_external": organization.uuid });
        let added = self
            .done(Call::Add {
                hierarchy: "sys.Provider.Reseller.Fabrikam".parse().unwrap(),
                fields: fields.as_object().unwrap().clone(),
                token_response: Some(SecretString::from(grant.json().to_string())),
                idempotency_key: None,
            })
            .await;
        let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
        (pkid.try_into().unwrap(), organization)
    }

    /// Lets time pass until a wakeup of the customer is due, and not run.
    pub async fn until_due(&self, id: &str) {
        let due = self.due(id).await;
        let left = due.0 - self.harness.now().0;
        self.pass(Duration::from_millis(left - 1)).await;
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

    /// Does it, and expects no trouble.
    pub async fn done(&self, call: Call) -> Value {
        let seen = self.harness.call(call).await;
        seen.result.unwrap_or_else(|failed| panic!("{failed}"))
    }

    /// Asks until it is done.
    pub async fn insist(&self, call: Call) -> Result<Value, Failed> {
        let mut failed = None;
        for _ in 0..PATIENCE {
            match self.harness.call(call.clone()).await.result {
                Ok(answer) => return Ok(answer),
                Err(why) => failed = Some(why),
            }
            self.pass(Duration::from_secs(120)).await;
        }
        Err(failed.unwrap())
    }

    pub async fn pass(&self, time: Duration) -> Vec<Observed<Value>> {
        self.harness.advance(time).await
    }

    pub async fn connect(&self) -> Call {
        Call::Connect {
            pkid: self.customer().await,
            grant: Grant::Organization,
            redirect_uri: REDIRECT.to_owned(),
        }
    }

    /// A person goes to the link and accepts; the address to which Webex sends the browser.
    pub fn consent(&self, begun: &Value) -> SecretString {
        self.consent_of(&self.organization, begun)
    }

    /// The same for any organisation.
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

    /// Begins, consents and completes, from the beginning until it works.
    pub async fn connect_anew(&self) {
        for _ in 0..PATIENCE {
            let begun = self.insist(self.connect().await).await.unwrap();
            let call = self.complete(self.consent(&begun)).await;
            if self.harness.call(call).await.result.is_ok() {
                return;
            }
        }
        panic!("no consent can be completed");
    }

    pub async fn state(&self) -> String {
        let snapshot = self.snapshot().await;
        let record = snapshot.of_model("data/SparkCustomer").next();
        let state = record.map(|(_, record)| record.body["connection"]["state"].clone());
        state
            .and_then(|state| state.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Everything that is left, without keys, tokens and moments.
    pub async fn remains(&self) -> Value {
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
        json!({
            "documents": documents,
            "wakeups": wakeups,
            "secrets": secrets,
            VIOLATIONS: self.webex.violations(),
            BEFORE: self.before_connecting_again,
        })
    }
}

/// Whether there is nothing of the kind (any more).
pub fn is_not_found(failed: &Failed) -> bool {
    matches!(failed.refusal(), Some(Failure::NotFound(_)))
}
