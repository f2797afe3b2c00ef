//! `kill -9` at every step of a refresh and of a consent: nothing is lost, nothing is doubled, and what
//! remains is what an undisturbed run leaves.
//!
//! One thing cannot be had back: where Webex rotates refresh tokens, an answer that came and was not
//! committed. `--nocapture` shows the table of all steps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use std::process::Command;
use std::time::Duration;

use relation_e2e::world::DAY;
use relation_e2e::{Customer, World, artifacts};
use relation_host::AddRequest;
use relation_host::reports::Grant;
use relation_host::schedule::clock::Clock;
use relation_host::schedule::dispatcher::DispatcherOptions;
use relation_host::types::{Pkid, Reference, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use webex_emulator::{Consent, Mode};

const REDIRECT: &str = "http://127.0.0.1:8484/callback";

/// Runs the victim in this world, to its end or to the step; the steps that it came to.
fn victim(world: &World, step: usize, what: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_victim"))
        .arg(artifacts::component())
        .arg(world.directory())
        .arg(world.emulator.address().to_string())
        .arg(world.clock.now().0.to_string())
        .arg(step.to_string())
        .args(what)
        .output()
        .expect("the victim starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if step == 0 {
        assert!(output.status.success(), "{stderr}");
    } else {
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(output.status.signal(), Some(9), "{stderr}");
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(str::to_owned).collect()
}

/// Another process goes on where the victim was ended.
async fn go_on(world: &World) {
    let host = world.new_host().await;
    let dispatcher = host.dispatcher(DispatcherOptions::default());
    dispatcher.run_until_idle().await.unwrap();
}

/// Everything that there is of a record, with names in place of random keys.
async fn remains(world: &World, pkid: &Pkid, organization: &str) -> Value {
    let store = world.host().store();
    let subject = Reference::record(pkid.clone());
    let mut names = vec![
        (pkid.to_string(), "RECORD".to_owned()),
        (organization.to_owned(), "ORGANIZATION".to_owned()),
    ];
    let record = world.record(pkid).await;
    names.push((text(&record["account_number"]), "INTERNAL".to_owned()));
    for part in record["parts"].as_array().unwrap() {
        names.push((text(&part["pkid"]), text(&part["role"])));
    }
    let mut models = serde_json::Map::new();
    for model in [
        "data/SparkCustomer",
        "data/DataSync",
        "data/Schedule",
        "data/Alert",
        "device/spark/Role",
        "device/spark/License",
    ] {
        let mut bodies: Vec<String> = world.all(model).await.iter().map(without_chance).collect();
        for body in &mut bodies {
            for (key, name) in &names {
                *body = body.replace(key, name);
            }
        }
        bodies.sort();
        models.insert(model.to_owned(), bodies.into());
    }
    let wakeups = store.wakeups(&subject).await.unwrap();
    let wakeups: Vec<Value> = wakeups
        .iter()
        .map(|due| json!([due.wakeup.id, due.wakeup.due, due.attempts]))
        .collect();
    let mut tokens = Vec::new();
    for name in ["token", "refresh_token"] {
        let token = world.secret(pkid, name).await;
        let lives = token.map(|token| world.emulator.accepts(token.expose_secret()));
        tokens.push(json!([name, lives]));
    }
    json!({ "documents": models, "wakeups": wakeups, "tokens accepted": tokens })
}

/// A body without what differs from one run to the next: past consents, keys of alerts, and ids that
/// Webex made of the organisation's.
fn without_chance(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("consents");
        members.remove("id");
    }
    body.to_string()
}

/// How often the record was written.
async fn version(world: &World, pkid: &Pkid) -> u64 {
    let subject = Reference::record(pkid.clone());
    world.document(&subject).await.unwrap().version
}

/// The same, or the lines that differ.
#[track_caller]
fn assert_same(remains: &Value, undisturbed: &Value, step: &str) {
    let [remains, undisturbed] = [remains, undisturbed].map(|value| format!("{value:#}"));
    let lines = |one: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (more, less) = (lines(&remains, &undisturbed), lines(&undisturbed, &remains));
    assert!(
        remains == undisturbed,
        "killed {step}, there is\n{more}\nin place of\n{less}"
    );
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A customer whose refresh is due now.
async fn due(mode: Mode) -> (World, Customer) {
    let world = World::builder()
        .mode(mode)
        .reuse_detection(true)
        .setting("refresh.jitter", "0")
        .start()
        .await;
    let customer = world.customer("Contoso").await;
    let record = world.record(&customer.pkid).await;
    let due = record["connection"]["next_refresh"].as_u64().unwrap();
    world.clock.advance_to(Timestamp(due));
    (world, customer)
}

async fn sweep_of_a_refresh(mode: Mode) {
    let (world, customer) = due(mode).await;
    let steps = victim(&world, 0, &["due", customer.pkid.as_str()]);
    go_on(&world).await;
    let undisturbed = remains(&world, &customer.pkid, &customer.organization.uuid).await;
    let versions = version(&world, &customer.pkid).await;
    assert_eq!(world.token_requests(), 1);
    println!("{mode:?}: an undisturbed refresh has {} steps", steps.len());
    for wanted in ["before begin", "before commit", "after end"] {
        assert!(steps.iter().any(|step| step == wanted), "{steps:?}");
    }
    let at = |name: &str| steps.iter().position(|step| step == name).unwrap();
    let answered = at("after the answer of /v1/access_token");
    let committed = at("after commit");

    for (index, step) in steps.iter().enumerate() {
        let (world, customer) = due(mode).await;
        let passed = victim(&world, index + 1, &["due", customer.pkid.as_str()]);
        assert_eq!(passed, steps[..=index], "every run has the same steps");
        go_on(&world).await;
        let remains = remains(&world, &customer.pkid, &customer.organization.uuid).await;
        let state = text(&world.record(&customer.pkid).await["connection"]["state"]);
        let requests = world.token_requests();
        println!("  killed {step:<38} {requests} requests, then {state}");

        let between = (answered..committed).contains(&index);
        assert_eq!(requests, if between { 2 } else { 1 }, "{step}");
        if between && mode == Mode::Rotate {
            // Webex gave new tokens and nobody has them: a person is needed, and told so.
            assert_eq!(state, "reauthorize", "{step}");
            let alerts = world.all("data/Alert").await;
            assert_eq!(alerts.len(), 1, "{step}");
            let told = text(&alerts[0]["message"]);
            assert!(told.contains("possibly lost rotation"), "{step}: {told}");
            continue;
        }
        assert_same(&remains, &undisturbed, step);
        assert_eq!(version(&world, &customer.pkid).await, versions, "{step}");
        world.emulator.assert_sound();
        // What is stored works.
        world.pass(8 * DAY).await;
        let record = world.record(&customer.pkid).await;
        assert_eq!(record["connection"]["state"], "connected", "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_where_the_refresh_token_stays_and_is_extended() {
    sweep_of_a_refresh(Mode::ExtendSame).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_where_the_refresh_token_stays_and_ages() {
    sweep_of_a_refresh(Mode::FrozenClock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_has_no_refresh_token() {
    sweep_of_a_refresh(Mode::OmitRefreshToken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_gives_the_same_access_token() {
    sweep_of_a_refresh(Mode::SameAccessToken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_where_every_refresh_token_works_once() {
    sweep_of_a_refresh(Mode::Rotate).await;
}

/// A customer that was never connected.
struct Unconnected {
    world: World,
    pkid: Pkid,
    organization: String,
}

async fn unconnected() -> Unconnected {
    let world = World::builder()
        .setting("refresh.jitter", "0")
        .start()
        .await;
    world.emulator.add_redirect_uri(REDIRECT);
    let organization = world.emulator.create_organization("Contoso");
    let fields = json!({ "name": "Contoso", "account_number_external": organization.uuid });
    let added = world
        .host()
        .add(AddRequest {
            hierarchy: "sys.Provider.Reseller.Customer".parse().unwrap(),
            fields: relation_e2e::world::object(fields),
            token_response: None,
            idempotency_key: None,
        })
        .await
        .unwrap();
    Unconnected {
        pkid: added.value.connection.pkid,
        organization: organization.uuid.clone(),
        world,
    }
}

impl Unconnected {
    /// A person begins and consents; the address to which Webex sends the browser.
    async fn consent(&self) -> String {
        let begun = self
            .world
            .host()
            .connect(&self.pkid, Grant::Organization, REDIRECT)
            .await
            .expect("a consent can begin");
        let consent = Consent::accept(&self.organization);
        let link = &begun.value.url;
        let callback = self.world.emulator.authorize(link, &consent);
        callback.expect("the consent is given")
    }

    async fn state(&self) -> String {
        text(&self.world.record(&self.pkid).await["connection"]["state"])
    }

    /// A person goes on until the customer is connected: by the same callback while it counts, else
    /// from the beginning.
    async fn person_goes_on(&self, callback: Option<&str>) {
        go_on(&self.world).await;
        if self.state().await == "connected" {
            return;
        }
        if let Some(callback) = callback {
            let callback = SecretString::from(callback);
            let completed = self.world.host().complete_connect(&self.pkid, &callback);
            if completed.await.is_ok() {
                return;
            }
        }
        let callback = SecretString::from(self.consent().await);
        let completed = self.world.host().complete_connect(&self.pkid, &callback);
        completed.await.expect("a new consent is completed");
    }

    /// What there is once the import has run too.
    async fn remains(&self) -> Value {
        self.world.pass(Duration::from_secs(600)).await;
        assert_eq!(self.state().await, "connected");
        remains(&self.world, &self.pkid, &self.organization).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_a_consent() {
    let given = unconnected().await;
    let steps = victim(&given.world, 0, &["connect", given.pkid.as_str(), REDIRECT]);
    given.person_goes_on(None).await;
    let undisturbed = given.remains().await;
    println!("an undisturbed beginning has {} steps", steps.len());
    for (index, step) in steps.iter().enumerate() {
        let given = unconnected().await;
        victim(
            &given.world,
            index + 1,
            &["connect", given.pkid.as_str(), REDIRECT],
        );
        assert_eq!(given.state().await, "not-connected", "{step}");
        given.person_goes_on(None).await;
        println!("  killed {step:<38} then {}", given.state().await);
        assert_same(&given.remains().await, &undisturbed, step);
        given.world.emulator.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_completion_of_a_consent() {
    let given = unconnected().await;
    let callback = given.consent().await;
    let steps = victim(
        &given.world,
        0,
        &["complete", given.pkid.as_str(), &callback],
    );
    given.person_goes_on(Some(&callback)).await;
    let undisturbed = given.remains().await;
    println!("an undisturbed completion has {} steps", steps.len());
    for (index, step) in steps.iter().enumerate() {
        let given = unconnected().await;
        let callback = given.consent().await;
        victim(
            &given.world,
            index + 1,
            &["complete", given.pkid.as_str(), &callback],
        );
        let before = given.state().await;
        given.person_goes_on(Some(&callback)).await;
        let requests = given.world.token_requests();
        println!(
            "  killed {step:<38} {before}, {requests} token requests, then {}",
            given.state().await
        );
        assert_same(&given.remains().await, &undisturbed, step);
        given.world.emulator.assert_sound();
    }
}
