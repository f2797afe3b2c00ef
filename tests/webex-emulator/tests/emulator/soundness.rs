//! The rules that clients must keep: each is provoked once, and each near miss is let pass.

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
async fn two_requests_in_flight_with_one_refresh_token_are_a_violation() {
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
    let digest = webex_emulator::Digest::of(world.grant.refresh_token());
    assert_one_violation(&world, digest.as_str());
}

#[tokio::test]
async fn two_requests_in_flight_with_two_refresh_tokens_are_none() {
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
async fn a_client_may_hang_up_and_ask_again() {
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
async fn the_use_of_a_rotated_out_token_is_a_violation() {
    let world = rotating().await;
    world.refresh(world.grant.refresh_token()).await;
    world.webex.assert_sound();
    world.refresh(world.grant.refresh_token()).await;
    assert_one_violation(&world, "rotated out");
}

#[tokio::test]
async fn the_use_of_a_rotated_out_token_is_none_while_its_successor_was_never_heard_of() {
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
        // Now it was told that the token is dead.
        world.refresh(world.grant.refresh_token()).await;
        assert_one_violation(&world, "had been refused");
    }
}

#[tokio::test]
async fn a_token_that_its_holder_revoked_must_not_be_used_again() {
    let world = World::new().await;
    let path = format!("/v1/authorizations/{}", world.grant.authorization_id());
    world.delete(&path, world.grant.access_token()).await;
    world.webex.assert_sound();
    world.refresh(world.grant.refresh_token()).await;
    assert_one_violation(&world, "its holder had revoked it");
}

#[tokio::test]
async fn a_revocation_behind_the_clients_back_may_be_found_out_once() {
    let world = World::new().await;
    world.webex.revoke(&world.organization);
    world.refresh(world.grant.refresh_token()).await;
    assert!(!world.lives(world.grant.access_token()).await);
    world.webex.assert_sound();

    world.refresh(world.grant.refresh_token()).await;
    assert_one_violation(&world, "refresh token");
    assert!(!world.lives(world.grant.access_token()).await);
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
