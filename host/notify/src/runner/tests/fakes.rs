//! Fake channels and facts, and a store layer that ends a process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use relation_host::HandlerError;
use relation_host::store::layer::{Operation, StoreLayer};
use relation_host::store::{Store, StoreError};
use relation_host::types::{Pkid, Reference};
use serde_json::Value;

use super::super::{ChannelTarget, Channels, RecordFacts};
use super::DAY;
use crate::routing::ConnectionFacts;
use crate::settings::Recipient;
use crate::{Attempt, Channel, DeliveryError, DeliveryErrorKind, Message, NoticeKind, Receipt};

/// A message that a fake channel has received.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub id: String,
    pub to: String,
    pub message: Message,
    pub at: DateTime<Utc>,
}

impl Sent {
    pub(super) fn kinds(&self) -> Vec<NoticeKind> {
        let notices = self.message.notices().iter();
        notices.map(|notice| notice.kind).collect()
    }
}

/// Channels that note each attempt, with scripted errors. A dead process sends nothing.
#[derive(Clone, Default)]
pub(super) struct FakeChannels {
    pub sent: Arc<Mutex<Vec<Sent>>>,
    pub errors: Arc<Mutex<VecDeque<DeliveryErrorKind>>>,
    /// The beginning of the addresses that accept nothing.
    pub down: Arc<Mutex<Option<String>>>,
    /// The end of the addresses whose server does not respond.
    pub hangs: Arc<Mutex<Option<String>>>,
    pub is_dead: Arc<AtomicBool>,
}

impl FakeChannels {
    pub(super) fn fail(&self, kind: DeliveryErrorKind, times: usize) {
        self.errors.lock().extend(std::iter::repeat_n(kind, times));
    }

    pub(super) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock())
    }
}

struct FakeChannel {
    channels: FakeChannels,
    to: String,
}

#[async_trait]
impl Channels for FakeChannels {
    async fn open(&self, target: &ChannelTarget<'_>) -> Result<Box<dyn Channel>, DeliveryError> {
        let to = match target.recipient {
            Recipient::Mail(address) => address.as_str().to_owned(),
            Recipient::Webhook(endpoint) => endpoint.url.to_string(),
            Recipient::Snmp(target) => target.address(),
        };
        Ok(Box::new(FakeChannel {
            channels: self.clone(),
            to,
        }))
    }
}

#[async_trait]
impl Channel for FakeChannel {
    async fn deliver(&self, attempt: &Attempt<'_>) -> Result<Receipt, DeliveryError> {
        if self.channels.is_dead.load(Ordering::SeqCst) {
            return Err(DeliveryError {
                kind: DeliveryErrorKind::Permanent,
                text: "dead".to_owned(),
            });
        }
        let hangs = self.channels.hangs.lock().clone();
        if hangs.is_some_and(|hangs| self.to.ends_with(&hangs)) {
            return std::future::pending().await;
        }
        let down = self.channels.down.lock().clone();
        if down.is_some_and(|down| self.to.starts_with(&down)) {
            return Err(DeliveryError {
                kind: DeliveryErrorKind::Temporary { retry_after: None },
                text: "HTTP 500".to_owned(),
            });
        }
        if let Some(kind) = self.channels.errors.lock().pop_front() {
            let text = "451 4.3.0 try again".to_owned();
            return Err(DeliveryError { kind, text });
        }
        self.channels.sent.lock().push(Sent {
            id: attempt.id.to_owned(),
            to: self.to.clone(),
            message: attempt.message.clone(),
            at: attempt.now,
        });
        Ok(Receipt {
            confirmed: true,
            reply: "250 queued".to_owned(),
        })
    }
}

/// The facts, which the tests store as the body of the record.
pub(super) struct FakeFacts {
    pub store: Arc<dyn Store>,
    pub rechecks: Arc<Mutex<Rechecks>>,
}

/// The checks of records, and the number of times that one still fails.
#[derive(Default)]
pub(super) struct Rechecks {
    pub checked: Vec<String>,
    pub failures: BTreeMap<String, u32>,
}

#[async_trait]
impl RecordFacts for FakeFacts {
    async fn find(
        &self,
        record: &Pkid,
        grant: &str,
    ) -> Result<Option<ConnectionFacts>, HandlerError> {
        let found = self.store.get(&[Reference::record(record.clone())]).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Ok(None);
        };
        let body: Value = serde_json::from_str(&document.body)?;
        Ok(Some(ConnectionFacts {
            record: record.to_string(),
            customer: body["name"].as_str().unwrap().to_owned(),
            node: document.hierarchy,
            grant: grant.to_owned(),
            generation: body["generation"].as_u64().unwrap(),
            state: serde_json::from_value(body["state"].clone())?,
            expires: serde_json::from_value(body["expires"].clone())?,
            lifetime: body["lifetime"]
                .as_u64()
                .map(Duration::from_secs)
                .or(Some(90 * DAY)),
            failing_since: None,
            account_email: body["email"].as_str().map(str::to_owned),
            link: None,
        }))
    }

    async fn recheck(&self, record: &Pkid) -> Result<(), HandlerError> {
        let mut rechecks = self.rechecks.lock();
        if let Some(left) = rechecks.failures.get_mut(record.as_str())
            && *left > 0
        {
            *left -= 1;
            return Err("the record is busy".into());
        }
        rechecks.checked.push(record.to_string());
        Ok(())
    }
}

/// A layer that ends a process at one of its store operations, before or after the operation.
#[derive(Clone)]
pub(super) struct Kill {
    pub left: Arc<AtomicI64>,
    pub is_after: bool,
    pub is_dead: Arc<AtomicBool>,
}

impl StoreLayer for Kill {
    async fn wrap<T: Send>(
        &self,
        _: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let killed = || Err(StoreError::Unavailable("killed".to_owned()));
        if self.is_dead.load(Ordering::SeqCst) {
            return killed();
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.is_dead.store(true, Ordering::SeqCst);
            if self.is_after {
                let _ = work.await;
            }
            return killed();
        }
        work.await
    }
}
