//! The contract of [`TransferStore`], for a pair of stores.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::builders::{at, key, pkid};
use super::transfer_contents::fill;
use crate::seal::{KeyEncryptionKey, KeyError, KeyProvider, Sealer};
use crate::transfer::{
    Row, RowKind, Transfer, TransferError, TransferReport, TransferStore, release,
};
use crate::{Change, Commit, SORT_KEYS, SortOrder, Store};
use relation_types::transactions::TransactionFilter;
use relation_types::{Document, Filter, Reference, Scope};

/// One location, and the stores that open it for a transfer.
#[async_trait]
pub trait TransferStores: Send + Sync + 'static {
    /// Opens the location: empty the first time, later with its data. A case drops a store before it opens the location
    /// again.
    async fn open(&self) -> Arc<dyn TransferStore>;
}

/// A pair of locations.
pub struct TransferPair {
    /// The location of the source.
    pub source: Arc<dyn TransferStores>,
    /// The location of the target.
    pub target: Arc<dyn TransferStores>,
}

/// The text that only sealed values have.
const CANARY: &str = "canary-of-a-secret";

/// The key-encryption key of both stores.
pub(super) struct SharedKey;

impl KeyProvider for SharedKey {
    fn load(&self) -> Result<Option<KeyEncryptionKey>, KeyError> {
        Ok(Some(KeyEncryptionKey::new(Zeroizing::new([3; 32]))))
    }

    fn create(&self) -> Result<KeyEncryptionKey, KeyError> {
        Ok(KeyEncryptionKey::new(Zeroizing::new([3; 32])))
    }

    fn describe(&self) -> String {
        "the key of the suite".to_owned()
    }
}

/// Both stores of a pair, open.
struct Opened {
    source: Arc<dyn TransferStore>,
    target: Arc<dyn TransferStore>,
    sealer: Sealer,
}

impl TransferPair {
    async fn open(&self) -> Opened {
        let source = self.source.open().await;
        let sealer = Sealer::open(source.as_ref(), SharedKey, at(0)).await;
        Opened {
            target: self.target.open().await,
            sealer: sealer.unwrap(),
            source,
        }
    }
}

impl Opened {
    fn transfer(&self) -> Transfer<'_> {
        let source = (self.source.as_ref(), "the source");
        Transfer::new(
            source,
            (self.target.as_ref(), "the target"),
            &self.sealer,
            3,
        )
    }

    async fn run(&self) -> Result<TransferReport, TransferError> {
        self.transfer().run(at(1000), |_| {}).await
    }

    async fn assert_same(&self) {
        let resealer = Sealer::open(self.target.as_ref(), SharedKey, at(0)).await;
        let resealer = resealer.unwrap();
        assert_eq!(
            dump(&self.source, &self.sealer).await,
            dump(&self.target, &resealer).await
        );
        assert_eq!(
            lists(self.source.as_ref()).await,
            lists(self.target.as_ref()).await
        );
    }
}

/// Runs the suite, each case on its own pair from `make`, and panics at the first broken promise.
pub async fn run(make: impl AsyncFn() -> TransferPair) {
    for seed in 0..4 {
        everything_is_moved(&make().await, seed).await;
    }
    interrupted_transfer_continues(&make().await, &make).await;
    target_must_be_empty(&make().await).await;
    changed_source_is_detected(&make().await).await;
    running_call_prevents_the_transfer(&make().await).await;
    store_takes_part_in_one_transfer(&make().await, &make().await).await;
    released_source_is_usable(&make().await).await;
}

async fn everything_is_moved(pair: &TransferPair, seed: u64) {
    let opened = pair.open().await;
    fill(opened.source.as_ref(), &opened.sealer, seed, CANARY).await;
    let plan = opened.transfer().plan().await.unwrap();
    assert_eq!(plan.obstacles, Vec::<String>::new());
    let report = opened.run().await.unwrap();
    let planned: Vec<u64> = plan.to_move.iter().map(|rows| rows.count).collect();
    let moved: Vec<u64> = report.moved.iter().map(|rows| rows.count).collect();
    assert_eq!(planned, moved);
    assert!(moved.iter().all(|count| *count > 0), "{report:?}");
    assert!(!format!("{report:?}").contains(CANARY));
    opened.assert_same().await;
    // New numbers are greater than all old ones.
    let last = opened.source.last_number().await.unwrap();
    assert!(opened.target.last_number().await.unwrap() >= last);
    // Hosts use the target.
    assert_eq!(opened.target.transfer_mark().await.unwrap(), None);
    let mark = opened.source.transfer_mark().await.unwrap().unwrap();
    assert!(mark.finished);
    assert_eq!(mark.to_string(), "it was moved to the target");
    // A value of the source does not open in the target.
    let resealer = Sealer::open(opened.target.as_ref(), SharedKey, at(0)).await;
    let resealer = resealer.unwrap();
    let (kind, first) = (RowKind::Secrets, Default::default());
    for row in opened.source.read_rows(kind, &first, 100).await.unwrap() {
        if let Row::Secret(secret) = row {
            assert!(resealer.open_stored(&secret).is_err(), "{secret:?}");
        }
    }
    let again = opened.run().await.unwrap();
    assert!(again.finished_before, "{again:?}");
}

