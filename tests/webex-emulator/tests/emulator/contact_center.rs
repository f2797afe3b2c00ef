//! Sites of Contact Center: regions, pages, errors and the limit of requests.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use webex_emulator::{Builder, CONTACT_CENTER_SCOPES, DEFAULT_SCOPES, Fault, Listing, Region};

use crate::support::{TestResponse, World, text};

async fn world(configure: impl FnOnce(Builder) -> Builder) -> World {
    let mut world = World::with(configure).await;
    world.grant = world
        .webex
        .grant(&world.organization, CONTACT_CENTER_SCOPES);
    world
}

async fn get(world: &World, base: &str, query: &str) -> TestResponse {
    let path = format!(
        "{base}/organization/{}/v2/site{query}",
        world.organization.uuid
    );
    world.get(&path, world.grant.access_token()).await
}

#[track_caller]
fn assert_error(response: &TestResponse, status: u16) {
    assert_eq!(response.status.as_u16(), status);
    let body = response.json();
    assert!(text(&body, "trackingId").starts_with("ccconfig_"), "{body}");
    assert_eq!(body["error"]["key"], status.to_string());
    assert!(body["error"]["message"][0]["description"].is_string());
    assert!(body.get("errors").is_none());
}

#[tokio::test]
async fn every_region_has_a_base_address() {
    let world = world(|builder| builder).await;
    for region in ["us1", "anz1", "eu1", "eu2", "jp1", "ca1", "sg1"] {
        let response = get(&world, &format!("/contact-center/{region}"), "").await;
        assert_eq!(response.status, StatusCode::OK, "{region}");
        let site = &response.json()["data"][0];
        assert_eq!(site["organizationId"], world.organization.uuid);
        assert!(site["createdTime"].is_u64());
    }
    assert_eq!(get(&world, "", "").await.status, StatusCode::OK);
    assert_error(&get(&world, "/contact-center/mars1", "").await, 404);
}

#[tokio::test]
async fn sites_may_be_in_one_region_only() {
    let world = world(|builder| builder.contact_center_region(Region::Eu2)).await;
    assert_eq!(
        get(&world, "/contact-center/eu2", "").await.status,
        StatusCode::OK
    );
    assert_error(&get(&world, "/contact-center/us1", "").await, 404);
}

#[tokio::test]
async fn pages_of_sites_are_counted_from_zero() {
    let world = world(|builder| builder.generate(Listing::Sites, 5)).await;
    let page = get(&world, "/contact-center/us1", "?page=1&pageSize=2")
        .await
        .json();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    let meta = &page["meta"];
    assert_eq!(meta["orgid"], world.organization.uuid);
    assert_eq!(meta["page"], 1);
    assert_eq!(meta["pageSize"], 2);
    assert_eq!(meta["totalPages"], 3);
    assert_eq!(meta["totalRecords"], 5);
    assert!(text(&meta["links"], "next").ends_with("/v2/site?page=2&pageSize=2"));
    let last = get(&world, "/contact-center/us1", "?page=2&pageSize=2")
        .await
        .json();
    assert_eq!(last["data"].as_array().unwrap().len(), 1);
    assert!(last["meta"]["links"].get("next").is_none());
    let capped = get(&world, "/contact-center/us1", "?pageSize=5000")
        .await
        .json();
    assert_eq!(capped["meta"]["pageSize"], 100);
    let beyond = get(&world, "/contact-center/us1", "?page=18446744073709551615").await;
    assert_eq!(beyond.json()["data"], json!([]));
}

#[tokio::test]
async fn errors_have_a_format_of_their_own() {
    let world = world(|builder| builder).await;
    let path = format!(
        "/contact-center/us1/organization/{}/v2/site",
        world.organization.uuid
    );
    assert_error(&world.get(&path, "nobody").await, 401);
    let without = world.webex.grant(&world.organization, DEFAULT_SCOPES);
    assert_error(&world.get(&path, without.access_token()).await, 403);
    let other = world.webex.create_organization("Another");
    let foreign = path.replace(&world.organization.uuid, &other.uuid);
    assert_error(&world.get(&foreign, world.grant.access_token()).await, 403);
    world
        .webex
        .inject(Fault::status("/contact-center/us1", 500));
    assert_error(&get(&world, "/contact-center/us1", "").await, 500);
    let simple = path
        .replace('-', "")
        .replace("contactcenter", "contact-center");
    let without_hyphens = world.get(&simple, world.grant.access_token()).await;
    assert_eq!(without_hyphens.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_of_a_client_may_be_limited() {
    let world = world(|builder| builder.contact_center_limit(3)).await;
    for _ in 0..3 {
        assert_eq!(
            get(&world, "/contact-center/us1", "").await.status,
            StatusCode::OK
        );
    }
    world.clock.advance(Duration::from_secs(18));
    let limited = get(&world, "/contact-center/us1", "").await;
    assert_error(&limited, 429);
    assert_eq!(limited.header("retry-after"), "42");
    world.clock.advance(Duration::from_secs(42));
    assert_eq!(
        get(&world, "/contact-center/us1", "").await.status,
        StatusCode::OK
    );
}
