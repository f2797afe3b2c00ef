//! One attempt of an activity: its heartbeats, its cancellation, and the time when its call was first requested.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use relation_host::Host;
use relation_host::types::Timestamp;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::calls::Heartbeat;

/// The time between two heartbeats. A worker that died is noticed after [`HEARTBEAT_TIMEOUT`].
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(4);
/// The time without a heartbeat after which Temporal gives an activity to another worker.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15);

/// An attempt that has begun.
pub struct Attempt {
    /// The host for the call: the call has a known transaction, and ends early if the activity is canceled.
    pub host: Host,
    /// The host's time when the call was first requested. It is the same in each attempt.
    pub requested_at: Timestamp,
    /// Sends heartbeats until it is dropped.
    _background: JoinSet<()>,
}

impl Attempt {
    /// Begins an attempt. Most calls end before the first heartbeat, which is a request to the server.
    pub async fn begin(host: &Host, context: &ActivityContext) -> Result<Self, ActivityError> {
        let earlier: Option<Heartbeat> = context.heartbeat_details().deserialize()?;
        let now = host.clock().now();
        let scheduled = scheduled_time(context).unwrap_or(now);
        let requested_at = match &earlier {
            Some(earlier) => earlier.requested_at,
            None => now.min(scheduled),
        };
        let stop = CancellationToken::new();
        let (called, transaction) = host.stopped_by(stop.clone()).for_transaction();
        let mut heartbeat = Heartbeat {
            requested_at,
            transaction: Some(transaction),
            progress: None,
        };
        // The next attempt would take the time of the server, which is ahead of this host's.
        if requested_at < scheduled {
            context.record_heartbeat(heartbeat.clone()).await?;
        }
        let mut background = JoinSet::new();
        let canceled = context.clone();
        background.spawn(async move {
            canceled.cancelled().await;
            stop.cancel();
        });
        let (host, context) = (host.clone(), context.clone());
        background.spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT_INTERVAL).await;
                if let Some(progress) = read_progress(&host, &heartbeat).await {
                    heartbeat.progress = Some(progress);
                }
                if let Err(error) = context.record_heartbeat(heartbeat.clone()).await {
                    tracing::warn!(%error, "a heartbeat could not be sent");
                }
            }
        });
        Ok(Self {
            host: called,
            requested_at,
            _background: background,
        })
    }
}

/// Returns the server's time when the activity was scheduled. It is the same in each attempt.
fn scheduled_time(context: &ActivityContext) -> Option<Timestamp> {
    let scheduled = context.info().scheduled_time?;
    let since = scheduled.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Timestamp)
}

/// Reads the progress of a call from its transaction. The texts of transactions have no secrets.
async fn read_progress(host: &Host, heartbeat: &Heartbeat) -> Option<String> {
    let store = Arc::clone(host.store());
    let transaction = store.transaction(heartbeat.transaction.as_ref()?).await;
    let progress = transaction.ok()??.progress?;
    Some(progress.to_string())
}
