//! `kill -9` at every step of a refresh, a consent, an import, a queued call and a notice. No data is lost or
//! duplicated, and the final state is that of an uninterrupted run.
//!
//! One loss is unavoidable: where Webex rotates refresh tokens, a response that arrived and was not
//! committed. `--nocapture` shows the table of all steps.

mod notices;
mod queued_calls;

use std::process::Command;
use std::time::Duration;

use relation_e2e::world::DAY;
use relation_e2e::{Customer, World, artifacts};
use relation_host::AddRequest;
use relation_host::clock::Clock;
use relation_host::reports::{Grant, SyncSelector};
use relation_host::schedule::DispatcherOptions;
use relation_host::types::{Pkid, Reference, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use webex_emulator::{Consent, Listing, Mode, Paging};

const REDIRECT: &str = "http://127.0.0.1:8484/callback";

/// Runs the victim in this world, to its end or to the step; returns the steps that it reached.
fn run_victim(world: &World, step: usize, what: &[&str]) -> Vec<String> {
    let mut victim = Command::new(env!("CARGO_BIN_EXE_victim"));
    if let Some(address) = world.store_address() {
        victim.env("RELATION_VICTIM_STORE", address);
    }
    let output = victim
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
        world.end_children();
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(str::to_owned).collect()
}

/// Resumes in another process where the victim was killed.
async fn resume(world: &World) {
    let host = world.new_host().await;
    let dispatcher = host.dispatcher(DispatcherOptions::default());
    dispatcher.run_until_idle().await.unwrap();
}

/// Returns the whole state of a record, with names in place of random keys.
async fn final_state(world: &World, pkid: &Pkid, organization: &str) -> Value {
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
        let mut bodies: Vec<String> = world
            .bodies(model)
            .await
            .iter()
            .map(without_random_parts)
            .collect();
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
        let accepted = token.map(|token| world.emulator.accepts(token.expose_secret()));
        tokens.push(json!([name, accepted]));
    }
    json!({ "documents": models, "wakeups": wakeups, "tokens accepted": tokens })
}

/// Removes what differs between runs: past consents, keys of alerts, and ids that Webex derived
/// from the organization's.
fn without_random_parts(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("consents");
        members.remove("id");
    }
    body.to_string()
}

/// Returns the record's version.
async fn version(world: &World, pkid: &Pkid) -> u64 {
    let subject = Reference::record(pkid.clone());
    world.document(&subject).await.unwrap().version
}

