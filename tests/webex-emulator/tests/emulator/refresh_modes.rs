//! The effect of a refresh in each mode, over days of a controlled clock.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use webex_emulator::{DEFAULT_CLIENT_SECRET, Digest, Mode, Outcome};

use crate::support::{DAY, World, text};

const REFRESH_LIFE: u64 = 7_775_999;
const ACCESS_LIFE: u64 = 1_209_599;
const WEEK: u64 = 7 * 24 * 60 * 60;

#[tokio::test]
async fn token_response_has_every_documented_field() {
    let world = World::new().await;
    let response = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("cache-control"), "no-store");
    assert!(response.header("trackingid").starts_with("ROUTER_"));
    let body = response.json();
    assert_eq!(body["expires_in"], ACCESS_LIFE);
    assert_eq!(body["refresh_token_expires_in"], REFRESH_LIFE);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(text(&body, "scope"), world.grant.scopes().join(" "));
    assert_eq!(body.as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn bare_responses_lack_scope_and_token_type() {
    let world = World::with(|builder| builder.bare_responses(true)).await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert_eq!(body.as_object().unwrap().len(), 4);
    assert_eq!(world.grant.json().as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn access_token_names_its_organization() {
    let world = World::new().await;
    let parts: Vec<_> = world.grant.access_token().split('_').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[2], world.organization.uuid);
}

#[tokio::test]
async fn extended_refresh_token_never_expires() {
    let world = World::with(|builder| builder.mode(Mode::ExtendSame)).await;
    for _ in 0..30 {
        world.clock.advance(7 * DAY);
        let body = world.refresh(world.grant.refresh_token()).await.json();
        assert_eq!(text(&body, "refresh_token"), world.grant.refresh_token());
        assert_eq!(body["refresh_token_expires_in"], REFRESH_LIFE);
        assert!(world.access_token_works(text(&body, "access_token")).await);
    }
}

#[tokio::test]
async fn one_organization_can_have_its_own_mode() {
    let world = World::with(|builder| builder.mode(Mode::ExtendSame)).await;
    let lifetime = async || {
        let body = world.refresh(world.grant.refresh_token()).await.json();
        body["refresh_token_expires_in"].as_u64().unwrap()
    };
    let organization = world.organization.clone();
    world
        .webex
        .set_organization_mode(&organization, Mode::FrozenClock);
    world.clock.advance(7 * DAY);
    assert_eq!(lifetime().await, REFRESH_LIFE - WEEK);
    world.webex.set_organization_mode(&organization, None);
    assert_eq!(lifetime().await, REFRESH_LIFE);
}

#[tokio::test]
async fn frozen_clock_expires_the_refresh_token() {
    let world = World::with(|builder| builder.mode(Mode::FrozenClock)).await;
    for week in 1..=12 {
        world.clock.advance(7 * DAY);
        let body = world.refresh(world.grant.refresh_token()).await.json();
        assert_eq!(text(&body, "refresh_token"), world.grant.refresh_token());
        assert_eq!(body["refresh_token_expires_in"], REFRESH_LIFE - week * WEEK);
    }
    world.clock.advance(7 * DAY);
    let refused = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn omitted_refresh_token_keeps_its_expiry() {
    let world = World::with(|builder| builder.mode(Mode::OmitRefreshToken)).await;
    world.clock.advance(89 * DAY);
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert!(body.get("refresh_token").is_none());
    assert!(body.get("refresh_token_expires_in").is_none());
    world.clock.advance(DAY);
    let refused = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn rotation_replaces_the_refresh_token() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    let old = world.grant.refresh_token();
    let body = world.refresh(old).await.json();
    let new = text(&body, "refresh_token");
    assert_ne!(new, old);
    assert_eq!(body["refresh_token_expires_in"], REFRESH_LIFE);

    let refused = world.refresh(old).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(world.refresh(new).await.status, StatusCode::OK);
}

#[tokio::test]
async fn reuse_detection_revokes_the_grant() {
    let world = World::with(|b| b.mode(Mode::Rotate).reuse_detection(true)).await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert!(world.access_token_works(text(&body, "access_token")).await);

    world.refresh(world.grant.refresh_token()).await;
    let refused = world.refresh(text(&body, "refresh_token")).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert!(!world.access_token_works(text(&body, "access_token")).await);
    assert!(!world.access_token_works(world.grant.access_token()).await);
}

#[tokio::test]
async fn second_refresh_within_the_window_changes_nothing() {
    let world = World::with(|builder| builder.mode(Mode::SameAccessToken)).await;
    world.clock.advance(7 * DAY);
    let first = world.refresh(world.grant.refresh_token()).await.json();
    assert_ne!(text(&first, "access_token"), world.grant.access_token());
    assert_eq!(first["refresh_token_expires_in"], REFRESH_LIFE);

    world.clock.advance(Duration::from_secs(3600));
    let second = world.refresh(world.grant.refresh_token()).await.json();
    assert_eq!(second["access_token"], first["access_token"]);
    assert_eq!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(second["expires_in"], ACCESS_LIFE - 3600);
    assert_eq!(second["refresh_token_expires_in"], REFRESH_LIFE - 3600);

    world.clock.advance(DAY);
    let third = world.refresh(world.grant.refresh_token()).await.json();
    assert_ne!(third["access_token"], first["access_token"]);
}

#[tokio::test]
async fn expired_access_token_is_not_reissued() {
    let world = World::with(|builder| {
        builder
            .mode(Mode::SameAccessToken)
            .access_ttl(Duration::from_secs(20))
    })
    .await;
    world.clock.advance(Duration::from_secs(20));
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert_ne!(text(&body, "access_token"), world.grant.access_token());
    assert_eq!(body["expires_in"], 20);
}

#[tokio::test]
async fn old_access_token_keeps_its_expiry() {
    let world = World::new().await;
    world.clock.advance(7 * DAY);
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert!(world.access_token_works(world.grant.access_token()).await);

    world.clock.advance(7 * DAY);
    assert!(!world.access_token_works(world.grant.access_token()).await);
    assert!(world.access_token_works(text(&body, "access_token")).await);
    world.webex.assert_sound();
}

#[tokio::test]
async fn lifetimes_end_to_the_millisecond() {
    let world = World::with(|builder| {
        builder
            .access_ttl(Duration::from_secs(20))
            .refresh_ttl(Duration::from_secs(60))
    })
    .await;
    assert_eq!(world.grant.expires_in(), 20);
    assert_eq!(world.grant.refresh_token_expires_in(), 60);

    world.clock.advance(Duration::from_millis(19_999));
    assert!(world.access_token_works(world.grant.access_token()).await);
    world.clock.advance(Duration::from_millis(1));
    assert!(!world.access_token_works(world.grant.access_token()).await);

    world.clock.advance(Duration::from_secs(40));
    let refused = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn the_mode_can_change_while_it_runs() {
    let world = World::new().await;
    world.webex.set_mode(Mode::OmitRefreshToken);
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert!(body.get("refresh_token").is_none());
}

#[tokio::test]
async fn more_than_750_access_tokens_push_out_the_oldest() {
    let world = World::new().await;
    let request = || world.refresh(world.grant.refresh_token());
    for _ in 0..749 {
        request().await;
    }
    assert!(world.access_token_works(world.grant.access_token()).await);
    request().await;
    assert!(!world.access_token_works(world.grant.access_token()).await);
}

#[tokio::test]
async fn refresh_may_reduce_but_not_add_scopes() {
    let world = World::new().await;
    let ask = async |scope: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", world.grant.client_id()),
            ("client_secret", DEFAULT_CLIENT_SECRET),
            ("refresh_token", world.grant.refresh_token()),
            ("scope", scope),
        ];
        world.post_form(&fields).await.unwrap()
    };
    let fewer = ask("spark-admin:people_read").await.json();
    assert_eq!(fewer["scope"], "spark-admin:people_read");
    let token = text(&fewer, "access_token");
    let organizations = world.get("/v1/organizations", token).await;
    assert_eq!(organizations.status, StatusCode::FORBIDDEN);

    let more = ask("cjp:config_read").await;
    assert_eq!(more.status, StatusCode::BAD_REQUEST);
    assert_eq!(more.json()["error"], "invalid_scope");
    assert_eq!(
        more.json()["error_description"],
        "The requested scope is invalid"
    );
}

#[tokio::test]
async fn requests_are_recorded_without_secrets() {
    let world = World::new().await;
    world.refresh(world.grant.refresh_token()).await;
    world.get("/v1/people/me", world.grant.access_token()).await;

    let requests = world.webex.requests();
    let [refresh, me] = &requests[..] else {
        unreachable!("two requests were made, recorded were {requests:?}");
    };
    assert_eq!(
        (&*refresh.method, &*refresh.path),
        ("POST", "/v1/access_token")
    );
    assert_eq!(refresh.status, Outcome::Status(200));
    assert_eq!(refresh.grant_type.as_deref(), Some("refresh_token"));
    assert_eq!(refresh.time, world.clock.now());
    assert!(refresh.processed);
    let digest = Digest::from_secret(world.grant.refresh_token());
    assert_eq!(refresh.refresh_token, Some(digest));
    let digest = Digest::from_secret(world.grant.access_token());
    assert_eq!(me.access_token, Some(digest));

    let recorded = json!(requests).to_string() + &format!("{requests:?}{:?}", world.grant);
    for secret in [
        world.grant.refresh_token(),
        world.grant.access_token(),
        DEFAULT_CLIENT_SECRET,
    ] {
        assert!(!recorded.contains(secret));
    }
}

#[tokio::test]
async fn latest_tokens_are_known_and_accepted() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    let newest = world.webex.latest_tokens(&world.grant).unwrap();
    assert_eq!(
        newest.access_token,
        Digest::from_secret(text(&body, "access_token"))
    );
    assert_eq!(
        newest.refresh_token,
        Digest::from_secret(text(&body, "refresh_token"))
    );
    assert!(world.webex.accepts(text(&body, "access_token")));
    assert!(world.webex.accepts(text(&body, "refresh_token")));
    assert!(!world.webex.accepts(world.grant.refresh_token()));
    assert!(!world.webex.accepts("no token of anybody"));
}
