//! Runs one row in one world: the fault, the record after it, and the recovery.

use std::time::Duration;

use relation_e2e::{Customer, World};
use relation_host::clock::Clock;
use relation_host::reports::RefreshReport;
use relation_host::transactions::Level;
use relation_host::types::{Reference, Timestamp};
use relation_host::{CallError, CallOutput};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use webex_emulator::{Digest, Grant, ProcessingStage};

use crate::bodies;
use crate::row::{Action, FaultClass, Injection, RefreshVariant, Row, TOKEN, TokenPair};
use crate::sweep::format_duration;

/// From a grant to the disturbed refresh: less than the day in which a refresh may change nothing.
const AGE: Duration = Duration::from_secs(6 * 3600);

/// The first pause after Webex has rejected the integration.
const HOUR: Duration = Duration::from_secs(3600);

/// How long a request to Webex may take on a busy machine.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A row's cells on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The record's state.
    pub state: String,
    /// The change of the stored tokens.
    pub tokens: String,
    /// The record's lifetimes of access token and refresh token.
    pub lifetimes: String,
    /// When the next attempt is due.
    pub next: String,
    /// The open alerts.
    pub alert: String,
    /// The text for the administrator.
    pub shown_text: String,
    /// The further course, and the action that a person must take.
    pub afterwards: String,
}

/// The result of a row.
pub struct Verdict {
    /// The cells for the page.
    pub observation: Observation,
    /// Deviations from the row's class.
    pub complaints: Vec<String>,
    /// Whether new tokens reached the host whole while the store was available.
    pub delivered: bool,
    /// Whether those tokens were not stored.
    pub lost: bool,
}

/// A verdict, and the secrets that must not be found in clear.
pub struct RowRun {
    /// The verdict.
    pub verdict: Verdict,
    /// The secrets.
    pub secrets: Vec<TokenPair>,
}

/// Runs the row.
pub async fn run_row(world: &World, variant: RefreshVariant, row: &Row) -> RowRun {
    let customer = world.add_customer("Contoso").await;
    world.clock.advance(AGE);
    let mut case = Case {
        world,
        variant,
        class: row.class,
        before: stored_tokens(world, &customer).await,
        expiries: expiries(&world.record(&customer.pkid).await),
        grant: customer.grant.clone(),
        customer,
        complaints: Vec::new(),
        secrets: Vec::new(),
    };
    case.secrets.push(case.before.clone());
    let earlier = world.emulator.requests().len();
    let earlier_violations = world.emulator.violations().len();

    let result = case.refresh(&row.injection).await;
    let requests = world.emulator.requests().into_iter().skip(earlier);
    let tracking_id = requests
        .filter(|request| request.path == TOKEN)
        .find_map(|request| request.tracking_id)
        .filter(|_| row.tracked);
    world.store_faults.clear();
    let (mut observation, lost) = case.look(&result, tracking_id.as_deref()).await;
    world.repair().await;
    observation.afterwards = case.recover().await;
    // Webex cannot know that its response was lost on the way.
    let unseen = matches!(row.class, FaultClass::ResponseLost | FaultClass::Dropped)
        && !matches!(row.injection, Injection::Webex(_));
    for violation in world
        .emulator
        .violations()
        .into_iter()
        .skip(earlier_violations)
    {
        case.expect(unseen, violation);
    }
    let _ = world
        .host()
        .delete(&case.customer.pkid, false)
        .await
        .expect("the customer can be deleted");

    let name = format!("{} [{}]", row.name, variant.name);
    let complaints = case.complaints.iter();
    RowRun {
        verdict: Verdict {
            observation,
            complaints: complaints.map(|text| format!("{name}: {text}")).collect(),
            delivered: matches!(
                row.class,
                FaultClass::Delivered | FaultClass::ClockAhead | FaultClass::Stashed
            ),
            lost,
        },
        secrets: case.secrets,
    }
}

/// A running row.
pub struct Case<'a> {
    pub world: &'a World,
    pub variant: RefreshVariant,
    pub class: FaultClass,
    pub customer: Customer,
    /// The grant of the customer's tokens.
    pub grant: Grant,
    pub before: TokenPair,
    /// Both expiries before the refresh.
    pub expiries: [Value; 2],
    pub complaints: Vec<String>,
    pub secrets: Vec<TokenPair>,
}

