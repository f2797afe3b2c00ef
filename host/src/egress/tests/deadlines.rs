//! The deadline ends a call wherever it is, and the error says where. Time is virtual.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::harness::{Server, by, client, get, policy, within};
use crate::egress::{Client, ClientOptions, EgressError, Proxies, Resolve, Stage};

/// Sends with a deadline of five seconds and returns the stage at which it ended, and after how many.
async fn ended(client: &Client, url: &str, proxies: &Proxies) -> (Stage, u64) {
    let start = Instant::now();
    let error = match client.send(get(url), proxies, within(5)).await {
        Ok(answer) => answer.into_body().collect().await.unwrap_err(),
        Err(error) => error,
    };
    match error {
        // Timers fire up to a millisecond late.
        EgressError::Timeout { stage, .. } => (stage, start.elapsed().as_secs()),
        other => panic!("{other:?}"),
    }
}

struct Never;

#[async_trait]
impl Resolve for Never {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn while_looking_up_the_name() {
    let options = ClientOptions::default();
    let policy = policy(&["https://webexapis.com"], &[]);
    let client = Client::with_resolver(policy, options, Arc::new(Never)).unwrap();
    let ended = ended(&client, "https://webexapis.com/", &Proxies::default()).await;
    assert_eq!(ended, (Stage::Resolve, 5));
}

#[tokio::test(start_paused = true)]
async fn while_connecting() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: once the queue is full, the kernel drops further attempts in silence.
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(tokio::spawn(TcpStream::connect(address)));
        tokio::task::yield_now().await;
    }
    let url = format!("http://{address}");
    let ended = ended(&client(&[&url]), &url, &Proxies::default()).await;
    assert_eq!(ended, (Stage::Connect, 5));
}

#[tokio::test(start_paused = true)]
async fn during_the_tls_handshake() {
    let server = Server::start(|served| served.silent()).await;
    let url = format!("https://{}", server.address);
    let client = super::tls::client_trusting_a_test_authority(&[&url], &[]);
    let ended = ended(&client, &url, &Proxies::default()).await;
    assert_eq!(ended, (Stage::Tls, 5));
}

#[tokio::test(start_paused = true)]
async fn while_the_proxy_opens_a_tunnel() {
    let proxy = Server::start(|served| served.silent()).await;
    let options = ClientOptions::default();
    let policy = policy(&["https://webexapis.com"], &[&proxy.url()]);
    let client = Client::new(policy, options).unwrap();
    let ended = ended(&client, "https://webexapis.com/", &by(proxy.url())).await;
    assert_eq!(ended, (Stage::Proxy, 5));
}

#[tokio::test(start_paused = true)]
async fn while_waiting_for_the_answer() {
    let server = Server::start(|served| served.silent()).await;
    let ended = ended(
        &client(&[&server.url()]),
        &server.url(),
        &Proxies::default(),
    )
    .await;
    assert_eq!(ended, (Stage::Answer, 5));
}

#[tokio::test(start_paused = true)]
async fn while_the_head_of_the_answer_never_ends() {
    let server = Server::start(|mut served| async move {
        served.request().await;
        served.write("HTTP/1.1 200 OK\r\nx-half: ").await;
        served.silent().await;
    })
    .await;
    let ended = ended(
        &client(&[&server.url()]),
        &server.url(),
        &Proxies::default(),
    )
    .await;
    assert_eq!(ended, (Stage::Answer, 5));
}

#[tokio::test(start_paused = true)]
async fn while_the_body_stalls() {
    let server = Server::start(|mut served| async move {
        served.request().await;
        served
            .write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            .await;
        served.silent().await;
    })
    .await;
    let ended = ended(
        &client(&[&server.url()]),
        &server.url(),
        &Proxies::default(),
    )
    .await;
    assert_eq!(ended, (Stage::Body, 5));
}

#[tokio::test(start_paused = true)]
async fn while_the_body_drips() {
    let server = Server::start(|mut served| async move {
        served.request().await;
        served
            .write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
            .await;
        let mut drops = tokio::time::interval(Duration::from_millis(700));
        for _ in 0..10_000 {
            drops.tick().await;
            served.write("x").await;
        }
    })
    .await;
    let ended = ended(
        &client(&[&server.url()]),
        &server.url(),
        &Proxies::default(),
    )
    .await;
    assert_eq!(ended, (Stage::Body, 5));
}

#[tokio::test(start_paused = true)]
async fn connecting_has_a_bound_of_its_own() {
    let server = Server::start(|served| served.silent()).await;
    let url = format!("https://{}", server.address);
    let client = super::tls::client_trusting_a_test_authority(&[&url], &[]);
    let start = Instant::now();
    let error = client
        .send(get(&url), &Proxies::default(), within(60))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                stage: Stage::Tls,
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
    let server = Server::start(|served| served.silent()).await;
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
