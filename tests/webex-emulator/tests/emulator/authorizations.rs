//! The listing of authorizations, and the revocation of what it lists.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_SCOPES, Emulator, Mode};

use crate::support::{TestResponse, World, text};

async fn query(world: &World, query: &str) -> TestResponse {
    let path = format!("/v1/authorizations{query}");
    world.get(&path, world.grant.access_token()).await
}

/// Returns the administrator's authorizations.
async fn list(world: &World) -> Vec<Value> {
    let me = world.get("/v1/people/me", world.grant.access_token());
    let id = text(&me.await.json(), "id").to_owned();
    let found = query(world, &format!("?personId={id}")).await;
    assert_eq!(found.status, StatusCode::OK);
    found.json()["items"].as_array().unwrap().clone()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| text(item, "type")).collect()
}

#[tokio::test]
async fn listing_has_the_documented_fields() {
    let world = World::new().await;
    let items = list(&world).await;
    assert_eq!(kinds(&items), ["refresh", "access"]);
    assert_eq!(items[0]["id"], world.grant.authorization_id());
    for item in &items {
        assert_eq!(item["clientId"], DEFAULT_CLIENT_ID);
        assert_eq!(item["created"], "2023-11-14T22:13:20+00:00");
        assert!(!text(item, "applicationName").is_empty());
        // base64url of `ciscospark://us/AUTHORIZATION/` and `ciscospark://us/APPLICATION/C`.
        assert!(text(item, "id").starts_with("Y2lzY29zcGFyazovL3VzL0FVVEhPUklaQVRJT04v"));
        let application = text(item, "applicationId");
        assert!(application.starts_with("Y2lzY29zcGFyazovL3VzL0FQUExJQ0FUSU9OL0"));
    }
    let email = format!("?personEmail=admin@{}.example", world.organization.uuid);
    let by_email = query(&world, &email).await.json();
    assert_eq!(by_email["items"].as_array(), Some(&items));
    for item in &items {
        assert_eq!(item["personId"], items[0]["personId"]);
    }
}

#[tokio::test]
async fn listing_needs_one_known_person() {
    let world = World::new().await;
    let elsewhere = world.webex.create_organization("Elsewhere");
    let other = world.webex.grant(&elsewhere, DEFAULT_SCOPES);
    let stranger = world.get("/v1/people/me", other.access_token()).await;
    let stranger = text(&stranger.json(), "id").to_owned();
    for (parameters, status) in [
        (String::new(), 400),
        (
            "?personId=".to_owned() + &stranger + "&personEmail=a@b",
            400,
        ),
        (format!("?personId={stranger}"), 404),
        ("?personId=nonsense".to_owned(), 404),
        ("?personEmail=nobody@nowhere.example".to_owned(), 404),
    ] {
        let response = query(&world, &parameters).await;
        assert_eq!(response.status.as_u16(), status, "{parameters}");
    }
}

#[tokio::test]
async fn listing_has_valid_tokens_only() {
    let ttl = Duration::from_secs(60);
    let world = World::with(|builder| builder.access_ttl(ttl).mode(Mode::Rotate)).await;
    world.clock.advance(ttl / 2);
    let rotated = world.refresh(world.grant.refresh_token()).await.json();
    assert_eq!(kinds(&list(&world).await), ["refresh", "access", "access"]);
    world.clock.advance(ttl / 2);
    let path = format!(
        "/v1/authorizations?personEmail=admin@{}.example",
        world.organization.uuid
    );
    let newer = text(&rotated, "access_token");
    let items = world.get(&path, newer).await.json()["items"].clone();
    assert_eq!(kinds(items.as_array().unwrap()), ["refresh", "access"]);
    assert_eq!(items[1]["created"], "2023-11-14T22:13:50+00:00");
}

#[tokio::test]
async fn one_access_token_can_be_revoked_by_its_id() {
    let world = World::new().await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    let newer = text(&body, "access_token");
    let revoke = async |id: &str| {
        let path = format!("/v1/authorizations/{id}");
        world.delete(&path, newer).await.status
    };
    // The listing does not say which of two access tokens of one moment is which.
    let items = list(&world).await;
    let works = async || {
        [
            world.access_token_works(world.grant.access_token()).await,
            world.access_token_works(newer).await,
        ]
    };
    assert_eq!(works().await, [true, true]);
    assert_eq!(revoke(text(&items[1], "id")).await, StatusCode::NO_CONTENT);
    let left = works().await;
    assert_eq!(left.iter().filter(|works| **works).count(), 1);
    let refreshed = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refreshed.status, StatusCode::OK);
}

#[tokio::test]
async fn an_access_token_of_another_org_is_not_found() {
    let world = World::new().await;
    let elsewhere = world.webex.create_organization("Elsewhere");
    let other = world.webex.grant(&elsewhere, DEFAULT_SCOPES);
    let path = format!(
        "/v1/authorizations?personEmail=admin@{}.example",
        elsewhere.uuid
    );
    let items = world.get(&path, other.access_token()).await.json();
    let access = text(&items["items"][1], "id").to_owned();
    let path = format!("/v1/authorizations/{access}");
    let response = world.delete(&path, world.grant.access_token()).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(world.access_token_works(other.access_token()).await);
}

#[tokio::test]
async fn ids_of_a_seed_are_the_same_each_time() {
    let ids = async || {
        let world = World::with(|_| {
            Emulator::builder()
                .clock(crate::support::TestClock::new().clock())
                .seed(7)
        })
        .await;
        let items = list(&world).await;
        items
            .iter()
            .map(|item| item["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ids().await);
}
