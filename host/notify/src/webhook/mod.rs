//! Delivery by webhooks with the signature of [Standard Webhooks](https://www.standardwebhooks.com/).
//!
//! A [`Webhook`] posts messages to one endpoint by the host's egress client: no redirects, and only addresses that the
//! policy permits. Requests, payloads and the rules for receivers are in `docs/webhooks.md`.

mod endpoint;
mod keys;
mod payload;
mod response;
mod rotation;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use relation_egress::{Client, LimitedBody, Proxies};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

pub use endpoint::{EndpointError, EndpointOptions, EndpointUrl, MAX_URL_BYTES};
pub use keys::{KeyError, SigningKey, SigningKeyPair, SigningSecret};
pub use payload::{EventType, MAX_BODY_BYTES, Payload, PayloadError};
pub use rotation::{DEFAULT_OVERLAP, KeysError, MAX_OVERLAP, Rotation, RotationError, SigningKeys};

use crate::{Attempt, Channel, DeliveryError, Receipt};

/// The maximum time of a whole attempt.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The maximum time for the body of a response, whose status is known already.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of bytes of a response body that are read.
const MAX_READ_BYTES: usize = 4096;
/// The maximum length of `webhook-id`, in bytes.
const MAX_ID_BYTES: usize = 128;

/// A receiver of webhooks.
pub struct Webhook {
    client: Client,
    url: EndpointUrl,
    keys: SigningKeys,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// Creates a receiver. The policy of `client` decides which addresses are reached.
    #[must_use]
    pub fn new(client: Client, url: EndpointUrl, keys: SigningKeys) -> Self {
        Self { client, url, keys }
    }

    /// Makes one attempt to post a payload, which takes at most [`ATTEMPT_TIMEOUT`]. `id` is the same in every attempt.
    ///
    /// # Errors
    /// A [`DeliveryError`] without secrets.
    pub async fn post(
        &self,
        id: &str,
        now: DateTime<Utc>,
        payload: &Payload,
    ) -> Result<Receipt, DeliveryError> {
        let deadline = Instant::now() + ATTEMPT_TIMEOUT;
        let request = self.build_request(id, now, payload)?;
        let sent = self
            .client
            .send(request, &Proxies::default(), deadline)
            .await;
        let (head, body) = sent
            .map_err(|error| response::classify_error(&error))?
            .into_parts();
        let body = read_beginning(body, deadline.min(Instant::now() + BODY_TIMEOUT)).await;
        response::classify(head.status, &head.headers, &body, &self.to_secrets(), now)
    }

    fn build_request(
        &self,
        id: &str,
        now: DateTime<Utc>,
        payload: &Payload,
    ) -> Result<Request<Full<Bytes>>, DeliveryError> {
        let id = to_webhook_id(id);
        let signature = self.keys.sign(&id, now, payload.as_str());
        let unreadable = |what| response::temporary(format!("cannot send the message: {what}"));
        let mut signature = HeaderValue::try_from(signature)
            .map_err(|_| unreadable("its signature is not a header value"))?;
        signature.set_sensitive(true);
        Request::post(self.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "relation-webhooks")
            .header("webhook-id", &*id)
            .header("webhook-timestamp", now.timestamp())
            .header("webhook-signature", signature)
            .body(Full::from(payload.as_str().to_owned()))
            .map_err(|_| unreadable("the address of the endpoint cannot be read"))
    }

    /// Returns the texts that a reply must not show.
    fn to_secrets(&self) -> Vec<Zeroizing<String>> {
        let mut secrets = self.url.to_secrets();
        for text in self.keys.to_texts() {
            let text = text.expose_secret();
            // With and without the prefix.
            secrets.push(Zeroizing::new(text.to_owned()));
            let encoded = text.split_once('_').map(|(_, encoded)| encoded);
            secrets.extend(encoded.map(|encoded| Zeroizing::new(encoded.to_owned())));
        }
        secrets
    }
}

#[async_trait]
impl Channel for Webhook {
    async fn deliver(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError> {
        let payload = Payload::from_message(attempt.message, attempt.now);
        self.post(attempt.id, attempt.now, &payload).await
    }
}

/// Returns `webhook-id`. It has no dot, which separates the parts of the signed content. An id with other characters
/// than letters, digits, `-` and `_` is replaced by its hash.
fn to_webhook_id(id: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("msg_{}", hex::encode(Sha256::digest(id))))
}

/// Reads the beginning of a body until a time. An error ends it, since the status decides the result.
async fn read_beginning(mut body: LimitedBody, until: Instant) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < MAX_READ_BYTES {
        let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await else {
            break;
        };
        if let Some(data) = frame.data_ref() {
            let room = MAX_READ_BYTES.saturating_sub(read.len());
            read.extend(data.iter().take(room));
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_id_has_no_dot() {
        assert_eq!(to_webhook_id("msg_0-aZ"), "msg_0-aZ");
        for id in ["", "a.b", "a b", "ü", &"x".repeat(129)] {
            let replaced = to_webhook_id(id).into_owned();
            assert_eq!(
                replaced,
                to_webhook_id(id),
                "it is the same in every attempt"
            );
            assert!(
                replaced.starts_with("msg_") && !replaced.contains('.'),
                "{replaced}"
            );
        }
        assert_ne!(to_webhook_id("a.b"), to_webhook_id("a.c"));
    }
}
