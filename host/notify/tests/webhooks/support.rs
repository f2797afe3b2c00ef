//! A scripted receiver, and the notices and keys of the tests.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use relation_egress::{Client, ClientOptions, Policy};
use relation_notify::webhook::{
    EndpointOptions, EndpointUrl, Rotation, SigningKey as _, SigningKeyPair, SigningKeys,
    SigningSecret, Webhook,
};
use relation_notify::{
    Attempt, Channel as _, DeliveryError, Message, Notice, NoticeKind, Receipt, Severity,
};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

/// The behavior of a receiver after it has read a request.
#[derive(Clone, Debug)]
pub enum Behavior {
    /// Writes one of these responses, in turn; the last one repeats. Then closes the connection.
    Respond(Vec<String>),
    /// Writes a text, then sends bytes without an end.
    Flood(&'static str),
    /// Writes a text, then sends a byte every 700 ms.
    Drip(&'static str),
    /// Sends nothing, and keeps the connection open.
    Silence,
    /// Closes the connection.
    Close,
}

impl Behavior {
    pub fn respond(responses: &[&str]) -> Self {
        Self::Respond(responses.iter().map(|&each| each.to_owned()).collect())
    }
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(each, _)| each == name);
        let (_, value) = found.next().unwrap();
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }
}

/// A receiver that keeps its requests.
pub struct Server {
    pub address: SocketAddr,
    scheme: &'static str,
    received: Arc<Mutex<Vec<Received>>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Server {
    pub async fn start(behavior: Behavior) -> Self {
        Self::start_with(behavior, None).await
    }

    pub async fn start_with(behavior: Behavior, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            received: Arc::default(),
        };
        let received = Arc::clone(&server.received);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, received) = (tls.clone(), Arc::clone(&received));
                let behavior = behavior.clone();
                tokio::spawn(async move {
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    behave(behavior, stream, &received).await;
                });
            }
        });
        server
    }

    /// Returns the origin: scheme, address and port.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }
}

async fn behave(behavior: Behavior, mut stream: Box<dyn Stream>, received: &Mutex<Vec<Received>>) {
    let request = read_request(&mut stream).await;
    let number = {
        let mut received = received.lock();
        received.push(request);
        received.len() - 1
    };
    let write = async |stream: &mut Box<dyn Stream>, text: &str| {
        stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
    };
    match behavior {
        Behavior::Respond(responses) => {
            let response = responses.get(number).or(responses.last()).unwrap();
            write(&mut stream, response).await;
        }
        Behavior::Flood(head) => {
            write(&mut stream, head).await;
            while write(&mut stream, &"x".repeat(4096)).await {}
        }
        Behavior::Drip(head) => {
            write(&mut stream, head).await;
            let mut ticks = tokio::time::interval(Duration::from_millis(700));
            loop {
                ticks.tick().await;
                if !write(&mut stream, "x").await {
                    return;
                }
            }
        }
        Behavior::Silence => std::future::pending().await,
        Behavior::Close => {}
    }
}

async fn read_request(stream: &mut Box<dyn Stream>) -> Received {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the request is incomplete");
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let (line, fields) = head.split_once("\r\n").unwrap();
        let fields = fields.lines().map(|field| field.split_once(": ").unwrap());
        let request = Received {
            line: line.to_owned(),
            headers: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        };
        if body.len() >= request.header("content-length").parse().unwrap() {
            return request;
        }
    }
}

pub fn policy(entries: &[&str]) -> Policy {
    let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
    Policy::parse_callbacks(&entries).unwrap()
}

pub fn client(entries: &[&str]) -> Client {
    Client::new(policy(entries), ClientOptions::default()).unwrap()
}

/// Returns a receiver with a client that reaches it, and the keys of [`keys`].
pub fn webhook(url: &str) -> Webhook {
    let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
    webhook_with(client(&[&origin]), url, keys())
}

pub fn webhook_with(client: Client, url: &str, keys: SigningKeys) -> Webhook {
    let options = EndpointOptions { allow_http: true };
    let url = EndpointUrl::parse(&url.into(), options, client.policy()).unwrap();
    Webhook::new(client, url, keys)
}

pub fn secret(number: u8) -> SigningSecret {
    SigningSecret::from_entropy(&[number; 32])
}

pub fn secret_text(number: u8) -> String {
    secret(number).to_text().expose_secret().to_owned()
}

pub fn key_pair(number: u8) -> SigningKeyPair {
    SigningKeyPair::from_entropy(&[number; 32]).unwrap()
}

/// Returns keys with secret 1 and key pair 1.
pub fn keys() -> SigningKeys {
    SigningKeys {
        secrets: Rotation::new(secret(1)),
        key_pairs: Some(Rotation::new(key_pair(1))),
    }
}

/// Returns the time of the operating system, which programs in other languages have too.
pub fn real_time() -> DateTime<Utc> {
    DateTime::from(SystemTime::now())
}

pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn notice(kind: NoticeKind) -> Notice {
    Notice {
        id: "ntc_0123456789abcdef".to_owned(),
        kind,
        severity: Severity::Major,
        record: "65f0c1d2e3a4b5c6d7e8f901".to_owned(),
        customer: "Contoso".to_owned(),
        node: "sys.Provider.Contoso".to_owned(),
        grant: "organization".to_owned(),
        code: "WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(),
        text: "text-canary".to_owned(),
        expires: Some(time("2026-12-09T10:00:00Z")),
        occurred: time("2026-12-07T10:00:00Z"),
        count: 1,
        link: None,
    }
}

pub fn expiring() -> Message {
    Message::Single(notice(NoticeKind::Expiring))
}

/// Makes an attempt now.
pub async fn deliver(
    webhook: &Webhook,
    id: &str,
    message: &Message,
) -> Result<Receipt, DeliveryError> {
    deliver_at(webhook, id, message, real_time()).await
}

pub async fn deliver_at(
    webhook: &Webhook,
    id: &str,
    message: &Message,
    now: DateTime<Utc>,
) -> Result<Receipt, DeliveryError> {
    webhook.deliver(&Attempt { id, message, now }).await
}

/// Reports that a test is skipped, or fails if the programs are required.
#[track_caller]
pub fn report_skipped(reason: &str) {
    const REQUIRED: &str = "RELATION_REQUIRE_CLIENTS";
    assert!(
        std::env::var_os(REQUIRED).is_none(),
        "{reason}, and {REQUIRED} is set"
    );
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Writes to stderr directly: the captured output of a test that passes is hidden.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {name}: {reason}\n").as_bytes());
}
