//! Live progress: a stream of events for a browser, which reads the store, so any host can serve it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use relation_host::transactions::Transaction;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::texts::Language;
use super::transactions::{Update, is_running, read};
use super::ui::Ui;
use crate::access::sessions::{self, Session};
use crate::access::{AccessParts, Allowed, permission};
use crate::{Web, WebError};

/// The time between two reads of a watched transaction. All its streams share the read.
const READ_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two comments, which keep proxies from closing a stream.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// The time between two checks of the session, which ends when its user is disabled or gets other roles.
const SESSION_INTERVAL: Duration = Duration::from_secs(2);
/// The time between two checks of the principal's right. The stream ends for another check by a new request.
const RIGHTS_INTERVAL: Duration = Duration::from_secs(60);

type Snapshot = Option<Arc<Transaction>>;

/// The transactions that streams of this host follow.
#[derive(Clone, Default)]
pub(crate) struct Live {
    watched: Arc<Mutex<HashMap<String, watch::Sender<Snapshot>>>>,
}

impl Live {
    /// Follows a transaction. The first stream of all starts the task that reads, the last one ends it.
    fn subscribe(&self, web: &Web, transaction: Transaction) -> watch::Receiver<Snapshot> {
        let mut watched = self.watched.lock();
        let is_idle = watched.is_empty();
        let sender = watched
            .entry(transaction.id.clone())
            .or_insert_with(|| watch::channel(Some(Arc::new(transaction))).0);
        let receiver = sender.subscribe();
        if is_idle {
            tokio::spawn(self.clone().read(web.clone()));
        }
        receiver
    }

    /// Returns the followed transactions, without those that no stream follows any more.
    fn followed(&self) -> Vec<String> {
        let mut watched = self.watched.lock();
        watched.retain(|_, sender| sender.receiver_count() > 0);
        watched.keys().cloned().collect()
    }

    async fn read(self, web: Web) {
        loop {
            tokio::time::sleep(READ_INTERVAL).await;
            let followed = self.followed();
            if followed.is_empty() {
                return;
            }
            for id in followed {
                match web.store().transaction(&id).await {
                    Ok(found) => self.publish(&id, found.map(Arc::new)),
                    Err(error) => {
                        tracing::warn!(%error, "the progress of a transaction cannot be read")
                    }
                }
            }
        }
    }

    fn publish(&self, id: &str, found: Snapshot) {
        let watched = self.watched.lock();
        if let Some(sender) = watched.get(id) {
            sender.send_if_modified(|known| {
                let is_new = *known != found;
                *known = found;
                is_new
            });
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventsQuery {
    transaction: String,
    from: usize,
}

/// Streams the progress of a transaction until it ends.
pub(crate) async fn events(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    session: Option<Extension<Arc<Session>>>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let transaction = read(&web, &allowed, &query.transaction).await?;
    // A browser that reconnects names the position of the last event.
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let position = last
        .and_then(|last| last.parse().ok())
        .unwrap_or(query.from);
    let mut receiver = web.live().subscribe(&web, transaction);
    receiver.mark_changed();
    let follower = Follower {
        receiver,
        position,
        language: ui.language,
        parts: web.access().clone(),
        session: session.map(|Extension(session)| session),
        next_check: Instant::now() + SESSION_INTERVAL,
        until: Instant::now() + RIGHTS_INTERVAL,
        shutdown: web.options().shutdown.clone(),
        ended: false,
    };
    let comments = KeepAlive::new().interval(COMMENT_INTERVAL);
    let mut response = Sse::new(follower.into_stream())
        .keep_alive(comments)
        .into_response();
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A stream of one browser.
struct Follower {
    receiver: watch::Receiver<Snapshot>,
    position: usize,
    language: Language,
    parts: AccessParts,
    /// The session of the request; `None`: another kind of principal.
    session: Option<Arc<Session>>,
    next_check: Instant,
    until: Instant,
    shutdown: CancellationToken,
    ended: bool,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        tokio::select! {
            changed = self.receiver.changed() => changed.ok()?,
            // The browser reconnects, and the new request is checked like every other one.
            () = tokio::time::sleep_until(self.until) => return None,
            () = wait_for_end(&self.parts, self.session.as_deref(), &mut self.next_check) => return None,
            () = self.shutdown.cancelled() => return None,
        }
        let snapshot = self.receiver.borrow_and_update().clone()?;
        let update = Update::new(&snapshot, self.position, self.language);
        self.position = update.position;
        self.ended = !is_running(&snapshot);
        let event = Event::default().id(self.position.to_string());
        event.json_data(&update).ok()
    }
}

/// Waits for the end of a session. A store that cannot be read ends the stream too: a new request reports it.
async fn wait_for_end(parts: &AccessParts, session: Option<&Session>, next_check: &mut Instant) {
    let Some(session) = session else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep_until(*next_check).await;
        if !matches!(sessions::is_valid(parts, session).await, Ok(true)) {
            return;
        }
        *next_check = Instant::now() + SESSION_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use relation_host::transactions::NewTransaction;

    use super::*;
    use crate::access::testing::{PASSWORD, World};
    use crate::access::{Authority, users};

    #[tokio::test(start_paused = true)]
    async fn stream_of_a_disabled_user_ends_soon() {
        let world = World::new();
        let user = world.add_with_password("ada", "operator", "sys.R").await;
        let new = world.log_in("ada", PASSWORD).await.unwrap();
        let transaction = NewTransaction {
            id: "t1".to_owned(),
            ..NewTransaction::default()
        };
        let running = Arc::new(transaction.into());
        let (sender, receiver) = watch::channel(Some(running));
        let mut follower = Follower {
            receiver,
            position: 0,
            language: Language::default(),
            parts: world.parts.clone(),
            session: Some(Arc::new(new.session)),
            next_check: Instant::now() + SESSION_INTERVAL,
            until: Instant::now() + RIGHTS_INTERVAL,
            shutdown: CancellationToken::new(),
            ended: false,
        };
        follower.receiver.mark_changed();
        assert!(follower.next().await.is_some());
        users::disable(&world.parts, &Authority::Operator, &user.pkid)
            .await
            .unwrap();
        let disabled = Instant::now();
        assert!(follower.next().await.is_none());
        let elapsed = disabled.elapsed();
        assert!(elapsed <= 2 * SESSION_INTERVAL, "{elapsed:?}");
        drop(sender);
    }
}
