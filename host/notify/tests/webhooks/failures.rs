//! Receivers that fail, each in another way. Time is virtual where a time limit matters.

use std::sync::Arc;
use std::time::Duration;

use relation_egress::{Client, ClientOptions};
use relation_notify::webhook::ATTEMPT_TIMEOUT;
use relation_notify::{DeliveryError, DeliveryErrorKind, Receipt};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::support::{
    Behavior, NO_CONTENT, Server, deliver, deliver_at, expiring, keys, policy, real_time,
    secret_text, webhook, webhook_with,
};

const TEMPORARY: DeliveryErrorKind = DeliveryErrorKind::Temporary { retry_after: None };

/// Makes one attempt at a receiver. Returns the result and the elapsed seconds.
async fn attempt(behavior: Behavior) -> (Result<Receipt, DeliveryError>, u64) {
    let server = Server::start(behavior).await;
    let webhook = webhook(&format!("{}/hooks/path-canary-1", server.origin()));
    let start = Instant::now();
    let result = deliver(&webhook, "msg_1", &expiring()).await;
    (result, start.elapsed().as_secs())
}

async fn fail(behavior: Behavior) -> DeliveryError {
    attempt(behavior).await.0.unwrap_err()
}

#[tokio::test]
async fn request_has_the_headers_of_the_specification() {
    let server = Server::start(Behavior::respond(&[NO_CONTENT])).await;
    let webhook = webhook(&format!("{}/hooks?a=b", server.origin()));
    let now = real_time();
    let receipt = deliver_at(&webhook, "msg_1", &expiring(), now)
        .await
        .unwrap();
    assert!(receipt.confirmed);
    assert_eq!(receipt.reply, "204 No Content");
    let request = &server.received()[0];
    assert_eq!(request.line, "POST /hooks?a=b HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-id"), "msg_1");
    assert_eq!(
        request.header("webhook-timestamp"),
        now.timestamp().to_string()
    );
    let signature = keys().sign("msg_1", now, &request.body);
    assert_eq!(request.header("webhook-signature"), signature);
    assert!(!request.body.contains("text-canary"));
}

#[tokio::test]
async fn repeated_attempt_has_the_same_id_and_body() {
    let server = Server::start(Behavior::respond(&[
        "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n",
        NO_CONTENT,
    ]))
    .await;
    let webhook = webhook(&server.origin());
    let now = real_time();
    let later = now + Duration::from_secs(5);
    deliver_at(&webhook, "msg_1", &expiring(), now)
        .await
        .unwrap_err();
    deliver_at(&webhook, "msg_1", &expiring(), later)
        .await
        .unwrap();
    let received = server.received();
    let [first, second] = received.as_slice() else {
        panic!("{received:?}");
    };
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    for name in ["webhook-timestamp", "webhook-signature"] {
        assert_ne!(first.header(name), second.header(name), "{name}");
    }
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let other = Server::start(Behavior::respond(&[NO_CONTENT])).await;
    let text = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n",
        other.origin()
    );
    let server = Server::start(Behavior::respond(&[&text])).await;
    let (to, from) = (other.origin(), server.origin());
    let client = Client::new(policy(&[&to, &from]), ClientOptions::default()).unwrap();
    let error = deliver(&webhook_with(client, &from, keys()), "msg_1", &expiring()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, TEMPORARY);
    assert!(error.text.contains("redirects are not followed"), "{error}");
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn gone_is_reported() {
    let error = fail(Behavior::respond(&[
        "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n",
    ]))
    .await;
    assert_eq!(error.kind, DeliveryErrorKind::Gone);
    assert!(error.text.contains("410 Gone"), "{error}");
}

#[tokio::test]
async fn retry_after_of_429_is_returned() {
    let response =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 120\r\ncontent-length: 4\r\n\r\nslow";
    let error = fail(Behavior::respond(&[response])).await;
    let retry_after = Some(Duration::from_secs(120));
    assert_eq!(error.kind, DeliveryErrorKind::Temporary { retry_after });
    let expected = "the receiver responded with 429 Too Many Requests: slow";
    assert_eq!(error.text, expected);
}

#[tokio::test]
async fn reply_of_500_has_no_secret() {
    let echo = format!(
        "HTTP/1.1 500 Internal Server Error\r\n\r\n<b>Error</b>\r\n at /hooks/path-canary-1: path-canary-1 {}",
        secret_text(1)
    );
    let error = fail(Behavior::respond(&[&echo])).await;
    assert_eq!(error.kind, TEMPORARY);
    let expected = "the receiver responded with 500 Internal Server Error: \
                    <b>Error</b> at [redacted]: [redacted] [redacted]";
    assert_eq!(error.text, expected);
}

#[tokio::test(start_paused = true)]
async fn endless_reply_is_cut_and_accepted() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let (result, seconds) = attempt(Behavior::Flood(head)).await;
    assert_eq!(
        result.unwrap().reply,
        format!("200 OK: {}", "x".repeat(200))
    );
    assert_eq!(seconds, 0);
    let (result, seconds) = attempt(Behavior::Drip(head)).await;
    assert_eq!(result.unwrap().reply, "200 OK: xxx");
    assert_eq!(seconds, 2, "the body is not waited for");
}

#[tokio::test(start_paused = true)]
async fn slow_receiver_is_left_after_20_seconds() {
    for behavior in [
        Behavior::Silence,
        Behavior::Drip("HTTP/1.1 200 OK\r\nx-slow: "),
    ] {
        let (result, seconds) = attempt(behavior).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind, TEMPORARY);
        assert!(error.text.contains("took too long"), "{error}");
        assert!(error.text.contains("`webhook-id`"), "{error}");
        assert_eq!(seconds, ATTEMPT_TIMEOUT.as_secs());
    }
}

#[tokio::test]
async fn closed_connection_is_temporary() {
    let error = fail(Behavior::Close).await;
    assert_eq!(error.kind, TEMPORARY);
    assert!(
        error.text.contains("ended while waiting for the response"),
        "{error}"
    );
}

#[tokio::test]
async fn refused_connection_is_temporary() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = deliver(&webhook(&url), "msg_1", &expiring())
        .await
        .unwrap_err();
    assert_eq!(error.kind, TEMPORARY);
    assert!(error.text.contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn invalid_response_is_temporary() {
    let error = fail(Behavior::respond(&["SSH-2.0-OpenSSH_9.6\r\n\r\n"])).await;
    assert_eq!(error.kind, TEMPORARY);
}

/// Returns an acceptor with a certificate of its own, and the certificate.
fn self_signed() -> (TlsAcceptor, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![signed.cert.der().clone()],
            PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), signed.cert.pem())
}

#[tokio::test]
async fn unknown_certificate_is_temporary_and_gets_nothing() {
    let (acceptor, pem) = self_signed();
    let server = Server::start_with(Behavior::respond(&[NO_CONTENT]), Some(acceptor)).await;
    let error = deliver(&webhook(&server.origin()), "msg_1", &expiring()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, TEMPORARY);
    assert!(error.text.contains("no secure connection"), "{error}");
    assert!(server.received().is_empty());
    // The receiver is fine otherwise.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let options = ClientOptions {
        extra_ca_file: Some(file.path().to_owned()),
        ..ClientOptions::default()
    };
    let client = Client::new(policy(&[&server.origin()]), options).unwrap();
    let trusting = webhook_with(client, &server.origin(), keys());
    deliver(&trusting, "msg_1", &expiring()).await.unwrap();
}
