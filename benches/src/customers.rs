//! Populates stores with thousands of customers: drafts what `add` would write, and commits it in
//! batches.
//!
//! The plugin's own `add` runs natively on a draft platform, which keeps the changes to commit and
//! sends no requests.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use relation_host::store::{Change as StoredChange, Commit};
use relation_host::types::{Pkid, Reference};
use relation_host::wakeup_kinds;
use serde_json::json;
use spark_customer::platform::{
    self as plugin, Change, Check, Document, Environment, Failure, Filter, Http, HttpError,
    HttpRequest, HttpResponse, Level, OnUnavailable, Page, RECORD_MODEL, Secret, Secrets, Storage,
    Wakeup,
};
use spark_customer::workflows::add;

use crate::native::convert;
use crate::token_server::token_response;
use crate::world::Parts;

/// Number of customers per commit.
const BATCH: u64 = 2_000;

/// Milliseconds in a day.
const DAY: u64 = 86_400_000;

/// The part of each customer that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything that `add` creates.
    Whole,
    /// The record with its keys, sealed tokens and wakeups, without its data syncs and schedules: a
    /// mass that makes the tables long.
    Record,
}

/// Returns the key of customer `index`.
pub fn pkid(index: u64) -> Result<Pkid> {
    convert::pkid(&format!("{index:024x}"))
}

/// Returns the node of customer `index`: a thousand customers per reseller.
pub fn node(index: u64) -> String {
    format!("sys.Provider.Reseller{}.Customer{index}", index / 1000)
}

/// Returns the name of customer `index`.
pub fn name(index: u64) -> String {
    format!("Customer {index:07}")
}

/// Whether a wakeup begins or continues an import.
fn is_import(wakeup: &str) -> bool {
    wakeup.split('.').next() == Some(wakeup_kinds::SYNC)
}

/// Adds customers `first..end`, in as few commits as is sensible.
pub async fn populate(parts: &Arc<Parts>, first: u64, end: u64, extent: Extent) -> Result<()> {
    let drafts = |first: u64| {
        let parts = Arc::clone(parts);
        let end = end.min(first.saturating_add(BATCH));
        tokio::task::spawn_blocking(move || batch(&parts, first, end, extent))
    };
    let mut next = first;
    let mut ready = drafts(next);
    while next < end {
        let changes = ready.await??;
        next = next.saturating_add(BATCH);
        // Draft the next batch while this one is written.
        ready = drafts(next.min(end));
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        parts
            .store
            .commit(commit)
            .await
            .context("adding customers")?;
    }
    Ok(())
}

/// Makes the refresh of each of these customers due now.
pub async fn make_due(parts: &Parts, customers: std::ops::Range<u64>) -> Result<()> {
    let due = parts.clock.now();
    let mut changes = Vec::new();
    for index in customers {
        changes.push(StoredChange::Schedule(relation_host::types::Wakeup {
            id: spark_customer::grant::Grant::Organization
                .refresh_wakeup()
                .to_owned(),
            subject: Reference::record(pkid(index)?),
            due,
            deadline: None,
            payload: String::new(),
        }));
    }
    let commit = Commit {
        changes,
        ..Commit::default()
    };
    Ok(parts.store.commit(commit).await?)
}

fn batch(parts: &Parts, first: u64, end: u64, extent: Extent) -> Result<Vec<StoredChange>> {
    let mut changes = Vec::new();
    for index in first..end {
        let mass = extent == Extent::Record;
        for change in draft(parts, index)? {
            let change = match change {
                Change::Put(part) if mass && part.reference.model != RECORD_MODEL => continue,
                // Pasted tokens start an import; the benchmarks measure refreshes.
                Change::Schedule(wakeup) if is_import(&wakeup.id) => continue,
                // Due in the order of creation, and none of them within the time of a benchmark.
                Change::Schedule(wakeup) if mass => Change::Schedule(Wakeup {
                    due: parts.clock.now().0 + DAY + index,
                    ..wakeup
                }),
                change => change,
            };
            changes.push(convert::change(&parts.sealer, change)?);
        }
    }
    Ok(changes)
}