/// Asserts equality, and shows the lines that differ.
#[track_caller]
fn assert_same(final_state: &Value, undisturbed: &Value, step: &str) {
    let [final_state, undisturbed] = [final_state, undisturbed].map(|value| format!("{value:#}"));
    let lines = |one: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (more, less) = (
        lines(&final_state, &undisturbed),
        lines(&undisturbed, &final_state),
    );
    assert!(
        final_state == undisturbed,
        "killed {step}, there is\n{more}\nin place of\n{less}"
    );
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Creates a customer whose refresh is due now.
async fn world_with_due_refresh(mode: Mode) -> (World, Customer) {
    let world = World::builder()
        .mode(mode)
        .reuse_detection(true)
        .setting("refresh.jitter", "0")
        .start()
        .await;
    let customer = world.add_customer("Contoso").await;
    let record = world.record(&customer.pkid).await;
    let due = record["connection"]["next_refresh"].as_u64().unwrap();
    world.clock.advance_to(Timestamp(due));
    (world, customer)
}

async fn sweep_of_a_refresh(mode: Mode) {
    let (world, customer) = world_with_due_refresh(mode).await;
    let steps = run_victim(&world, 0, &["due", customer.pkid.as_str()]);
    resume(&world).await;
    let undisturbed = final_state(&world, &customer.pkid, &customer.organization.uuid).await;
    let versions = version(&world, &customer.pkid).await;
    assert_eq!(world.token_requests(), 1);
    println!("{mode:?}: an undisturbed refresh has {} steps", steps.len());
    for wanted in ["before begin", "before commit", "after end"] {
        assert!(steps.iter().any(|step| step == wanted), "{steps:?}");
    }
    let at = |name: &str| steps.iter().position(|step| step == name).unwrap();
    let responded = at("after the response of /v1/access_token");
    let committed = at("after commit");

    for (index, step) in steps.iter().enumerate() {
        let (world, customer) = world_with_due_refresh(mode).await;
        let passed = run_victim(&world, index + 1, &["due", customer.pkid.as_str()]);
        assert_eq!(passed, steps[..=index], "every run has the same steps");
        resume(&world).await;
        let final_state = final_state(&world, &customer.pkid, &customer.organization.uuid).await;
        let state = text(&world.record(&customer.pkid).await["connection"]["state"]);
        let requests = world.token_requests();
        println!("  killed {step:<38} {requests} requests, then {state}");

        let between = (responded..committed).contains(&index);
        assert_eq!(requests, if between { 2 } else { 1 }, "{step}");
        if between && mode == Mode::Rotate {
            // Webex issued new tokens and they are lost: a person is needed, and notified.
            assert_eq!(state, "reauthorize", "{step}");
            let alerts = world.bodies("data/Alert").await;
            assert_eq!(alerts.len(), 1, "{step}");
            let reported = text(&alerts[0]["message"]);
            assert!(
                reported.contains("possibly lost rotation"),
                "{step}: {reported}"
            );
            continue;
        }
        assert_same(&final_state, &undisturbed, step);
        assert_eq!(version(&world, &customer.pkid).await, versions, "{step}");
        world.emulator.assert_sound();
        // The stored tokens work.
        world.run_for(8 * DAY).await;
        let record = world.record(&customer.pkid).await;
        assert_eq!(record["connection"]["state"], "connected", "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_refresh_that_extends_the_token() {
    sweep_of_a_refresh(Mode::ExtendSame).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_refresh_with_frozen_expiry() {
    sweep_of_a_refresh(Mode::FrozenClock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_refresh_without_refresh_token() {
    sweep_of_a_refresh(Mode::OmitRefreshToken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_refresh_with_same_access_token() {
    sweep_of_a_refresh(Mode::SameAccessToken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_refresh_with_rotation() {
    sweep_of_a_refresh(Mode::Rotate).await;
}

/// A customer that was never connected.
struct UnconnectedCustomer {
    world: World,
    pkid: Pkid,
    organization: String,
}

async fn unconnected() -> UnconnectedCustomer {
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
    UnconnectedCustomer {
        pkid: added.value.connection.pkid,
        organization: organization.uuid.clone(),
        world,
    }
}

impl UnconnectedCustomer {
    /// Begins a consent and grants it, as a person does; returns the address to which Webex sends
    /// the browser.
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

    /// Continues as a person until the customer is connected: with the same callback while it is
    /// valid, else from the beginning.
    async fn retry_as_person(&self, callback: Option<&str>) {
        resume(&self.world).await;
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
        let _ = completed.await.expect("a new consent is completed");
    }

    /// Returns the state once the import has run too.
    async fn final_state(&self) -> Value {
        self.world.run_for(Duration::from_secs(600)).await;
        assert_eq!(self.state().await, "connected");
        final_state(&self.world, &self.pkid, &self.organization).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_beginning_of_a_consent() {
    let customer = unconnected().await;
    let steps = run_victim(
        &customer.world,
        0,
        &["connect", customer.pkid.as_str(), REDIRECT],
    );
    customer.retry_as_person(None).await;
    let undisturbed = customer.final_state().await;
    println!("an undisturbed beginning has {} steps", steps.len());
    for (index, step) in steps.iter().enumerate() {
        let customer = unconnected().await;
        run_victim(
            &customer.world,
            index + 1,
            &["connect", customer.pkid.as_str(), REDIRECT],
        );
        assert_eq!(customer.state().await, "not-connected", "{step}");
        customer.retry_as_person(None).await;
        println!("  killed {step:<38} then {}", customer.state().await);
        assert_same(&customer.final_state().await, &undisturbed, step);
        customer.world.emulator.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_completion_of_a_consent() {
    let customer = unconnected().await;
    let callback = customer.consent().await;
    let steps = run_victim(
        &customer.world,
        0,
        &["complete", customer.pkid.as_str(), &callback],
    );
    customer.retry_as_person(Some(&callback)).await;
    let undisturbed = customer.final_state().await;
    println!("an undisturbed completion has {} steps", steps.len());
    for (index, step) in steps.iter().enumerate() {
        let customer = unconnected().await;
        let callback = customer.consent().await;
        run_victim(
            &customer.world,
            index + 1,
            &["complete", customer.pkid.as_str(), &callback],
        );
        let before = customer.state().await;
        customer.retry_as_person(Some(&callback)).await;
        let requests = customer.world.token_requests();
        println!(
            "  killed {step:<38} {before}, {requests} token requests, then {}",
            customer.state().await
        );
        assert_same(&customer.final_state().await, &undisturbed, step);
        customer.world.emulator.assert_sound();
    }
}

/// The lists of an organization with their models.
const LISTS: [(Listing, &str); 4] = [
    (Listing::Locations, "device/spark/Location"),
    (Listing::People, "device/spark/User"),
    (Listing::Workspaces, "device/spark/Place"),
    (Listing::Groups, "device/spark/Group"),
];

/// Creates a customer whose whole organization was imported. Since then, entries were added, changed and removed at
/// Webex, in lists of several pages.
async fn world_with_changes_to_import() -> (World, Customer) {
    let world = World::start().await;
    let customer = world.add_customer("Contoso").await;
    let webex = &world.emulator;
    for (listing, _) in LISTS {
        let entries =
            (0..5).map(|n| json!({ "id": format!("{listing:?}-{n}"), "displayName": "A" }));
        webex
            .set_entries(&customer.organization, listing, entries)
            .unwrap();
        webex.set_paging(listing, Paging::with_size(3));
    }
    sync_all(&world, &customer).await;
    for (listing, _) in LISTS {
        let id = |n: usize| format!("{listing:?}-{n}");
        assert!(webex.remove_entry(&customer.organization, listing, &id(1)));
        let patched = webex.patch_entry(
            &customer.organization,
            listing,
            &id(4),
            &json!({ "displayName": "B" }),
        );
        assert!(patched.unwrap().is_some());
        let added = json!({ "id": id(5), "displayName": "C" });
        webex
            .put_entry(&customer.organization, listing, added)
            .unwrap();
    }
    (world, customer)
}

/// Imports everything, and returns the counts in words.
async fn sync_all(world: &World, customer: &Customer) -> String {
    let imported = world
        .host()
        .sync(&customer.pkid, SyncSelector::ALL, false)
        .await
        .expect("everything is imported");
    assert_eq!(imported.value.continues, None, "{}", imported.value.message);
    imported.value.message
}

/// Asserts that the imported entries are those of Webex, and that no page is left over.
async fn assert_imported(world: &World, customer: &Customer) {
    for (listing, model) in LISTS {
        let bodies = world.bodies(model).await;
        let mut stored: Vec<String> = bodies
            .iter()
            .map(|body| format!("{} {}", text(&body["id"]), text(&body["displayName"])))
            .collect();
        stored.sort();
        let mut listed: Vec<String> = world
            .emulator
            .entries(&customer.organization, listing)
            .iter()
            .map(|entry| format!("{} {}", text(&entry["id"]), text(&entry["displayName"])))
            .collect();
        listed.sort();
        assert_eq!(stored, listed);
    }
    assert_eq!(world.bodies("data/SparkImportPage").await, [Value::Null; 0]);
    assert_sites(world).await;
}

/// Asserts that each location that Webex has or had has one site with its name, and that there is one list.
async fn assert_sites(world: &World) {
    let lists = world.bodies("data/NetworkDeviceList").await;
    assert_eq!(lists.len(), 1);
    let bodies = world.bodies("data/Site").await;
    let mut sites: Vec<String> = bodies
        .iter()
        .map(|body| {
            format!(
                "{} {}",
                text(&body["default_location"]),
                text(&body["name"])
            )
        })
        .collect();
    sites.sort();
    let names = ["A", "A", "A", "A", "B", "C"];
    let expected: Vec<String> = (0..)
        .zip(names)
        .map(|(n, name)| format!("Locations-{n} {name}"))
        .collect();
    assert_eq!(sites, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_import_of_all_models() {
    let (world, customer) = world_with_changes_to_import().await;
    let undisturbed = sync_all(&world, &customer).await;
    let (world, customer) = world_with_changes_to_import().await;
    let steps = run_victim(&world, 0, &["sync", customer.pkid.as_str()]);
    println!("an undisturbed import has {} steps", steps.len());
    assert_imported(&world, &customer).await;
    let last_commit = steps.iter().rposition(|step| step == "after commit");
    for (index, step) in steps.iter().enumerate() {
        let (world, customer) = world_with_changes_to_import().await;
        run_victim(&world, index + 1, &["sync", customer.pkid.as_str()]);
        // An administrator starts the import again; a wakeup may do it first.
        let host = world.new_host().await;
        let again = host.sync(&customer.pkid, SyncSelector::ALL, false).await;
        let again = again.unwrap_or_else(|error| panic!("killed {step}: {error}"));
        assert_eq!(again.value.continues, None, "killed {step}");
        assert_imported(&world, &customer).await;
        // Entries counted before are neither lost nor counted again. After its end, another import begins.
        if Some(index) < last_commit {
            assert_eq!(again.value.message, undisturbed, "killed {step}");
        }
        println!("  killed {step}");
        world.emulator.assert_sound();
    }
}
