//! Direct access to a host's database file, as anybody with SQLite has it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use serde_json::Value;

/// A database file.
pub struct Database(Connection);

impl Database {
    /// Opens an existing database.
    pub fn open(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(path, flags)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        connection
            .busy_timeout(Duration::from_secs(5))
            .expect("a timeout can be set");
        Self(connection)
    }

    /// Returns the record's version and its body.
    pub fn record(&self, pkid: &str) -> Option<(i64, Value)> {
        let found: Option<(i64, String)> = self
            .0
            .query_row(
                "SELECT version, body FROM documents WHERE model = 'data/SparkCustomer' AND pkid = ?1",
                [pkid],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .expect("the database can be read");
        found.map(|(version, body)| (version, serde_json::from_str(&body).expect("a JSON body")))
    }

    /// Counts the sealed secrets per data key, as the sealed values themselves name it.
    pub fn secrets_by_key(&self) -> BTreeMap<u32, usize> {
        let mut statement = self
            .0
            .prepare("SELECT substr(sealed, 2, 4) FROM secrets")
            .expect("a table of secrets");
        let keys = statement
            .query_map([], |row| row.get::<_, [u8; 4]>(0))
            .expect("the secrets can be read");
        let mut counts = BTreeMap::new();
        for key in keys {
            let key = u32::from_be_bytes(key.expect("a sealed value names its key"));
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// Returns the stored bytes of a secret of a record.
    pub fn secret(&self, pkid: &str, name: &str) -> Vec<u8> {
        self.0
            .query_row(
                "SELECT sealed FROM secrets WHERE pkid = ?1 AND name = ?2",
                [pkid, name],
                |row| row.get(0),
            )
            .expect("the secret is there")
    }

    /// Overwrites the stored bytes of a secret of a record.
    pub fn overwrite_secret(&self, pkid: &str, name: &str, bytes: &[u8]) {
        let changed = self.0.execute(
            "UPDATE secrets SET sealed = ?3 WHERE pkid = ?1 AND name = ?2",
            (pkid, name, bytes),
        );
        assert_eq!(changed.expect("the database can be written"), 1);
    }

    /// Overwrites the notice settings of all nodes with some that no release can read.
    pub fn break_settings(&self) {
        let changed = self.0.execute(
            "UPDATE documents SET body = '{\"later\": 1}' WHERE model = 'host/NoticeSettings'",
            [],
        );
        assert_ne!(changed.expect("the database can be written"), 0);
    }

    /// Keeps every other process from writing until unlocked or dropped.
    pub fn lock(&self) {
        self.0
            .execute_batch("BEGIN IMMEDIATE")
            .expect("the lock is free in time");
    }

    /// Lets other processes write again.
    pub fn unlock(&self) {
        self.0.execute_batch("ROLLBACK").expect("it was locked");
    }

    /// Returns the names of all tables.
    pub fn tables(&self) -> Vec<String> {
        let mut statement = self
            .0
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .expect("the schema can be read");
        let names = statement.query_map([], |row| row.get(0));
        names
            .and_then(Iterator::collect)
            .expect("the schema can be read")
    }

    /// Returns the tables with this text in any column, including blobs.
    pub fn tables_that_mention(&self, text: &str) -> Vec<String> {
        let mut tables = self.tables();
        tables.retain(|table| self.mentions(table, text));
        tables
    }

    fn mentions(&self, table: &str, text: &str) -> bool {
        let all = format!("SELECT * FROM \"{table}\"");
        let mut statement = self.0.prepare(&all).expect("a table");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("a table can be read");
        while let Some(row) = rows.next().expect("a table can be read") {
            for column in 0..columns {
                let found = match row.get_ref(column).expect("a column") {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        String::from_utf8_lossy(bytes).contains(text)
                    }
                    ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Null => false,
                };
                if found {
                    return true;
                }
            }
        }
        false
    }
}
