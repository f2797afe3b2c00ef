//! Connections through the real component: the link, the emulator's consent, and every callback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

use std::time::Duration;

use relation_e2e::World;
use relation_e2e::world::{DAY, START_TIME, object};
use relation_host::CallErrorKind;
use relation_host::clock::Clock;
use relation_host::host::AddRequest;
use relation_host::reports::{ConnectReport, Grant, RefreshOutcome, State};
use relation_host::types::{Failure, Pkid};
use secrecy::SecretString;
use serde_json::{Value, json};
use webex_emulator::{Consent, Fault, Organization};

const REDIRECT: &str = "http://127.0.0.1:8085/callback";
const TOKEN: &str = "/v1/access_token";

/// Adds a record without tokens.
async fn add(world: &World, name: &str, more: Value) -> Pkid {
    let mut fields = object(more);
    fields.insert("name".into(), name.into());
    let request = AddRequest {
        hierarchy: format!("sys.Provider.Reseller.{name}").parse().unwrap(),
        fields,
        token_response: None,
        idempotency_key: None,
    };
    let added = world.host().add(request).await.expect("it is added");
    added.value.connection.pkid
}

/// Returns the address where the browser ends when a person consents like this.
async fn callback(world: &World, pkid: &Pkid, grant: Grant, consent: &Consent) -> String {
    let begun = world.host().connect(pkid, grant, REDIRECT).await;
    let url = begun.expect("the consent begins").value.url;
    world.emulator.add_redirect_uri(REDIRECT);
    world
        .emulator
        .authorize(&url, consent)
        .expect("Webex redirects")
}

async fn complete(world: &World, pkid: &Pkid, callback: &str) -> Result<ConnectReport, Failure> {
    let callback = SecretString::from(callback.to_owned());
    match world.host().complete_connect(pkid, &callback).await {
        Ok(called) => Ok(called.value),
        Err(error) => match error.kind {
            CallErrorKind::Refused(failure) => Err(failure),
            other => panic!("{other}"),
        },
    }
}

async fn connect(world: &World, pkid: &Pkid, grant: Grant, consent: &Consent) -> ConnectReport {
    let callback = callback(world, pkid, grant, consent).await;
    complete(world, pkid, &callback)
        .await
        .expect("it is connected")
}

async fn connection(world: &World, pkid: &Pkid) -> Value {
    world.record(pkid).await["connection"].take()
}

