//! Customers and subscribers of a wholesale partner.

use std::time::Duration;

use http::header::{AUTHORIZATION, LINK, LOCATION};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use webex_emulator::{
    Builder, DEFAULT_SCOPES, IDENTITY_SCOPES, Listing, ProvisioningOutcome, WHOLESALE_SCOPES,
    WholesaleSettings,
};

use crate::lists::{follow, get, items};
use crate::program::Program;
use crate::support::{TestResponse, World, send, text};

const CUSTOMERS: &str = "/v1/wholesale/customers";

async fn world(configure: impl FnOnce(Builder) -> Builder) -> World {
    let mut world = World::with(|builder| configure(builder.seed(7))).await;
    let scopes = [&DEFAULT_SCOPES[..], &WHOLESALE_SCOPES, &IDENTITY_SCOPES].concat();
    world.grant = world.webex.grant(&world.organization, scopes);
    world
}

async fn call(world: &World, method: &str, path: &str, body: &Value) -> TestResponse {
    let request = Request::builder()
        .method(method)
        .uri(world.url(path))
        .header(
            AUTHORIZATION,
            format!("Bearer {}", world.grant.access_token()),
        )
        .body(if body.is_null() {
            String::new()
        } else {
            body.to_string()
        });
    send(request.unwrap()).await.unwrap()
}

fn new_customer() -> Value {
    let address = json!({"addressLine1": "1 Main Street", "city": "Austin", "country": "US"});
    json!({
        "provisioningId": "p1",
        "packages": ["webex_calling", "webex_meetings"],
        "externalId": "new-1",
        "address": address,
        "customerInfo": {"name": "Newcomer", "primaryEmail": "boss@newcomer.example"},
        "provisioningParameters": {"calling": {"location": {
            "name": "Head Office", "address": address, "timezone": "America/Chicago", "language": "en_us",
        }}},
    })
}

/// Creates a customer, and returns its path.
async fn create(world: &World) -> String {
    let response = call(world, "POST", CUSTOMERS, &new_customer()).await;
    assert_eq!(response.status, StatusCode::ACCEPTED);
    let url = text(&response.json(), "url").to_owned();
    assert_eq!(response.header(LOCATION.as_str()), url);
    let path = url.strip_prefix(&world.url("")).unwrap();
    assert!(path.starts_with("/v1/wholesale/customers/"), "{path}");
    path.to_owned()
}

#[tokio::test]
async fn customers_page_by_offset_with_links() {
    let world = world(|builder| builder.generate(Listing::Customers, 25)).await;
    let (sizes, customers) = follow(&world, &format!("{CUSTOMERS}?max=10"), "items").await;
    assert_eq!(sizes, [10, 10, 5]);
    let second = get(&world, &format!("{CUSTOMERS}?max=10&offset=10")).await;
    let links: Vec<_> = second.headers[LINK].to_str().unwrap().split(',').collect();
    assert_eq!(links.len(), 2);
    for (link, rel, offset) in [
        (links[0], "next", "offset=20"),
        (links[1], "prev", "offset=0"),
    ] {
        let (url, parameter) = link.split_once(';').unwrap();
        assert!(url.contains(offset) && parameter.contains(rel), "{link}");
    }
    let by_id = items(&get(&world, &format!("{CUSTOMERS}?externalId=customer-3")).await);
    assert_eq!(by_id, customers[2..3]);
    let failed = items(
        &get(
            &world,
            &format!("{CUSTOMERS}?status=error,pending_rpl_review"),
        )
        .await,
    );
    assert!(!failed.is_empty() && failed.iter().all(|one| one.get("orgId").is_none()));
}

#[tokio::test]
async fn a_new_customer_is_provisioned_later() {
    let world = world(|builder| builder).await;
    let path = create(&world).await;
    let early = get(&world, &path).await.json();
    assert_eq!(early["status"], "provisioning");
    assert!(early.get("orgId").is_none());
    world.clock.advance(Duration::from_secs(10));
    let ready = get(&world, &format!("{path}?includePackageLicenseInfo=true"))
        .await
        .json();
    let licenses = &ready["resourceDetails"]["packages"][0]["licenseIds"];
    assert_eq!(licenses.as_array().unwrap().len(), 1);
    assert_eq!(ready["status"], "provisioned");
    assert_eq!(
        ready["resourceDetails"]["packages"][0]["status"],
        "provisioned"
    );
    let people = get(
        &world,
        &format!("/v1/people?orgId={}", text(&ready, "orgId")),
    )
    .await;
    assert_eq!(people.status, StatusCode::OK, "a partner has access");
}

