//! What a refresh does in each mode, over days of a clock that is moved.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use webex_emulator::{DEFAULT_CLIENT_SECRET, Digest, Mode, Outcome};

use crate::support::{DAY, World, text};

const REFRESH_LIFE: u64 = 7_775_999;
const ACCESS_LIFE: u64 = 1_209_599;
const WEEK: u64 = 7 * 24 * 60 * 60;

#[tokio::test]
async fn an_answer_has_every_documented_field() {
    let world = World::new().await;
    let answer = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("trackingid").starts_with("ROUTER_"));
    let body = answer.json();
    assert_eq!(body["expires_in"], ACCESS_LIFE);
    assert_eq!(body["refresh_token_expires_in"], REFRESH_LIFE);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(text(&body, "scope"), world.grant.scopes().join(" "));
    assert_eq!(body.as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn older_answers_lack_scope_and_token_type() {
    let world = World::with(|builder| builder.bare_answers(true)).await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert_eq!(body.as_object().unwrap().len(), 4);
    assert_eq!(world.grant.json().as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn an_access_token_names_its_organization_in_its_third_part() {
    let world = World::new().await;
    let parts: Vec<_> = world.grant.access_token().split('_').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[2], world.organization.uuid);
}

#[tokio::test]
async fn the_same_refresh_token_can_live_forever_if_it_is_used() {
    let world = World::with(|builder| builder.mode(Mode::ExtendSame)).await;
    for _ in 0..30 {
        world.clock.advance(7 * DAY);
        let body = world.refresh(world.grant.refresh_token()).await.json();
        assert_eq!(text(&body, "refresh_token"), world.grant.refresh_token());
        assert_eq!(body["refresh_token_expires_in"], REFRESH_LIFE);
        assert!(world.lives(text(&body, "access_token")).await);
    }
}

#[tokio::test]
async fn a_frozen_clock_runs_down_to_the_refusal() {
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
async fn an_omitted_refresh_token_stays_in_force_until_its_old_expiry() {
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
async fn rotation_gives_a_new_refresh_token_and_kills_the_old() {
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
async fn reuse_detection_revokes_everything_that_came_of_the_grant() {
    let world = World::with(|b| b.mode(Mode::Rotate).reuse_detection(true)).await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert!(world.lives(text(&body, "access_token")).await);

    world.refresh(world.grant.refresh_token()).await;
    let refused = world.refresh(text(&body, "refresh_token")).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert!(!world.lives(text(&body, "access_token")).await);
    assert!(!world.lives(world.grant.access_token()).await);
}

#[tokio::test]
async fn a_second_refresh_soon_after_the_first_changes_nothing() {
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
async fn an_access_token_that_ran_out_is_never_given_again() {
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
async fn an_old_access_token_lives_to_its_own_end_after_a_refresh() {
    let world = World::new().await;
    world.clock.advance(7 * DAY);
    let body = world.refresh(world.grant.refresh_token()).await.json();
    assert!(world.lives(world.grant.access_token()).await);

    world.clock.advance(7 * DAY);
    assert!(!world.lives(world.grant.access_token()).await);
    assert!(world.lives(text(&body, "access_token")).await);
    world.webex.assert_sound();
}

#[tokio::test]
async fn lifetimes_are_configured_and_end_to_the_millisecond() {
    let world = World::with(|builder| {
        builder
            .access_ttl(Duration::from_secs(20))
            .refresh_ttl(Duration::from_secs(60))
    })
    .await;
    assert_eq!(world.grant.expires_in(), 20);
    assert_eq!(world.grant.refresh_token_expires_in(), 60);

    world.clock.advance(Duration::from_millis(19_999));
    assert!(world.lives(world.grant.access_token()).await);
    world.clock.advance(Duration::from_millis(1));
    assert!(!world.lives(world.grant.access_token()).await);

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
    assert!(world.lives(world.grant.access_token()).await);
    request().await;
    assert!(!world.lives(world.grant.access_token()).await);
}

#[tokio::test]
async fn a_refresh_may_ask_for_fewer_scopes_but_not_for_more() {
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
async fn every_request_is_recorded_and_no_secret_is() {
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
    let digest = Digest::of(world.grant.refresh_token());
    assert_eq!(refresh.refresh_token, Some(digest));
    let digest = Digest::of(world.grant.access_token());
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
async fn what_was_given_out_last_is_known_and_accepted_and_what_was_rotated_out_is_not() {
    let world = World::with(|builder| builder.mode(Mode::Rotate)).await;
    let body = world.refresh(world.grant.refresh_token()).await.json();
    let newest = world.webex.newest(&world.grant).unwrap();
    assert_eq!(newest.access_token, Digest::of(text(&body, "access_token")));
    assert_eq!(
        newest.refresh_token,
        Digest::of(text(&body, "refresh_token"))
    );
    assert!(world.webex.accepts(text(&body, "access_token")));
    assert!(world.webex.accepts(text(&body, "refresh_token")));
    assert!(!world.webex.accepts(world.grant.refresh_token()));
    assert!(!world.webex.accepts("no token of anybody"));
}
