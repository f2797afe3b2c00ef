//! A receiver of webhooks in the test's process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A message that the receiver has accepted.
#[derive(Clone, Debug)]
pub struct Received {
    /// The header `webhook-id`.
    pub id: String,
    /// The header `webhook-timestamp`, in seconds.
    pub timestamp: u64,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: Value,
}

impl Received {
    /// Returns the type of the event.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }
}

/// A receiver that notes each message. It refuses messages with a status, if a test asks for that.
pub struct WebhookReceiver {
    address: SocketAddr,
    state: Arc<ReceiverState>,
}

struct ReceiverState {
    received: Mutex<Vec<Received>>,
    status: AtomicU16,
}

impl WebhookReceiver {
    /// Starts the receiver on a free port.
    pub async fn start() -> Self {
        let state = Arc::new(ReceiverState {
            received: Mutex::default(),
            status: AtomicU16::new(204),
        });
        let router = Router::new()
            .route("/{*path}", post(receive))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// Returns the origin, for `notices.webhook-origins`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the settings of a recipient at this receiver.
    pub fn recipient(&self, id: &str) -> Value {
        let url = format!("{}/{id}", self.origin());
        json!({ "type": "webhook", "id": id, "name": id, "url": url })
    }

    /// Sets the status of further responses. Messages are only noted with a status of 2xx.
    pub fn respond_with(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    /// Takes the messages that have arrived.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.received.lock())
    }
}

async fn receive(
    State(state): State<Arc<ReceiverState>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let status = StatusCode::from_u16(state.status.load(Ordering::SeqCst)).expect("a status");
    if !status.is_success() {
        return status;
    }
    let header = |name: &str| {
        let value = headers.get(name).expect("a header of Standard Webhooks");
        value.to_str().expect("ASCII").to_owned()
    };
    state.received.lock().push(Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().expect("seconds"),
        signature: header("webhook-signature"),
        body: serde_json::from_slice(&body).expect("JSON"),
    });
    status
}