fn draft(parts: &Parts, index: u64) -> Result<Vec<Change>> {
    let platform = DraftPlatform {
        parts,
        index,
        made_pkids: RefCell::new(0),
        changes: RefCell::default(),
    };
    let fields = json!({
        "name": name(index),
        "account_number_external": format!("00000000-0000-4000-8000-{index:012x}"),
        "account_email": "admin@example.com",
    });
    let request = add::Request {
        pkid: pkid(index)?.to_string(),
        hierarchy: node(index),
        fields: Secret::new(fields.to_string()),
        token_response: Some(Secret::new(token_response())),
        idempotency_key: None,
    };
    add::add(&platform, request)
        .map_err(|failure| anyhow!("adding customer {index}: {failure}"))?;
    Ok(platform.changes.into_inner())
}

/// An empty platform that keeps the changes to commit.
struct DraftPlatform<'a> {
    parts: &'a Parts,
    index: u64,
    made_pkids: RefCell<u64>,
    changes: RefCell<Vec<Change>>,
}

impl Storage for DraftPlatform<'_> {
    fn get(&self, _: &plugin::Reference) -> Result<Option<Document>, Failure> {
        Ok(None)
    }

    fn get_many(&self, wanted: &[plugin::Reference]) -> Result<Vec<Option<Document>>, Failure> {
        Ok(vec![None; wanted.len()])
    }

    fn find(&self, _: &Filter, _: Option<&str>, _: u32) -> Result<Page, Failure> {
        Ok(Page {
            documents: Vec::new(),
            next: None,
        })
    }

    fn commit_with(
        &self,
        _: Vec<Check>,
        changes: Vec<Change>,
        _: OnUnavailable,
    ) -> Result<(), Failure> {
        self.changes.borrow_mut().extend(changes);
        Ok(())
    }

    fn wakeups(&self, _: &plugin::Reference) -> Result<Vec<Wakeup>, Failure> {
        Ok(Vec::new())
    }
}

impl Secrets for DraftPlatform<'_> {
    fn reveal(&self, _: &plugin::Reference, _: &str) -> Result<Option<Secret>, Failure> {
        Ok(None)
    }

    fn reveal_setting(&self, _: &str) -> Result<Option<Secret>, Failure> {
        Ok(None)
    }
}

impl Http for DraftPlatform<'_> {
    fn use_proxies(&self, _: Option<&Secret>, _: Option<&Secret>) -> Result<(), Failure> {
        Ok(())
    }

    /// `GET …/organizations/{id}`: every organization exists.
    fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let id = request.uri().path().rsplit('/').next().unwrap_or_default();
        let body = json!({ "id": id, "displayName": "Bench" }).to_string();
        Ok(HttpResponse::new(body.into_bytes()))
    }
}

impl plugin::TransactionLog for DraftPlatform<'_> {
    fn log(&self, _: Level, _: &str) {}

    fn progress(&self, _: u32, _: u32, _: &str) {}

    fn record_part(&self, _: &str, _: plugin::UnixMillis, _: Result<&str, &str>) {}

    fn interrupted(&self) -> Option<plugin::UnixMillis> {
        None
    }
}

impl Environment for DraftPlatform<'_> {
    fn now(&self) -> plugin::UnixMillis {
        plugin::UnixMillis(self.parts.clock.now().0)
    }

    /// Not random: keys of owned documents follow the customer's key, so that tables grow at their end.
    fn random(&self, count: usize) -> Vec<u8> {
        let mut made = self.made_pkids.borrow_mut();
        *made += 1;
        let number = self.index * 64 + *made;
        let mut bytes = vec![0; count.saturating_sub(8)];
        bytes.extend(number.to_be_bytes());
        bytes.truncate(count);
        bytes
    }

    fn settings(&self) -> Result<Vec<(String, String)>, Failure> {
        let settings = self.parts.settings.iter();
        Ok(settings
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}