impl Case<'_> {
    pub fn expect(&mut self, holds: bool, wanted: impl Into<String>) {
        if !holds {
            self.complaints.push(wanted.into());
        }
    }

    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, is: T, wanted: T) {
        if is != wanted {
            let complaint = format!("{what} is {is:?} and should be {wanted:?}");
            self.complaints.push(complaint);
        }
    }

    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn refresh(&self, injection: &Injection) -> Result<CallOutput<RefreshReport>, CallError> {
        let world = self.world;
        let mut held_request = None;
        match injection {
            Injection::None => {}
            Injection::Webex(fault) => world.emulator.inject(fault(&self.before)),
            Injection::BeforeRequest(action) => action(world, &self.before),
            Injection::Slow(ProcessingStage::Before) => {
                held_request = Some(world.emulator.gate(TOKEN))
            }
            Injection::Slow(ProcessingStage::After) => {
                held_request = Some(world.emulator.gate_after(TOKEN))
            }
            Injection::Tls(fault) => world.network.tls_front().set(*fault),
            Injection::Proxy(fault) => world.network.proxy().set(*fault).await,
            Injection::BeforeResponse(action) => return self.refresh_during(*action).await,
        }
        let result = world.host().refresh(&self.customer.pkid).await;
        if let Some(gate) = &held_request {
            // A request released before Webex has seen that the client is gone is carried out.
            // Webex may also see the request late, or never if it was not sent in time.
            let _ = tokio::time::timeout(ARRIVAL, gate.reached()).await;
            world.emulator.idle().await;
        }
        drop(held_request);
        result
    }

    /// Refreshes, and runs the action between Webex's work and its response.
    async fn refresh_during(&self, action: Action) -> Result<CallOutput<RefreshReport>, CallError> {
        let gate = self.world.emulator.gate_after(TOKEN);
        let (host, pkid) = (self.world.host().clone(), self.customer.pkid.clone());
        let refreshing = tokio::spawn(async move { host.refresh(&pkid).await });
        gate.reached().await;
        action(self.world, &self.customer).await;
        gate.release();
        refreshing.await.expect("a refresh does not panic")
    }

    /// Observes the record after the attempt; returns true when tokens were lost that had arrived.
    async fn look(
        &mut self,
        result: &Result<CallOutput<RefreshReport>, CallError>,
        tracking_id: Option<&str>,
    ) -> (Observation, bool) {
        let record = self.world.record(&self.customer.pkid).await;
        let state = text(&record["connection"]["state"]);
        let tokens = stored_tokens(self.world, &self.customer).await;
        self.secrets.push(tokens.clone());
        let accepted = self.world.emulator.accepts(&tokens.refresh_token);
        let next = record["connection"]["next_refresh"].as_u64().map(Timestamp);
        let due = self.wakeup().await;
        self.equal("the wakeup", due, next);
        let pause = next.map(|next| next.since(self.now()));
        let alerts = self.alerts().await;
        let shown_text = self.find_shown_text(&record, result).await;
        let after = expiries(&record);
        let kept = tokens == self.before && after == self.expiries;
        let taken = matches!(
            self.class,
            FaultClass::Delivered | FaultClass::ClockAhead | FaultClass::TokenOmitted
        );
        if !taken && let Some(tracking_id) = tracking_id {
            let reported = alerts
                .iter()
                .map(|alert| text(&alert["message"]).to_owned());
            self.expect_tracked(tracking_id, reported.chain([shown_text.clone()]).collect());
        }
        let mut lost = false;
        match self.class {
            FaultClass::Delivered | FaultClass::ClockAhead | FaultClass::TokenOmitted => {
                self.equal("the state", state, "connected");
                let latest = self.world.emulator.latest_tokens(&self.grant);
                let latest = latest.expect("the grant is known");
                lost = Digest::from_secret(&tokens.access_token) != latest.access_token
                    || Digest::from_secret(&tokens.refresh_token) != latest.refresh_token;
                if self.class != FaultClass::TokenOmitted {
                    self.expect(!lost, "what Webex gave out last should be stored");
                    self.expect(accepted, "Webex should accept the refresh token");
                }
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            FaultClass::NotProcessed { pause: wanted } => {
                self.equal("the state", state, "retrying");
                self.equal("the pause", pause, Some(wanted));
                self.expect(kept, "the tokens and their expiries should be kept");
                self.expect(accepted, "Webex should accept the refresh token");
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            FaultClass::ResponseLost => {
                self.equal("the state", state, "retrying");
                self.expect(kept, "the tokens and their expiries should be kept");
                self.equal(
                    "whether Webex accepts the refresh token",
                    accepted,
                    !self.variant.rotates(),
                );
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            FaultClass::Stashed | FaultClass::Dropped => {
                self.equal("the state", state, "connected");
                self.expect(tokens == self.before, "the tokens should be kept");
                self.expect(result.is_err(), "the call should fail");
                self.expect(alerts.is_empty(), "there should be no alert");
            }
            FaultClass::ClientRejected => {
                self.equal("the state", state, "retrying");
                self.equal("the pause", pause, Some(HOUR));
                self.expect(kept, "the tokens and their expiries should be kept");
                self.expect(accepted, "Webex should accept the refresh token");
                self.equal("the number of alerts", alerts.len(), 1);
            }
            FaultClass::Refused => {
                self.equal("the state", state, "reauthorize");
                self.equal("the pause", pause, None);
                self.expect(kept, "the tokens and their expiries should be kept");
                self.expect(!alerts.is_empty(), "there should be an alert");
            }
        }
        let observation = Observation {
            state: state.to_owned(),
            tokens: describe_tokens(&self.before, &tokens, accepted),
            lifetimes: after.map(|expiry| self.lifetime(&expiry)).join(" / "),
            next: pause.map_or("none".to_owned(), |pause| {
                format!("in {}", format_duration(pause))
            }),
            alert: names(&alerts),
            shown_text: self.without_run_details(&shown_text, tracking_id),
            afterwards: String::new(),
        };
        (observation, lost)
    }

    fn lifetime(&self, expiry: &Value) -> String {
        let at = Timestamp(expiry["at"].as_u64().expect("an expiry"));
        let left = format_duration(at.since(self.now()));
        if expiry["assumed"] == true {
            format!("{left} (assumed)")
        } else {
            left
        }
    }

    /// Returns when the refresh is due by the store.
    async fn wakeup(&self) -> Option<Timestamp> {
        let subject = Reference::record(self.customer.pkid.clone());
        let wakeups = self.world.host().store().wakeups(&subject).await;
        let wakeups = wakeups.expect("the store responds");
        let refresh = wakeups.iter().find(|due| due.wakeup.id == "refresh");
        refresh.map(|due| due.wakeup.due)
    }

    pub async fn alerts(&self) -> Vec<Value> {
        let subject = Reference::record(self.customer.pkid.clone()).to_string();
        let mut alerts = self.world.bodies("data/Alert").await;
        alerts.retain(|alert| {
            alert["subject"] == subject.as_str() || alert["subject"] == "installation"
        });
        alerts
    }

    /// Returns the record's notes, else the call's failure, else the warnings of its transaction.
    async fn find_shown_text(
        &self,
        record: &Value,
        result: &Result<CallOutput<RefreshReport>, CallError>,
    ) -> String {
        if let Some(notes) = record["notes"].as_str() {
            return notes.to_owned();
        }
        let id = match result {
            Ok(called) => &called.transaction,
            Err(error) => return error.to_string(),
        };
        let transaction = self.world.host().store().transaction(id).await;
        let transaction = transaction.expect("the store responds");
        let log = transaction.expect("the call is recorded").log;
        let warnings = log.iter().filter(|line| line.level >= Level::Warning);
        let warnings: Vec<&str> = warnings.map(|line| line.message.as_str()).collect();
        warnings.join("; ")
    }

    /// Asserts that the administrator's text contains the tracking id of a failed request.
    fn expect_tracked(&mut self, tracking_id: &str, texts: Vec<String>) {
        for text in texts {
            let has_it = text.contains(tracking_id) || text.contains(bodies::TRACKING_ID);
            self.expect(has_it, format!("the tracking id should be in: {text}"));
        }
    }

    /// Removes details that differ between runs.
    fn without_run_details(&self, text: &str, tracking_id: Option<&str>) -> String {
        let network = &self.world.network;
        let origin = network.origin();
        let mut text = text.replace(&origin, "https://webexapis.com");
        // The host's advice on the allow list names the same port at an address.
        if let Some((_, port)) = origin.rsplit_once(':') {
            text = text.replace(&format!("10.1.2.3:{port}"), "10.1.2.3");
        }
        if let Some(proxy) = network.proxy_address() {
            text = text.replace(&proxy.to_string(), "proxy.example:3128");
        }
        for id in [tracking_id, Some(bodies::TRACKING_ID)]
            .into_iter()
            .flatten()
        {
            text = text.replace(id, "ROUTER_…");
        }
        text = text.replace(self.customer.pkid.as_str(), "…");
        let directory = self.world.directory().display().to_string();
        let mut before = "";
        let words = text.split(' ').map(|word| {
            let differs = word.contains(&directory)
                || before == "epoch"
                || (word.ends_with('Z') && word.starts_with("20"));
            before = word;
            if differs { "…" } else { word }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

pub async fn stored_tokens(world: &World, customer: &Customer) -> TokenPair {
    let open = async |name| {
        let secret = world.secret(&customer.pkid, name).await;
        let secret = secret.expect("the record holds its tokens");
        secret.expose_secret().to_owned()
    };
    TokenPair {
        access_token: open("token").await,
        refresh_token: open("refresh_token").await,
    }
}

fn expiries(record: &Value) -> [Value; 2] {
    ["access", "refresh"].map(|name| record["connection"][name].clone())
}

fn describe_tokens(before: &TokenPair, tokens: &TokenPair, accepted: bool) -> String {
    let access = tokens.access_token != before.access_token;
    let refresh = tokens.refresh_token != before.refresh_token;
    let change = match (access, refresh) {
        (false, false) => "kept",
        (true, false) => "access token replaced",
        (false, true) => "refresh token replaced",
        (true, true) => "both replaced",
    };
    if accepted {
        change.to_owned()
    } else {
        format!("{change}; Webex no longer accepts this refresh token")
    }
}

pub fn names(alerts: &[Value]) -> String {
    let names: Vec<String> = alerts
        .iter()
        .map(|alert| format!("`{}`, {}", text(&alert["code"]), text(&alert["severity"])))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join("; ")
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
