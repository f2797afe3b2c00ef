//! The deadline ends a call in every phase, and the error names the phase. Time is virtual.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::harness::{Server, client, get, policy, via, within};
use crate::{Client, ClientOptions, EgressError, Proxies, RequestPhase, Resolve};

/// Sends with a deadline of five seconds. Returns the phase of the time-out and the elapsed
/// seconds.
async fn timeout_of(client: &Client, url: &str, proxies: &Proxies) -> (RequestPhase, u64) {
    let start = Instant::now();
    let error = match client.send(get(url), proxies, within(5)).await {
        Ok(response) => response.into_body().collect().await.unwrap_err(),
        Err(error) => error,
    };
    match error {
        // Timers fire up to a millisecond late.
        EgressError::Timeout { phase, .. } => (phase, start.elapsed().as_secs()),
        other => panic!("{other:?}"),
    }
}

/// Sends to `server` with a deadline of five seconds. Returns the phase of the time-out and the elapsed seconds.
async fn timeout_at(server: &Server) -> (RequestPhase, u64) {
    let url = server.url();
    timeout_of(&client(&[&url]), &url, &Proxies::default()).await
}

struct StuckResolver;

#[async_trait]
impl Resolve for StuckResolver {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_looking_up_the_name() {
    let options = ClientOptions::default();
    let policy = policy(&["https://webexapis.com"], &[]);
    let client = Client::with_resolver(policy, options, Arc::new(StuckResolver)).unwrap();
    let ended = timeout_of(&client, "https://webexapis.com/", &Proxies::default()).await;
    assert_eq!(ended, (RequestPhase::Resolve, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_connecting() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // The listener never accepts: once its queue is full, the kernel silently drops further
    // attempts.
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(tokio::spawn(TcpStream::connect(address)));
        tokio::task::yield_now().await;
    }
    let url = format!("http://{address}");
    let ended = timeout_of(&client(&[&url]), &url, &Proxies::default()).await;
    assert_eq!(ended, (RequestPhase::Connect, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_during_the_tls_handshake() {
    let server = Server::start(|connection| connection.silent()).await;
    let url = format!("https://{}", server.address);
    let client = super::tls::untrusting_client(&[&url], &[]);
    let ended = timeout_of(&client, &url, &Proxies::default()).await;
    assert_eq!(ended, (RequestPhase::Tls, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_the_proxy_opens_a_tunnel() {
    let proxy = Server::start(|connection| connection.silent()).await;
    let options = ClientOptions::default();
    let policy = policy(&["https://webexapis.com"], &[&proxy.url()]);
    let client = Client::new(policy, options).unwrap();
    let ended = timeout_of(&client, "https://webexapis.com/", &via(proxy.url())).await;
    assert_eq!(ended, (RequestPhase::Proxy, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_waiting_for_the_response() {
    let server = Server::start(|connection| connection.silent()).await;
    let ended = timeout_at(&server).await;
    assert_eq!(ended, (RequestPhase::Response, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_the_response_head_never_ends() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.write("HTTP/1.1 200 OK\r\nx-half: ").await;
        connection.silent().await;
    })
    .await;
    let ended = timeout_at(&server).await;
    assert_eq!(ended, (RequestPhase::Response, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_the_body_stalls() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            .await;
        connection.silent().await;
    })
    .await;
    let ended = timeout_at(&server).await;
    assert_eq!(ended, (RequestPhase::Body, 5));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_the_body_drips() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
            .await;
        let mut drops = tokio::time::interval(Duration::from_millis(700));
        for _ in 0..10_000 {
            drops.tick().await;
            connection.write("x").await;
        }
    })
    .await;
    let ended = timeout_at(&server).await;
    assert_eq!(ended, (RequestPhase::Body, 5));
}

#[tokio::test(start_paused = true)]
async fn connecting_has_a_bound_of_its_own() {
    let server = Server::start(|connection| connection.silent()).await;
    let url = format!("https://{}", server.address);
    let client = super::tls::untrusting_client(&[&url], &[]);
    let start = Instant::now();
    let error = client
        .send(get(&url), &Proxies::default(), within(60))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                phase: RequestPhase::Tls,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(
        error.to_string(),
        format!("`{url}` took too long: the time was up while doing the TLS handshake")
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_without_time_left_sends_nothing() {
    let server = Server::start(|connection| connection.silent()).await;
    let client = client(&[&server.url()]);
    let error = client
        .send(get(server.url()), &Proxies::default(), Instant::now())
        .await;
    assert!(
        matches!(error, Err(EgressError::Timeout { .. })),
        "{error:?}"
    );
    assert!(server.requests().is_empty());
}
