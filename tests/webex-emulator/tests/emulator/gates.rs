//! Requests held at a known point, without sleeping.

use std::sync::Arc;

use http::StatusCode;
use webex_emulator::{Mode, Outcome};

use crate::support::{TOKEN, World};

async fn rotating() -> Arc<World> {
    Arc::new(World::with(|builder| builder.mode(Mode::Rotate)).await)
}

fn refresh(world: &Arc<World>) -> tokio::task::JoinHandle<Result<StatusCode, String>> {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let answer = world.try_refresh(world.grant.refresh_token()).await?;
        Ok(answer.status)
    })
}

#[tokio::test]
async fn a_gate_holds_a_request_before_anything_is_done() {
    let world = rotating().await;
    let gate = world.webex.gate(TOKEN);
    let client = refresh(&world);
    gate.reached().await;
    let request = &world.webex.requests()[0];
    assert_eq!(
        (request.status, request.processed),
        (Outcome::InFlight, false)
    );
    assert_eq!(world.webex.in_flight().now, 1);

    gate.release();
    assert_eq!(client.await.unwrap(), Ok(StatusCode::OK));
    assert_eq!(world.webex.in_flight().now, 0);
}

#[tokio::test]
async fn a_gate_holds_the_answer_after_all_is_done() {
    let world = rotating().await;
    let gate = world.webex.gate_after(TOKEN);
    let client = refresh(&world);
    gate.reached().await;
    let request = &world.webex.requests()[0];
    assert_eq!(
        (request.status, request.processed),
        (Outcome::InFlight, true)
    );
    gate.release();
    assert_eq!(client.await.unwrap(), Ok(StatusCode::OK));
}

#[tokio::test]
async fn a_client_that_hangs_up_at_a_gate_has_abandoned_its_request() {
    let world = rotating().await;
    let gate = world.webex.gate_after(TOKEN);
    let client = refresh(&world);
    gate.reached().await;
    client.abort();
    world.webex.idle().await;
    let request = &world.webex.requests()[0];
    assert_eq!(
        (request.status, request.processed),
        (Outcome::Abandoned, true)
    );

    drop(gate);
    let refused = world.refresh(world.grant.refresh_token()).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    world.webex.assert_sound();
}

#[tokio::test]
async fn a_gate_counts_what_comes_to_it_and_lets_all_go() {
    let world = rotating().await;
    let gate = world.webex.gate("/v1/people");
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.lives(world.grant.access_token()).await })
        })
        .collect();
    gate.reached_by(5).await;
    assert_eq!(gate.arrivals(), 5);
    assert_eq!(world.webex.in_flight().max, 5);
    gate.release();
    for client in clients {
        assert!(client.await.unwrap());
    }
    assert!(world.lives(world.grant.access_token()).await);
    assert_eq!(gate.arrivals(), 5);
}

#[tokio::test]
async fn a_dropped_gate_holds_nothing() {
    let world = rotating().await;
    drop(world.webex.gate(TOKEN));
    assert_eq!(refresh(&world).await.unwrap(), Ok(StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_after_its_client_was_seen_to_hang_up_is_not_carried_out() {
    for _ in 0..20 {
        let world = rotating().await;
        let gate = world.webex.gate(TOKEN);
        let client = refresh(&world);
        gate.reached().await;
        client.abort();
        world.webex.idle().await;
        gate.release();
        world.webex.idle().await;
        assert!(!world.webex.requests()[0].processed);
    }
}
