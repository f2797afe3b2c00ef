//! The suite for transfers between SQLite files, and what only files show.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::*;
use crate::conformance::transfer::{self, TransferPair, TransferStores};
use crate::seal::{KeyFile, Sealer};
use crate::sqlite::{OpenError, SqliteOptions, SqliteStore};
use crate::{Change, Commit, DocumentStore as _};
use relation_types::Pkid;

const NOW: Timestamp = Timestamp(1_000_000);

struct FileStores(tempfile::TempDir);

impl FileStores {
    fn new() -> Arc<Self> {
        Arc::new(Self(tempfile::tempdir().unwrap()))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("relation.db")
    }

    fn open_file(&self) -> SqliteStore {
        SqliteStore::open_to_transfer(self.path(), &SqliteOptions::default(), true).unwrap()
    }

    fn open_as_host(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_existing(self.path(), &SqliteOptions::default())
    }

    fn open_to_read(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_to_read(self.path(), &SqliteOptions::default())
    }

    async fn open_sealer(&self, store: &SqliteStore) -> Sealer {
        let key = KeyFile::new(self.0.path().join("relation.key"));
        Sealer::open(store, key, NOW).await.unwrap()
    }
}

#[async_trait]
impl TransferStores for FileStores {
    async fn open(&self) -> Arc<dyn TransferStore> {
        Arc::new(self.open_file())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_between_files_pass_the_suite() {
    transfer::run(async || TransferPair {
        source: FileStores::new(),
        target: FileStores::new(),
    })
    .await;
}

#[tokio::test]
async fn store_in_use_is_refused() {
    let (from, into) = (FileStores::new(), FileStores::new());
    let (source, target) = (from.open_file(), into.open_file());
    let sealer = from.open_sealer(&source).await;
    let transfer = Transfer::new((&source, "one"), (&target, "two"), &sealer, 100);
    for stores in [&from, &into] {
        let host = stores.open_as_host().unwrap();
        let refused = transfer.run(NOW, |_| {}).await.unwrap_err();
        let TransferError::InUse { users, .. } = &refused else {
            panic!("{refused}");
        };
        let [user] = users.as_slice() else {
            panic!("{users:?}");
        };
        assert!(user.contains("relation.db-holder-"), "{user}");
        let plan = transfer.plan().await.unwrap();
        assert_eq!(plan.obstacles, [refused.to_string()]);
        // Hosts continue, and others may start.
        drop(host);
        stores.open_as_host().unwrap();
    }
}

#[tokio::test]
async fn hosts_cannot_open_stores_of_a_transfer() {
    let (from, into) = (FileStores::new(), FileStores::new());
    let (source, target) = (from.open_file(), into.open_file());
    let sealer = from.open_sealer(&source).await;
    let owner = Reference::record(Pkid::random());
    let value = SecretString::from("a token");
    let document = Document {
        reference: owner.clone(),
        hierarchy: "sys".parse().unwrap(),
        version: 0,
        body: "{}".to_owned(),
        keys: Vec::new(),
    };
    let secret = Change::PutSecret {
        owner: owner.clone(),
        name: "token".to_owned(),
        sealed: sealer.seal(&owner, "token", &value).unwrap(),
    };
    let commit = Commit {
        changes: vec![Change::Put(document), secret],
        ..Commit::default()
    };
    source.commit(commit).await.unwrap();
    let transfer = Transfer::new((&source, "one"), (&target, "two"), &sealer, 100);
    let mut texts = Vec::new();
    let done = transfer.run(NOW, |_| {
        if texts.is_empty() {
            let opened = [
                from.open_as_host(),
                into.open_as_host(),
                into.open_to_read(),
            ];
            texts = opened.map(|opened| opened.unwrap_err().to_string()).into();
            from.open_to_read().unwrap();
        }
    });
    done.await.unwrap();
    let [source_text, target_text, read_text] = texts.as_slice() else {
        panic!("{texts:?}");
    };
    assert!(source_text.ends_with("its move to two is not finished"));
    assert!(target_text.ends_with("the move of one into it is not finished"));
    assert_eq!(target_text, read_text);
    let refused = from.open_as_host().unwrap_err().to_string();
    assert!(refused.ends_with("it was moved to two"), "{refused}");
    from.open_to_read().unwrap();
    drop(target);
    let opened = into.open_as_host().unwrap();
    // The key file is the source's.
    let key = KeyFile::new(from.0.path().join("relation.key"));
    let sealer = Sealer::open(&opened, key, NOW).await.unwrap();
    let revealed = sealer.reveal(&opened, &owner, "token").await.unwrap();
    assert!(revealed.is_some());
}

#[tokio::test]
async fn rows_are_written_only_to_a_target() {
    let store = FileStores::new().open_file();
    let refused = store.write_rows(Vec::new()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
}
