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
        let response = world.try_refresh(world.grant.refresh_token()).await?;
        Ok(response.status)
    })
}

#[tokio::test]
async fn gate_holds_the_request_before_processing() {
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
async fn gate_after_holds_the_response() {
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
async fn disconnect_at_a_gate_abandons_the_request() {
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
async fn gate_counts_and_releases_requests() {
    let world = rotating().await;
    let gate = world.webex.gate("/v1/people");
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.access_token_works(world.grant.access_token()).await })
        })
        .collect();
    gate.reached_by(5).await;
    assert_eq!(gate.arrivals(), 5);
    assert_eq!(world.webex.in_flight().max, 5);
    gate.release();
    for client in clients {
        assert!(client.await.unwrap());
    }
    assert!(world.access_token_works(world.grant.access_token()).await);
    assert_eq!(gate.arrivals(), 5);
}

#[tokio::test]
async fn a_dropped_gate_holds_nothing() {
    let world = rotating().await;
    drop(world.webex.gate(TOKEN));
    assert_eq!(refresh(&world).await.unwrap(), Ok(StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_request_is_not_processed_on_release() {
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
