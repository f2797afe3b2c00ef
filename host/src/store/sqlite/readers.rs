//! Connections for reading: as many as read at once, kept for the next.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::Connection;

use super::fault::Done;
use super::open::{Reading, open_reader};
use crate::store::StoreError;
use crate::sync::lock;

/// More idle connections than this are closed; each holds some memory and three file handles.
const IDLE: usize = 8;

pub(super) enum Readers {
    /// Each read has a connection of its own and is not held up by the writer.
    File {
        path: PathBuf,
        busy: Duration,
        reading: Reading,
        idle: Mutex<Vec<Connection>>,
    },
    /// A database in memory has one connection for all.
    Memory(Arc<Mutex<Connection>>),
}

impl Readers {
    pub(super) fn of_file(path: PathBuf, busy: Duration, reading: Reading) -> Self {
        Self::File {
            path,
            busy,
            reading,
            idle: Mutex::default(),
        }
    }

    /// A short read, done at once on the thread that asks: it touches a handful of pages and waits
    /// for nobody, so handing it to another thread would cost more than the read itself.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Done<T>,
    ) -> Result<T, StoreError> {
        Ok(self.run(work)?)
    }

    /// A read of a page or more, on one snapshot, away from the threads that the runtime needs.
    pub(super) async fn read_aside<T, F>(self: &Arc<Self>, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Done<T> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let read = move || readers.run(|connection| snapshot(connection, work));
        let done = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(read)
                .await
                .map_err(|error| StoreError::Unavailable(format!("a read broke off: {error}")))?,
            Err(_) => read(),
        };
        Ok(done?)
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Done<T>) -> Done<T> {
        match self {
            Self::Memory(connection) => work(&lock(connection)),
            Self::File {
                path,
                busy,
                reading,
                idle,
            } => {
                let found = lock(idle).pop();
                let connection = match found {
                    Some(connection) => connection,
                    None => open_reader(path, *busy, *reading)?,
                };
                let done = work(&connection);
                // A read that broke off in the middle of a snapshot would keep it for the next.
                if connection.is_autocommit() {
                    let mut free = lock(idle);
                    if free.len() < IDLE {
                        free.push(connection);
                    }
                }
                done
            }
        }
    }
}

/// Runs `work` on one snapshot of the database, however many statements it has.
fn snapshot<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Done<T>) -> Done<T> {
    let transaction = connection.unchecked_transaction()?;
    let done = work(connection)?;
    transaction.commit()?;
    Ok(done)
}