async fn connected(world: &World, name: &str) -> (Pkid, Organization) {
    let organization = world.emulator.create_organization(name);
    let pkid = add(world, name, json!({})).await;
    connect(
        world,
        &pkid,
        Grant::Organization,
        &Consent::accept(&organization),
    )
    .await;
    (pkid, organization)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_record_is_connected_imports_and_refreshes() {
    let world = World::start().await;
    let organization = world.emulator.create_organization("Contoso");
    let pkid = add(&world, "Contoso", json!({})).await;
    let consent = Consent::accept(&organization);
    let report = connect(&world, &pkid, Grant::Organization, &consent).await;
    assert_eq!(report.organization, organization.uuid);
    assert_eq!(report.connection.state, State::Connected);
    assert_eq!(report.connection.notes, "");
    let expires = |expiry: Option<relation_host::reports::Expiry>| expiry.unwrap().at;
    let expiry = |lifetime: Duration| START_TIME.after(lifetime).0 / 60_000;
    assert_eq!(
        expires(report.connection.access_token_expires).0 / 60_000,
        expiry(14 * DAY)
    );
    assert_eq!(
        expires(report.connection.refresh_token_expires).0 / 60_000,
        expiry(90 * DAY)
    );
    let record = world.record(&pkid).await;
    assert_eq!(
        record["account_number_external"],
        organization.uuid.as_str()
    );

    world.run_for(Duration::from_secs(60)).await;
    assert!(
        !world.bodies("device/spark/Role").await.is_empty(),
        "the import has run"
    );
    world.run_for(7 * DAY).await;
    assert_eq!(connection(&world, &pkid).await["state"], "connected");
    assert_eq!(world.token_requests(), 2);
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnect_from_any_state_keeps_the_id() {
    for state in ["connected", "retrying", "reauthorize", "expired"] {
        let world = World::start().await;
        let (pkid, organization) = connected(&world, "Contoso").await;
        let parts = world.record(&pkid).await["parts"].clone();
        world.clock.advance(Duration::from_secs(5));
        match state {
            "retrying" => {
                world.emulator.inject(Fault::status(TOKEN, 503));
                world.host().refresh(&pkid).await.unwrap();
                world.emulator.clear_faults();
            }
            "reauthorize" => {
                world.emulator.revoke(&organization);
                world.host().refresh(&pkid).await.unwrap();
            }
            "expired" => {
                world.clock.advance(91 * DAY);
                world.host().refresh(&pkid).await.unwrap();
            }
            _ => {}
        }
        assert_eq!(connection(&world, &pkid).await["state"], state);
        let consent = Consent::accept(&organization);
        let report = connect(&world, &pkid, Grant::Organization, &consent).await;
        assert_eq!(report.connection.state, State::Connected, "{state}");
        assert!(world.bodies("data/Alert").await.is_empty(), "{state}");
        assert_eq!(world.record(&pkid).await["parts"], parts, "{state}");
        world.clock.advance(Duration::from_secs(1));
        let refreshed = world.host().refresh(&pkid).await.unwrap().value;
        assert_eq!(refreshed.outcome, RefreshOutcome::Connected, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_callback_keeps_the_old_connection() {
    let world = World::start().await;
    let (pkid, organization) = connected(&world, "Contoso").await;
    let before = connection(&world, &pkid).await;
    let grant = Grant::Organization;
    let accept = Consent::accept(&organization);

    let declined = callback(&world, &pkid, grant, &Consent::decline()).await;
    let failed = Consent::fail("server_error", "something broke");
    let failed = callback(&world, &pkid, grant, &failed).await;
    // The newer consent replaces the older.
    assert_reauthorize(complete(&world, &pkid, &declined).await, "was replaced");
    match complete(&world, &pkid, &failed).await.unwrap_err() {
        Failure::Unavailable(text) => assert!(text.contains("something broke"), "{text}"),
        other => panic!("{other:?}"),
    }
    let declined = callback(&world, &pkid, grant, &Consent::decline()).await;
    assert_reauthorize(complete(&world, &pkid, &declined).await, "was declined");
    assert_reauthorize(complete(&world, &pkid, &declined).await, "was used already");

    let link = callback(&world, &pkid, grant, &accept).await;
    let foreign = link.replace("8085", "8086");
    assert!(matches!(
        complete(&world, &pkid, &foreign).await,
        Err(Failure::Invalid(_))
    ));
    let truncated = link.replace("code=", "kode=");
    assert!(matches!(
        complete(&world, &pkid, &truncated).await,
        Err(Failure::Invalid(_))
    ));
    let unknown = format!("{REDIRECT}?code=x&state={pkid}.x");
    assert_reauthorize(complete(&world, &pkid, &unknown).await, "is unknown");
    world.clock.advance(Duration::from_secs(601));
    assert_reauthorize(complete(&world, &pkid, &link).await, "has expired");

    let link = callback(&world, &pkid, grant, &accept).await;
    world.emulator.inject(Fault::status(TOKEN, 503));
    let failure = complete(&world, &pkid, &link).await.unwrap_err();
    assert!(matches!(failure, Failure::Unavailable(_)), "{failure:?}");
    world.emulator.clear_faults();

    // A code older than its five minutes, within the ten of the state.
    let link = callback(&world, &pkid, grant, &accept).await;
    world.clock.advance(Duration::from_secs(301));
    assert_reauthorize(complete(&world, &pkid, &link).await, "refused the code");

    let other = world.emulator.create_organization("Fabrikam");
    let link = callback(&world, &pkid, grant, &Consent::accept(&other)).await;
    let wrong = complete(&world, &pkid, &link).await;
    let both = format!(
        "{}, but Contoso is connected to {}",
        other.uuid, organization.uuid
    );
    assert_reauthorize(wrong, &both);

    assert_eq!(connection(&world, &pkid).await, before);
    let refreshed = world.host().refresh(&pkid).await.unwrap().value;
    assert_eq!(refreshed.outcome, RefreshOutcome::Connected);
}

fn assert_reauthorize(result: Result<ConnectReport, Failure>, words: &str) {
    match result {
        Err(Failure::Reauthorize(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_was_not_granted_is_named_until_it_is() {
    let world = World::start().await;
    let organization = world.emulator.create_organization("Contoso");
    let pkid = add(&world, "Contoso", json!({})).await;
    let scope = "spark-admin:workspace_locations_read";
    let consent = Consent::accept(&organization).without([scope]);
    let report = connect(&world, &pkid, Grant::Organization, &consent).await;
    assert_eq!(report.connection.state, State::MissingScope);
    assert!(
        report.connection.notes.contains(scope),
        "{}",
        report.connection.notes
    );
    world.clock.advance(Duration::from_secs(1));
    let refreshed = world.host().refresh(&pkid).await.unwrap().value;
    assert_eq!(
        refreshed.outcome,
        RefreshOutcome::Connected,
        "nothing breaks meanwhile"
    );
    assert_eq!(refreshed.connection.state, State::MissingScope);
    let consent = Consent::accept(&organization);
    let report = connect(&world, &pkid, Grant::Organization, &consent).await;
    assert_eq!(report.connection.state, State::Connected);
    assert_eq!(report.connection.notes, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn wholesale_grants_have_independent_schedules() {
    let world = World::start().await;
    let organization = world.emulator.create_organization("Contoso");
    let pkid = add(&world, "Contoso", json!({"wholesale_status": true})).await;
    let consent = Consent::accept(&organization);
    let grants = [
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ];
    for grant in grants {
        connect(&world, &pkid, grant, &consent).await;
        world.clock.advance(DAY);
    }
    let last = Grant::WholesaleUsers;
    let report = world.host().refresh_grant(&pkid, last).await.unwrap().value;
    assert_eq!(
        (report.grant, report.outcome),
        (last, RefreshOutcome::Connected)
    );
    let states: Vec<State> = report
        .connection
        .grants
        .iter()
        .map(|each| each.state)
        .collect();
    assert_eq!(states, [State::Connected; 3]);
    let before = world.clock.now();
    world.run_for(30 * DAY).await;
    let record = world.record(&pkid).await;
    for refreshed in [
        &record["connection"]["refreshed"],
        &record["further_grants"]["wholesale-customers"]["refreshed"],
        &record["further_grants"]["wholesale-users"]["refreshed"],
    ] {
        assert!(refreshed.as_u64().unwrap() > before.0, "{record}");
    }
    world.host().delete(&pkid, false).await.unwrap();
    world.emulator.assert_sound();
}
