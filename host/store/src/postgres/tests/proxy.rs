//! A proxy in front of a server, which cuts a connection at one statement.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use relation_test_postgres::{Cluster, Database};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// The moment of the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the statement is forwarded.
    Before,
    /// When the statement was forwarded.
    Sent,
    /// When the server has answered, and before the answer is forwarded.
    Answered,
}

type Plan = Arc<Mutex<Option<(String, Cut)>>>;

pub(super) struct Proxy {
    directory: TempDir,
    plan: Plan,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let directory = TempDir::with_prefix_in("pgx-", "/tmp").unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let server = cluster.directory().join(".s.PGSQL.5432");
        let plan = Plan::default();
        let shared = Arc::clone(&plan);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), Arc::clone(&shared)));
            }
        });
        Self {
            directory,
            plan,
            task,
        }
    }

    pub(super) fn url(&self, database: &Database) -> String {
        let directory = self.directory.path().display().to_string();
        let directory = directory.replace('/', "%2F");
        format!("postgresql://postgres@{directory}/{}", database.name())
    }

    /// Cuts the connection of the next execution with a parameter that contains `text`.
    pub(super) fn cut(&self, text: &str, cut: Cut) {
        *self.plan.lock() = Some((text.to_owned(), cut));
    }

    /// Returns whether the planned cut was made.
    pub(super) fn has_cut(&self) -> bool {
        self.plan.lock().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut client: UnixStream, server: PathBuf, plan: Plan) {
    let Ok(mut server) = UnixStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut unit = Vec::new();
    let mut answer = vec![0; 1 << 16];
    let mut started = false;
    let mut swallow = false;
    let mut received = vec![0; 1 << 16];
    let mut pending = Vec::new();
    loop {
        tokio::select! {
            length = from_server.read(&mut answer) => {
                let Ok(length @ 1..) = length else { return };
                if swallow || to_client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
            length = from_client.read(&mut received) => {
                let Ok(length @ 1..) = length else { return };
                pending.extend_from_slice(&received[..length]);
                while let Some((kind, frame)) = take_frame(&mut pending, &mut started) {
                    unit.extend_from_slice(&frame);
                    // An execution is sent with its values and a Sync.
                    if !matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C') {
                        let cut = find_cut(&plan, &unit);
                        if cut == Some(Cut::Before) {
                            return;
                        }
                        swallow |= cut == Some(Cut::Answered);
                        if to_server.write_all(&unit).await.is_err() || cut == Some(Cut::Sent) {
                            return;
                        }
                        unit.clear();
                    }
                }
            }
        }
    }
}

fn find_cut(plan: &Plan, unit: &[u8]) -> Option<Cut> {
    let mut plan = plan.lock();
    let (text, cut) = plan.as_ref()?;
    let cut = *cut;
    let text = text.as_bytes();
    if !unit.windows(text.len()).any(|part| part == text) {
        return None;
    }
    *plan = None;
    Some(cut)
}

/// Takes one frame: its kind, and its bytes. The first one has no kind.
fn take_frame(pending: &mut Vec<u8>, started: &mut bool) -> Option<(u8, Vec<u8>)> {
    let head = usize::from(*started);
    let length: [u8; 4] = pending.get(head..head + 4)?.try_into().unwrap();
    let length = head + u32::from_be_bytes(length) as usize;
    if pending.len() < length {
        return None;
    }
    let kind = if *started { pending[0] } else { 0 };
    *started = true;
    Some((kind, pending.drain(..length).collect()))
}
