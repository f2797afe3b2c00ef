//! The revocation of tokens.

use std::time::Duration;

use http::StatusCode;
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_SCOPES};

use crate::support::{World, text};

#[tokio::test]
async fn token_expiry_is_in_milliseconds() {
    let world = World::new().await;
    let response = world
        .get("/v1/authorizations/tokenExpiry", world.grant.access_token())
        .await;
    let expected = world.clock.now() + 1_209_599_000;
    assert_eq!(response.json()["exp"], expected);
}

#[tokio::test]
async fn revoking_an_authorization_ends_all_its_tokens() {
    let world = World::new().await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    let newer = text(&body, "access_token");
    let path = format!("/v1/authorizations/{}", world.grant.authorization_id());
    let response = world.delete(&path, newer).await;
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert!(response.body.is_empty());

    assert!(!world.access_token_works(newer).await);
    assert!(!world.access_token_works(world.grant.access_token()).await);
    let refused = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn revoking_a_client_spares_others() {
    let world = World::with(|b| b.client("Cone", "1").client("Ctwo", "2")).await;
    let other_client = world
        .webex
        .grant_to("Ctwo", &world.organization, DEFAULT_SCOPES);
    let elsewhere = world.webex.create_organization("Elsewhere");
    let other_organization = world.webex.grant(&elsewhere, DEFAULT_SCOPES);
    let revoke = async |client_id: &str, organization_id: &str| {
        let path = format!("/v1/authorizations?clientId={client_id}&orgId={organization_id}");
        world.delete(&path, world.grant.access_token()).await.status
    };

    assert_eq!(revoke("Cone", &elsewhere.id).await, StatusCode::NOT_FOUND);
    assert_eq!(
        revoke("Cnone", &world.organization.id).await,
        StatusCode::NOT_FOUND
    );
    assert!(world.access_token_works(world.grant.access_token()).await);
    assert_eq!(
        revoke("Cone", &world.organization.id).await,
        StatusCode::NO_CONTENT
    );
    assert!(!world.access_token_works(world.grant.access_token()).await);
    assert!(world.access_token_works(other_client.access_token()).await);
    assert!(
        world
            .access_token_works(other_organization.access_token())
            .await
    );
}

#[tokio::test]
async fn revocation_needs_a_client_but_no_organization() {
    let world = World::new().await;
    let elsewhere = world.webex.create_organization("Elsewhere");
    let other = world.webex.grant(&elsewhere, DEFAULT_SCOPES);
    let revoke = async |path: &str| {
        let response = world.delete(path, world.grant.access_token()).await;
        response.status
    };
    let organization = format!("/v1/authorizations?orgId={}", world.organization.id);
    for path in ["/v1/authorizations", &organization] {
        assert_eq!(revoke(path).await, StatusCode::BAD_REQUEST);
    }
    let client = format!("/v1/authorizations?clientId={DEFAULT_CLIENT_ID}");
    assert_eq!(revoke(&client).await, StatusCode::NO_CONTENT);
    assert!(!world.access_token_works(world.grant.access_token()).await);
    assert!(world.access_token_works(other.access_token()).await);
}

#[tokio::test]
async fn authorization_of_another_org_is_not_found() {
    let world = World::new().await;
    let elsewhere = world.webex.create_organization("Elsewhere");
    let other = world.webex.grant(&elsewhere, DEFAULT_SCOPES);
    let path = format!("/v1/authorizations/{}", other.authorization_id());
    let response = world.delete(&path, world.grant.access_token()).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(world.access_token_works(other.access_token()).await);
}

#[tokio::test]
async fn organization_revocation_ends_its_grants() {
    let world = World::new().await;
    assert!(world.webex.revoke(&world.organization));
    assert!(!world.access_token_works(world.grant.access_token()).await);
    let refused = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(!world.webex.revoke("never issued"));
}

#[tokio::test]
async fn an_access_token_can_be_revoked_alone() {
    let world = World::new().await;
    assert!(world.webex.revoke(world.grant.access_token()));
    assert!(!world.access_token_works(world.grant.access_token()).await);
    let refreshed = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refreshed.status, StatusCode::OK);
}

#[tokio::test]
async fn revoked_access_token_works_during_the_lag() {
    let lag = Duration::from_secs(5);
    let world = World::with(|builder| builder.revocation_lag(lag)).await;
    world.webex.revoke(&world.grant);
    assert!(world.access_token_works(world.grant.access_token()).await);
    world.clock.advance(lag);
    assert!(!world.access_token_works(world.grant.access_token()).await);
}
