//! Servers that are forbidden, never respond, or never end their response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relation_e2e::World;
use relation_e2e::faulty_store::{Operation, StoreFault};
use relation_host::types::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::component::component;
use crate::world::{HostileWorld, request};

/// Creates a world that passes a server's address to a fixture that may reach it.
async fn world_with_server(fixture: &str, server: &TcpListener) -> HostileWorld {
    let address = server.local_addr().unwrap().to_string();
    let world = World::builder()
        .setting("server", &address)
        .allow(&[&format!("http://{address}")]);
    HostileWorld::with(fixture, world).await
}

#[tokio::test(flavor = "multi_thread")]
pub async fn forbidden_host() {
    let call = HostileWorld::new("forbidden_host").await.misbehave().await;
    let log = call.log();
    assert!(
        log.contains("egress.allow") && log.contains("169.254.169.254"),
        "{log}"
    );
    let failure = call.expect_refused();
    assert_eq!(
        failure,
        Failure::LimitExceeded("ErrorCode::HttpRequestDenied".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn silent_server() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hostile = world_with_server("silent_server", &server).await;
    let held = tokio::spawn(async move {
        let (mut connection, _) = server.accept().await.unwrap();
        // Until the host disconnects.
        let _ = connection.read_to_end(&mut Vec::new()).await;
    });
    let failure = hostile.misbehave().await.expect_refused();
    assert!(
        matches!(&failure, Failure::Unavailable(text) if text.contains("limits.request-time")),
        "{failure}"
    );
    held.await.expect("the host has disconnected");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn endless_body() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hostile = world_with_server("endless_body", &server).await;
    let fed = tokio::spawn(async move {
        let (mut connection, _) = server.accept().await.unwrap();
        // A response before any request does not come from a server.
        let _ = connection.read(&mut [0; 1024]).await;
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut written = connection.write_all(head).await;
        // In chunks so large that the limit is reached long before the timeout.
        let more = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        // Until the host disconnects.
        while written.is_ok() {
            written = connection.write_all(more.as_bytes()).await;
        }
    });
    let failure = hostile.misbehave().await.expect_refused();
    assert!(
        matches!(&failure, Failure::LimitExceeded(text) if text.contains("limits.response")),
        "{failure}"
    );
    fed.await.expect("the host has disconnected");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn wakeups_after_response() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let (file, _folder) = component("wakeups_after_response");
    // The host tries again only if the call has enough time left.
    let world = World::builder()
        .component(file)
        .setting("server", &address)
        .allow(&[&format!("http://{address}")])
        .start()
        .await;
    let responded = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&responded);
    let fault = StoreFault::failing(Operation::Read).times(3);
    let fault = fault.when(move || seen.load(Ordering::SeqCst));
    world.store_faults.inject(fault);
    let served = tokio::spawn(async move {
        let (mut connection, _) = server.accept().await.unwrap();
        let _ = connection.read(&mut [0; 1024]).await;
        responded.store(true, Ordering::SeqCst);
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        connection.write_all(response).await.unwrap();
    });
    let added = world.host().add(request()).await.unwrap().value;
    assert_eq!(added.connection.notes, "0 wakeups");
    assert_eq!(world.store_faults.hits(), 3);
    served.await.unwrap();
}