#[tokio::test]
async fn provisioning_ends_as_chosen() {
    for (outcome, status, has_organization) in [
        (
            ProvisioningOutcome::ProvisionedWithErrors,
            "provisioned_with_errors",
            true,
        ),
        (ProvisioningOutcome::Error, "error", false),
        (
            ProvisioningOutcome::PendingRplReview,
            "pending_rpl_review",
            false,
        ),
    ] {
        let world = world(|builder| builder).await;
        let mut settings = WholesaleSettings::default();
        settings.outcome = outcome;
        world.webex.set_wholesale(settings);
        let path = create(&world).await;
        world.clock.advance(Duration::from_secs(10));
        let customer = get(&world, &path).await.json();
        assert_eq!(customer["status"], status);
        assert_eq!(
            customer.get("orgId").is_some(),
            has_organization,
            "{status}"
        );
        let errors = customer.get("errors").is_some();
        assert_eq!(errors, outcome != ProvisioningOutcome::PendingRplReview);
    }
}

#[tokio::test]
async fn an_update_replaces_the_list_of_packages() {
    let world = world(|builder| builder).await;
    let path = create(&world).await;
    world.clock.advance(Duration::from_secs(10));
    let before = get(&world, &path).await.json();
    let body =
        json!({"packages": ["webex_calling", "cisco_calling_plan"], "externalId": "changed"});
    let response = call(&world, "PUT", &path, &body).await;
    assert_eq!(response.status, StatusCode::ACCEPTED);
    assert!(text(&response.json(), "url").ends_with(&path));
    let during = get(&world, &path).await.json();
    assert_eq!(during["status"], "updating");
    let details = during["resourceDetails"]["packages"].as_array().unwrap();
    let meetings = details
        .iter()
        .find(|package| package["name"] == "webex_meetings");
    assert_eq!(meetings.unwrap()["status"], "deleting");
    world.clock.advance(Duration::from_secs(10));
    let after = get(&world, &path).await.json();
    assert_eq!(after["packages"], body["packages"]);
    assert_eq!(after["externalId"], "changed");
    assert_eq!(after["orgId"], before["orgId"]);
    assert_eq!(
        after["resourceDetails"]["packages"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_deleted_customer_disappears_later() {
    let world = world(|builder| builder).await;
    let id = text(&items(&get(&world, CUSTOMERS).await)[0], "id").to_owned();
    let path = format!("{CUSTOMERS}/{id}");
    let response = call(&world, "DELETE", &path, &Value::Null).await;
    assert_eq!(response.status, StatusCode::ACCEPTED);
    assert!(response.body.is_empty() && response.headers.get(LOCATION).is_none());
    assert_eq!(get(&world, &path).await.json()["status"], "deleting");
    world.clock.advance(Duration::from_secs(10));
    let gone = world.get(&path, world.grant.access_token()).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(items(&get(&world, CUSTOMERS).await).len(), 1);
}

#[tokio::test]
async fn wrong_fields_are_reported_together() {
    let world = world(|builder| builder).await;
    let mut body = new_customer();
    body["packages"] = json!(["webex_meetings", "cisco_calling_plan"]);
    body["address"]["country"] = json!("USA");
    for path in [CUSTOMERS.to_owned(), format!("{CUSTOMERS}/validate")] {
        let response = call(&world, "POST", &path, &body).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        let errors = response.json()["errors"].to_string();
        assert!(errors.contains("address.country: "), "{errors}");
        assert!(
            errors.contains("cisco_calling_plan needs one of common_area_calling"),
            "{errors}"
        );
        let valid = call(&world, "POST", &path, &new_customer()).await;
        assert!(valid.status.is_success());
    }
    let validated = call(
        &world,
        "POST",
        &format!("{CUSTOMERS}/validate"),
        &new_customer(),
    )
    .await;
    assert_eq!(validated.json()["info"][0]["infoCode"], 100);
    let malformed = call(&world, "POST", CUSTOMERS, &json!("text")).await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn changes_need_the_write_scope() {
    let mut world = World::new().await;
    let id = text(
        &world.webex.entries(&world.organization, Listing::Customers)[0],
        "id",
    )
    .to_owned();
    let path = format!("{CUSTOMERS}/{id}");
    for (scope, status) in [
        (
            "spark-admin:wholesale_customers_read",
            StatusCode::FORBIDDEN,
        ),
        (
            "spark-admin:wholesale_customers_write",
            StatusCode::ACCEPTED,
        ),
    ] {
        world.grant = world.webex.grant(&world.organization, [scope]);
        for (method, path, body) in [
            ("POST", CUSTOMERS, new_customer()),
            ("PUT", &path, json!({"packages": ["webex_meetings"]})),
            ("DELETE", &path, Value::Null),
        ] {
            let response = call(&world, method, path, &body).await;
            assert_eq!(response.status, status, "{method} with {scope}");
        }
    }
}

#[tokio::test]
async fn a_new_organization_may_be_locked_until_identified() {
    let mut settings = WholesaleSettings::default();
    settings.locks_new_organizations = true;
    let world = world(|builder| builder.wholesale(settings)).await;
    let path = create(&world).await;
    world.clock.advance(Duration::from_secs(10));
    let customer = get(&world, &path).await.json();
    let people = format!("/v1/people?orgId={}", text(&customer, "orgId"));
    let token = world.grant.access_token();
    assert_eq!(
        world.get(&people, token).await.status,
        StatusCode::FORBIDDEN
    );
    let listed = &world.webex.entries(&world.organization, Listing::Customers)[2];
    assert_eq!(listed["orgId"], customer["orgId"]);
    let uuid = decode(text(&customer, "orgId"));
    let identity = get(&world, &format!("/v1/identity/organizations/{uuid}"))
        .await
        .json();
    assert_eq!(identity["displayName"], "Newcomer");
    assert_eq!(items(&get(&world, &people).await).len(), 5);
}

/// Returns the UUID in the id of an organization.
fn decode(id: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(id)
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    text.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn organizations_of_generated_customers_have_entries() {
    let world = world(|builder| builder).await;
    let customer = items(&get(&world, CUSTOMERS).await).remove(0);
    let id = text(&customer, "orgId");
    let locations = items(&get(&world, &format!("/v1/locations?orgId={id}")).await);
    assert_eq!(locations.len(), 2);
    let one = format!("/v1/locations/{}", text(&locations[0], "id"));
    get(&world, &format!("{one}?orgId={id}")).await;
    let by_organization = items(&get(&world, &format!("{CUSTOMERS}?orgId={id}")).await);
    assert_eq!(by_organization, [customer]);
    let other = world.webex.create_organization("Another");
    let foreign = format!("/v1/locations?orgId={}", other.id);
    let foreign = world.get(&foreign, world.grant.access_token()).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn subscribers_are_filtered_and_sorted() {
    let world = world(|builder| builder.generate(Listing::Subscribers, 120)).await;
    let path = "/v1/wholesale/subscribers";
    let (sizes, all) = follow(&world, path, "items").await;
    assert_eq!(sizes, [50, 50, 20]);
    assert_eq!(
        items(&get(&world, &format!("{path}?max=500")).await).len(),
        100
    );
    let one = get(&world, &format!("{path}/{}", text(&all[3], "id")))
        .await
        .json();
    assert_eq!(one, all[3]);
    let sorted = format!("{path}?sortBy=created&sortOrder=DESC&max=100");
    let (_, sorted) = follow(&world, &sorted, "items").await;
    let times: Vec<_> = sorted.iter().map(|one| text(one, "created")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    let after = format!("{path}?after={}", times[9]);
    assert_eq!(items(&get(&world, &after).await).len(), 10);
    let customer = text(&all[0], "customerId");
    let (_, own) = follow(&world, &format!("{path}?customerId={customer}"), "items").await;
    assert!(own.len() < 120 && own.iter().all(|one| one["customerId"] == customer));
    let changed = text(&all[0], "lastStatusChange");
    assert!(changed.ends_with("Z") && changed.len() == "2015-10-18T14:26:16.000000Z".len());
}

#[tokio::test]
async fn control_plane_sets_the_outcome() {
    let program = Program::start(&["--provisioning-time", "1h", "--lock-new-organizations"]).await;
    let set = program.post("wholesale", json!({"outcome": "error"})).await;
    assert_eq!(
        set,
        json!({"outcome": "error", "duration": "1h", "locks_new_organizations": true})
    );
    let wrong = program
        .control("POST", "wholesale", json!({"duration": "soon"}))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