/// Stops a transfer at every report of progress, each time with another target.
async fn interrupted_transfer_continues(
    pair: &TransferPair,
    make: &impl AsyncFn() -> TransferPair,
) {
    let mut opened = pair.open().await;
    fill(opened.source.as_ref(), &opened.sealer, 1, CANARY).await;
    for stop in 1.. {
        let target = make().await.target;
        opened.target = target.open().await;
        let finished = run_until(&opened, stop).await;
        if !finished {
            let marked = opened.target.transfer_mark().await.unwrap();
            assert!(marked.is_some(), "stopped at {stop}");
            // A write that was under way when the transfer stopped has ended before the store is opened again.
            opened.target = Arc::clone(&opened.source);
            opened.target = target.open().await;
            let report = opened.run().await;
            let report = report.unwrap_or_else(|error| panic!("stopped at {stop}: {error}"));
            assert!(report.continued);
        }
        opened.assert_same().await;
        if finished {
            assert!(stop > 20, "there were only {stop} steps");
            return;
        }
        release(opened.source.as_ref(), "the source").await.unwrap();
    }
}

/// Runs a transfer up to its `stop`-th report of progress; returns whether it ended before.
async fn run_until(opened: &Opened, stop: u32) -> bool {
    let reports = AtomicU32::new(0);
    let transfer = opened.transfer();
    let mut running = pin!(transfer.run(at(1000), |_| {
        reports.fetch_add(1, Ordering::Relaxed);
    }));
    std::future::poll_fn(|context| match running.as_mut().poll(context) {
        _ if reports.load(Ordering::Relaxed) >= stop => Poll::Ready(false),
        Poll::Ready(result) => {
            result.unwrap();
            Poll::Ready(true)
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn target_must_be_empty(pair: &TransferPair) {
    let opened = pair.open().await;
    fill(opened.source.as_ref(), &opened.sealer, 1, CANARY).await;
    put(opened.target.as_ref(), &reference(1)).await;
    let refused = opened.run().await.unwrap_err();
    assert!(
        matches!(refused, TransferError::NotEmpty { .. }),
        "{refused}"
    );
    let plan = opened.transfer().plan().await.unwrap();
    assert_eq!(plan.obstacles, [refused.to_string()]);
    assert_unmarked(&opened).await;
}

async fn changed_source_is_detected(pair: &TransferPair) {
    let opened = pair.open().await;
    fill(opened.source.as_ref(), &opened.sealer, 1, CANARY).await;
    // Another program wrote to the source after its documents were copied.
    assert!(!run_until(&opened, 15).await);
    let mark = opened.source.transfer_mark().await.unwrap();
    opened.source.set_transfer_mark(None).await.unwrap();
    let first = Default::default();
    let found = opened.source.read_rows(RowKind::Documents, &first, 1).await;
    let Some(Row::Document(document)) = found.unwrap().pop() else {
        panic!("no documents");
    };
    put(opened.source.as_ref(), &document.reference).await;
    opened.source.set_transfer_mark(mark).await.unwrap();
    let refused = opened.run().await.unwrap_err();
    let TransferError::Different { kind, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*kind, RowKind::Documents);
    assert!(refused.to_string().contains("different contents"));
    let into = opened.target.transfer_mark().await.unwrap();
    assert!(into.is_some(), "the target can be opened");
}

async fn running_call_prevents_the_transfer(pair: &TransferPair) {
    let opened = pair.open().await;
    let subject = reference(1);
    put(opened.source.as_ref(), &subject).await;
    let begin = super::builders::begin("t1", &subject, at(1000));
    opened.source.begin(begin).await.unwrap();
    let refused = opened.run().await.unwrap_err();
    let TransferError::OpenCalls { calls, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(calls, &[subject.to_string(), "transaction t1".to_owned()]);
    assert_unmarked(&opened).await;
}

async fn store_takes_part_in_one_transfer(pair: &TransferPair, other: &TransferPair) {
    let mut opened = pair.open().await;
    fill(opened.source.as_ref(), &opened.sealer, 1, CANARY).await;
    assert!(!run_until(&opened, 5).await);
    let into = opened.target.transfer_mark().await.unwrap();
    // The target cannot be the source of another transfer, or the source have another target.
    opened.target = other.target.open().await;
    let refused = opened.run().await.unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("its move to the target is not finished"),
        "{refused}"
    );
    assert!(into.is_some_and(|mark| !mark.permits_reading()));
    let source = (opened.source.as_ref(), "the source");
    let itself = Transfer::new(source, source, &opened.sealer, 3);
    let refused = itself.run(at(1000), |_| {}).await.unwrap_err();
    assert!(matches!(refused, TransferError::SameStore(_)), "{refused}");
}

async fn released_source_is_usable(pair: &TransferPair) {
    let opened = pair.open().await;
    let source = opened.source.as_ref();
    fill(source, &opened.sealer, 1, CANARY).await;
    let refused = release(source, "the source").await.unwrap_err();
    assert!(matches!(refused, TransferError::NotMoved(_)), "{refused}");
    opened.run().await.unwrap();
    let mark = release(source, "the source").await.unwrap();
    assert!(mark.finished);
    assert_eq!(source.transfer_mark().await.unwrap(), None);
    put(source, &reference(99)).await;
}

async fn assert_unmarked(opened: &Opened) {
    for store in [&opened.source, &opened.target] {
        assert_eq!(store.transfer_mark().await.unwrap(), None);
    }
    put(opened.source.as_ref(), &reference(99)).await;
}

fn reference(number: u64) -> Reference {
    Reference::new("data/Other", pkid(number))
}

async fn put(store: &dyn Store, reference: &Reference) {
    let document = Document {
        reference: reference.clone(),
        hierarchy: "sys".parse().unwrap(),
        version: 0,
        body: r#"{"changed":true}"#.to_owned(),
        keys: vec![key("name", "changed")],
    };
    let commit = Commit {
        changes: vec![Change::Put(document)],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();
}

/// Returns all rows, with the clear values of secrets in place of the stored bytes.
async fn dump(store: &Arc<dyn TransferStore>, sealer: &Sealer) -> BTreeMap<RowKind, Vec<String>> {
    let mut all = BTreeMap::new();
    for kind in RowKind::ALL {
        let rows = store.read_rows(kind, &Default::default(), 10_000).await;
        let texts = rows.unwrap().into_iter().map(|row| match row {
            Row::Secret(secret) => {
                let clear = sealer.open_stored(&secret);
                let clear = clear.map(|clear: SecretString| clear.expose_secret().to_owned());
                let bytes = clear.is_err().then_some(secret.bytes);
                let reason = secret.quarantined.map(|known| known.reason);
                let (owner, name) = (secret.owner, secret.name);
                format!("{owner} {name} {:?} {bytes:?} {reason:?}", clear.ok())
            }
            row => format!("{row:?}").replace("\\0", "\u{fffd}"),
        });
        all.insert(kind, texts.collect());
    }
    all
}

/// Returns the listings that depend on further tables.
async fn lists(store: &dyn Store) -> Vec<String> {
    let mut lists = Vec::new();
    for node in ["sys", "sys.A", "sys.A.B"] {
        for scope in [Scope::Node, Scope::Subtree] {
            let at_node = Some((node.parse().unwrap(), scope));
            let filter = TransactionFilter {
                hierarchy: at_node.clone(),
                ..TransactionFilter::default()
            };
            let found = store.transactions(&filter, None, 1000).await.unwrap();
            let ids: Vec<String> = found.items.into_iter().map(|found| found.id).collect();
            lists.push(format!("{ids:?}"));
            for (model, name) in SORT_KEYS {
                let filter = Filter {
                    model: (*model).to_owned(),
                    hierarchy: at_node.clone(),
                    equals: Vec::new(),
                };
                let order = SortOrder {
                    key: Some((*name).to_owned()),
                    descending: false,
                };
                let found = store.list(&filter, &order, None, 1000).await.unwrap();
                lists.push(format!("{:?}", found.items));
            }
        }
    }
    for value in 0..3 {
        let filter = Filter {
            model: relation_types::RECORD_MODEL.to_owned(),
            hierarchy: None,
            equals: vec![key("b", &value.to_string())],
        };
        let found = store.find_pkids(&filter, None, 1000).await.unwrap();
        lists.push(format!("{:?}", found.items));
    }
    let due = store.due(at(500), 1000, crate::KindFilter::All).await;
    lists.push(format!("{:?}", due.unwrap()));
    lists
}
