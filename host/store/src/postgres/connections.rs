//! The connections to the server, which statements share: a client sends the next statement before the answer to the
//! former one has come.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use uuid::Uuid;

use super::error::{Class, PgError, Result, WriteError, classify};
use super::{Lane, Parameters};
use crate::StoreError;

/// The connections of one store.
pub(super) struct Connections {
    config: Config,
    read: Vec<Slot>,
    slow: Vec<Slot>,
    write: Vec<Slot>,
}

/// The place of one connection.
#[derive(Default)]
struct Slot {
    live: tokio::sync::Mutex<Option<Arc<Live>>>,
    running: AtomicUsize,
}

/// One connection with its prepared statements.
struct Live {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
}

impl Connections {
    pub(super) fn new(config: Config) -> Self {
        let slots = |count| (0..count).map(|_| Slot::default()).collect();
        Self {
            config,
            read: slots(2),
            slow: slots(1),
            write: slots(4),
        }
    }

    pub(super) async fn read(
        &self,
        lane: Lane,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let slots = match lane {
            Lane::Read => &self.read,
            Lane::Slow => &self.slow,
        };
        let rows = self.run(slots, statement, parameters).await;
        match rows {
            Err(error) if classify(&error) != Class::Final => {
                Ok(self.run(slots, statement, parameters).await?)
            }
            rows => Ok(rows?),
        }
    }

    pub(super) async fn write(
        &self,
        function: &str,
        parameters: Parameters<'_>,
    ) -> Result<String, WriteError> {
        let numbers: Vec<String> = (1..=parameters.len() + 1)
            .map(|n| format!("${n}"))
            .collect();
        let statement = format!("SELECT {function}({})", numbers.join(","));
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let id = Uuid::new_v4();
            let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&id, Type::UUID)];
            values.extend(parameters.iter().cloned());
            let rows = match self.run(&self.write, &statement, &values).await {
                Err(error) if classify(&error) == Class::Again && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(u64::from(id.as_bytes()[0]) / 8))
                        .await;
                    continue;
                }
                rows => rows?,
            };
            let row = rows
                .first()
                .ok_or_else(|| StoreError::Corrupt(format!("{function} has returned no row")))?;
            return Ok(row.try_get::<_, Option<String>>(0)?.unwrap_or_default());
        }
    }

    async fn run(
        &self,
        slots: &[Slot],
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let slot = slots
            .iter()
            .min_by_key(|slot| slot.running.load(Ordering::Relaxed));
        let Some(slot) = slot else {
            return Ok(Vec::new());
        };
        slot.running.fetch_add(1, Ordering::Relaxed);
        let rows = self.run_in(slot, statement, parameters).await;
        slot.running.fetch_sub(1, Ordering::Relaxed);
        rows
    }

    async fn run_in(
        &self,
        slot: &Slot,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let live = slot.open(&self.config).await?;
        let prepared = live.statements.lock().get(statement).cloned();
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => {
                let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
                let prepared = live.client.prepare_typed(statement, &types).await?;
                live.statements
                    .lock()
                    .insert(statement.to_owned(), prepared.clone());
                prepared
            }
        };
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        live.client.query(&prepared, &values).await
    }
}

impl Slot {
    async fn open(&self, config: &Config) -> Result<Arc<Live>, tokio_postgres::Error> {
        let mut slot = self.live.lock().await;
        if let Some(live) = &*slot
            && !live.client.is_closed()
        {
            return Ok(Arc::clone(live));
        }
        let live = Arc::new(Live {
            client: connect(config).await?,
            statements: Mutex::default(),
        });
        *slot = Some(Arc::clone(&live));
        Ok(live)
    }
}

/// Opens one connection.
pub(super) async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(
                "a connection to PostgreSQL ended: {}",
                PgError::from(error).0
            );
        }
    });
    Ok(client)
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}
