//! Secrets of a request or proxy do not appear in errors, debug output or log lines.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::harness::{Server, call_via, policy, via, within};
use crate::{Client, ClientOptions};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn request(target: &str) -> Request<Full<Bytes>> {
    Request::post(format!("{target}/path?code=canary-query"))
        .header("authorization", "Bearer canary-header")
        .body(Full::from("refresh_token=canary-body"))
        .unwrap()
}

#[tokio::test]
async fn secrets_are_not_in_errors_debug_or_logs() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With a single subscriber, the first test that reaches a log statement decides whether it is
    // enabled. With two, tracing asks both each time.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());

    let responses = [
        "",
        "nonsense canary-response\r\n\r\n",
        "HTTP/1.1 407 canary-reason\r\nproxy-authenticate: canary-challenge\r\n\r\n",
        "HTTP/1.1 403 canary-reason\r\ncontent-length: 13\r\n\r\ncanary-response",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncanary-response",
    ];
    let mut shown = String::new();
    for response in responses {
        tracing::callsite::rebuild_interest_cache();
        let server = Server::start(move |mut connection| async move {
            connection.request().await;
            connection.write(response).await;
        })
        .await;
        let targets = ["http://api.example", "https://api.example"];
        let proxies = via(format!(
            "http://user:canary-p%40ss%2Fword@{}/",
            server.address
        ));
        for listed in [vec![server.url()], Vec::new()] {
            let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
            let policy = policy(&targets, &listed);
            let client = Client::new(policy, ClientOptions::default()).unwrap();
            for target in [targets[0], targets[1], "http://elsewhere.example"] {
                let outcome = call_via(&client, request(target), &proxies).await;
                if let Err(error) = outcome {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    shown += &format!("{error} {error:?} {error:#?} {source:?}\n");
                }
            }
            shown += &format!("{client:?} {proxies:?}\n");
        }
    }
    let response = Server::responding(super::harness::OK).await;
    let client = super::harness::client(&[&response.url()]);
    let response = client
        .send(request(&response.url()), &via("http://x:1"), within(60))
        .await;
    shown += &format!("{:?}\n", response.map(|response| response.into_body()));

    let logged = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert!(
        logged.contains("dropped") && logged.contains("connected"),
        "{logged}"
    );
    assert!(shown.lines().count() > 20, "{shown}");
    let encoded = STANDARD.encode("user:canary-p@ss/word");
    for text in [shown, logged] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains(&encoded), "{text}");
    }
}
