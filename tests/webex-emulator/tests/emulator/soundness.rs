//! The rules for clients: each is violated once, and each near miss passes.

use std::sync::Arc;

use http::StatusCode;
use webex_emulator::{Fault, Mode};

use crate::support::{TOKEN, World, text};

async fn rotating() -> Arc<World> {
    Arc::new(World::with(|builder| builder.mode(Mode::Rotate)).await)
}

#[track_caller]
fn assert_one_violation(world: &World, part: &str) {
    let violations = world.webex.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains(part), "{violations:?}");
}

#[tokio::test]
async fn concurrent_use_of_a_refresh_token_is_a_violation() {
    let world = Arc::new(World::new().await);
    let gate = world.webex.gate(TOKEN);
    let clients = [(); 2].map(|()| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.refresh(world.grant.refresh_token()).await.status })
    });
    gate.reached_by(2).await;
    gate.release();
    for client in clients {
        assert_eq!(client.await.unwrap(), StatusCode::OK);
    }
    assert_one_violation(&world, "2 requests in flight");
    assert_eq!(world.webex.in_flight().max_per_refresh_token, 2);
    let digest = webex_emulator::Digest::from_secret(world.grant.refresh_token());
    assert_one_violation(&world, digest.as_str());
}

#[tokio::test]
async fn concurrent_use_of_two_tokens_is_not_a_violation() {
    let world = Arc::new(World::new().await);
    let other = world
        .webex
        .grant(&world.organization, ["spark:people_read"]);
    let gate = world.webex.gate(TOKEN);
    let tokens = [world.grant.refresh_token(), other.refresh_token()].map(str::to_owned);
    let clients = tokens.map(|token| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.refresh(&token).await.status })
    });
    gate.reached_by(2).await;
    gate.release();
    for client in clients {
        assert_eq!(client.await.unwrap(), StatusCode::OK);
    }
    world.webex.assert_sound();
    assert_eq!(world.webex.in_flight().max, 2);
    assert_eq!(world.webex.in_flight().max_per_refresh_token, 1);
}

#[tokio::test]
async fn client_may_disconnect_and_retry() {
    let world = Arc::new(World::new().await);
    let gate = world.webex.gate(TOKEN);
    let first = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.refresh(world.grant.refresh_token()).await }
    });
    gate.reached().await;
    first.abort();
    let second = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.refresh(world.grant.refresh_token()).await.status }
    });
    gate.reached_by(2).await;
    gate.release();
    assert_eq!(second.await.unwrap(), StatusCode::OK);
    world.webex.idle().await;
    world.webex.assert_sound();
}

#[tokio::test]
async fn use_of_a_rotated_token_is_a_violation() {
    let world = rotating().await;
    world.refresh(world.grant.refresh_token()).await;
    world.webex.assert_sound();
    world.refresh(world.grant.refresh_token()).await;
    assert_one_violation(&world, "rotated out");
}

#[tokio::test]
async fn use_after_a_lost_rotation_is_not_a_violation() {
    for fault in [
        Fault::reset_after(TOKEN),
        Fault::truncated_json(TOKEN),
        Fault::malformed_json(TOKEN),
        Fault::huge_body(TOKEN, 1000),
        Fault::patch(TOKEN, serde_json::json!({"refresh_token": null})),
    ] {
        let world = rotating().await;
        world.webex.inject(fault);
        let _ = world.try_refresh(world.grant.refresh_token()).await;
        world.refresh(world.grant.refresh_token()).await;
        world.webex.assert_sound();
        // Now it knows that the token is invalid.
        world.refresh(world.grant.refresh_token()).await;
        assert_one_violation(&world, "had been refused");
    }
}

#[tokio::test]
async fn use_of_a_self_revoked_token_is_a_violation() {
    let world = World::new().await;
    let path = format!("/v1/authorizations/{}", world.grant.authorization_id());
    world.delete(&path, world.grant.access_token()).await;
    world.webex.assert_sound();
    world.refresh(world.grant.refresh_token()).await;
    assert_one_violation(&world, "its holder had revoked it");
}

#[tokio::test]
async fn first_use_after_a_foreign_revocation_is_allowed() {
    let world = World::new().await;
    world.webex.revoke(&world.organization);
    world.refresh(world.grant.refresh_token()).await;
    assert!(!world.access_token_works(world.grant.access_token()).await);
    world.webex.assert_sound();

    world.refresh(world.grant.refresh_token()).await;
    assert_one_violation(&world, "refresh token");
    assert!(!world.access_token_works(world.grant.access_token()).await);
    assert_eq!(world.webex.violations().len(), 2);
}

#[tokio::test]
#[should_panic(expected = "clients broke the rules")]
async fn violations_fail_the_test_that_asserts_soundness() {
    let world = rotating().await;
    world.refresh(world.grant.refresh_token()).await;
    world.refresh(world.grant.refresh_token()).await;
    world.webex.assert_sound();
}

#[tokio::test]
async fn a_chain_of_rotations_is_sound() {
    let world = rotating().await;
    let mut token = world.grant.refresh_token().to_owned();
    for _ in 0..20 {
        let body = world.refresh(&token).await.json();
        text(&body, "refresh_token").clone_into(&mut token);
    }
    world.webex.assert_sound();
    assert_eq!(world.webex.requests().len(), 20);
}
