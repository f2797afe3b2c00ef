//! The steps of a transfer.

use serde::Serialize;

use super::digest::{Contents, find_quarantine, read_contents};
use super::{Row, RowKind, TransferError, TransferMark, TransferSide, TransferStore};
use crate::seal::Sealer;
use crate::{StoreError, StoredSecret};
use relation_types::Timestamp;

/// The phase of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Rows are copied from the source to the target.
    Copying,
    /// Both stores are read and compared.
    Comparing,
}

/// The progress of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TransferProgress {
    /// The phase.
    pub phase: Phase,
    /// The kind of the rows.
    pub rows: RowKind,
    /// The number of rows that are done, including those of an earlier run.
    pub done: u64,
    /// The number of rows of this kind and phase. When both stores are read, both count.
    pub total: u64,
}

/// The rows of a kind after a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferredRows {
    /// The kind.
    pub rows: RowKind,
    /// The number of rows in each store.
    pub count: u64,
    /// The SHA-256 of all rows, as hexadecimal digits; `None` for secrets.
    pub digest: Option<String>,
}

/// The result of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferReport {
    /// Whether the transfer continued an interrupted one.
    pub continued: bool,
    /// Whether the transfer was finished before; then the rows are not counted.
    pub finished_before: bool,
    /// The rows by kind.
    pub moved: Vec<TransferredRows>,
    /// The number of secrets that do not open. Their bytes were copied.
    pub unopened: u64,
}

/// The rows of a kind before a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRows {
    /// The kind.
    pub rows: RowKind,
    /// The number of rows in the source.
    pub count: u64,
    /// The number of rows that are in the target already.
    pub copied: u64,
}

/// The plan of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferPlan {
    /// The rows by kind.
    pub to_move: Vec<PlannedRows>,
    /// The reasons why the transfer would be refused now.
    pub obstacles: Vec<String>,
}

/// A store with its location for messages, without a password.
pub(super) type Located<'a> = (&'a dyn TransferStore, &'a str);

/// A transfer from one store to another.
pub struct Transfer<'a> {
    source: Located<'a>,
    target: Located<'a>,
    sealer: &'a Sealer,
    page: u32,
}

impl<'a> Transfer<'a> {
    /// The default number of rows that are read and written in one step.
    pub const PAGE: u32 = 500;

    /// Moves from `source`, which `sealer` was opened for, to `target`. Both have the location for messages. Each step
    /// has up to `page` rows, at least 1.
    pub fn new(source: Located<'a>, target: Located<'a>, sealer: &'a Sealer, page: u32) -> Self {
        Self {
            source,
            target,
            sealer,
            page: page.max(1),
        }
    }

    /// Copies every row, or what is missing of an interrupted transfer, and compares the stores. Then hosts can use the
    /// target, and the source stays marked as moved.
    ///
    /// # Errors
    /// A store is in use or takes part in another transfer, the target is not empty, or the stores differ at the end. After
    /// a refusal at the beginning, neither store is marked.
    pub async fn run(
        &self,
        now: Timestamp,
        mut progress: impl FnMut(TransferProgress) + Send,
    ) -> Result<TransferReport, TransferError> {
        let (source, target) = (self.source.0, self.target.0);
        let (from, into) = self.find_marks().await?;
        if from.as_ref().is_some_and(|mark| mark.finished) && into.is_none() {
            return Ok(TransferReport {
                continued: true,
                finished_before: true,
                moved: Vec::new(),
                unopened: 0,
            });
        }
        let continued = into.is_some();
        let began = match (&into, &from) {
            (Some(mark), _) | (None, Some(mark)) => mark.began,
            (None, None) => now,
        };
        if into.is_none() {
            self.require_empty().await?;
        }
        let held = self.hold(now, began, from.is_none(), into.is_none()).await;
        if let Err(error) = held {
            // Hosts continue as before a transfer that was refused.
            for (is_new, store) in [(into.is_none(), self.target), (from.is_none(), self.source)] {
                if is_new {
                    in_store(store, store.0.set_transfer_mark(None).await)?;
                }
            }
            return Err(error);
        }
        let resealer = self.sealer.open_beside(target, now).await?;
        for kind in RowKind::ALL {
            self.copy(kind, &resealer, began, &mut progress).await?;
        }
        let last = in_store(self.source, source.last_number().await)?;
        in_store(self.target, target.raise_number(last).await)?;
        let mut report = TransferReport {
            continued,
            finished_before: false,
            moved: Vec::new(),
            unopened: 0,
        };
        for kind in RowKind::ALL {
            let found = self.compare(kind, &resealer, began, &mut progress).await?;
            report.unopened += found.unopened;
            report.moved.push(TransferredRows {
                rows: kind,
                count: found.count,
                // A digest of clear values would help to guess them.
                digest: (kind != RowKind::Secrets).then(|| hex::encode(found.digest)),
            });
        }
        // In this order: at every moment, at most one of the stores can be opened.
        let moved = self.mark(TransferSide::Source, began, true);
        in_store(self.source, source.set_transfer_mark(Some(moved)).await)?;
        in_store(self.target, target.set_transfer_mark(None).await)?;
        Ok(report)
    }

    /// Counts the rows to move, and finds reasons why a transfer would be refused.
    pub async fn plan(&self) -> Result<TransferPlan, TransferError> {
        let mut plan = TransferPlan {
            to_move: Vec::new(),
            obstacles: Vec::new(),
        };
        let mut is_continued = false;
        match self.find_marks().await {
            Ok((_, into)) => is_continued = into.is_some(),
            Err(error @ (TransferError::Marked { .. } | TransferError::SameStore(_))) => {
                plan.obstacles.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
        let mut checks = vec![require_unused(self.source).await];
        checks.push(require_unused(self.target).await);
        if !is_continued {
            checks.push(self.require_empty().await);
        }
        for check in checks {
            match check {
                Ok(()) => {}
                Err(error @ (TransferError::InUse { .. } | TransferError::NotEmpty { .. })) => {
                    plan.obstacles.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        for kind in RowKind::ALL {
            let copied = match is_continued {
                true => in_store(self.target, self.target.0.count_rows(kind).await)?,
                false => 0,
            };
            plan.to_move.push(PlannedRows {
                rows: kind,
                count: in_store(self.source, self.source.0.count_rows(kind).await)?,
                copied,
            });
        }
        Ok(plan)
    }

    /// Returns the marks of both stores, if they are of this transfer.
    async fn find_marks(
        &self,
    ) -> Result<(Option<TransferMark>, Option<TransferMark>), TransferError> {
        if self.source.0.id() == self.target.0.id() {
            return Err(TransferError::SameStore(self.source.1.to_owned()));
        }
        let from = in_store(self.source, self.source.0.transfer_mark().await)?;
        let into = in_store(self.target, self.target.0.transfer_mark().await)?;
        for (mark, store, other, side) in [
            (&from, self.source, self.target, TransferSide::Source),
            (&into, self.target, self.source, TransferSide::Target),
        ] {
            if let Some(mark) = mark
                && (mark.side != side || mark.other_id != other.0.id())
            {
                return Err(TransferError::Marked {
                    location: store.1.to_owned(),
                    mark: mark.to_string(),
                });
            }
        }
        Ok((from, into))
    }

    async fn require_empty(&self) -> Result<(), TransferError> {
        for kind in RowKind::ALL {
            let count = in_store(self.target, self.target.0.count_rows(kind).await)?;
            if count > 0 {
                return Err(TransferError::NotEmpty {
                    location: self.target.1.to_owned(),
                    kind,
                    count,
                });
            }
        }
        Ok(())
    }

    /// Marks the stores, so that hosts cannot open them any more, and then refuses if a host has one open.
    async fn hold(
        &self,
        now: Timestamp,
        began: Timestamp,
        is_new_source: bool,
        is_new_target: bool,
    ) -> Result<(), TransferError> {
        // The calls of ended hosts end, while the source can be written.
        if is_new_source {
            require_unused(self.source).await?;
            in_store(self.source, self.source.0.recover(now).await)?;
        }
        let source = self.mark(TransferSide::Source, began, false);
        let target = self.mark(TransferSide::Target, began, false);
        for (is_new, store, mark) in [
            (is_new_source, self.source, source),
            (is_new_target, self.target, target),
        ] {
            if is_new {
                in_store(store, store.0.set_transfer_mark(Some(mark)).await)?;
            }
            require_unused(store).await?;
        }
        let calls = in_store(self.source, self.source.0.open_calls().await)?;
        match calls.is_empty() {
            true => Ok(()),
            false => Err(TransferError::OpenCalls {
                location: self.source.1.to_owned(),
                calls,
            }),
        }
    }

    /// Returns the mark of one of the stores.
    fn mark(&self, side: TransferSide, began: Timestamp, finished: bool) -> TransferMark {
        let store = match side {
            TransferSide::Source => self.target,
            TransferSide::Target => self.source,
        };
        TransferMark {
            side,
            other_id: store.0.id().to_owned(),
            other: store.1.to_owned(),
            began,
            finished,
        }
    }

    /// Copies the rows of a kind after the last one in the target.
    async fn copy(
        &self,
        kind: RowKind,
        resealer: &Sealer,
        began: Timestamp,
        progress: &mut (impl FnMut(TransferProgress) + Send),
    ) -> Result<(), TransferError> {
        let (source, target) = (self.source.0, self.target.0);
        let mut reported = TransferProgress {
            phase: Phase::Copying,
            rows: kind,
            done: in_store(self.target, target.count_rows(kind).await)?,
            total: in_store(self.source, source.count_rows(kind).await)?,
        };
        let last = in_store(self.target, target.last_position(kind).await)?;
        let mut after = last.unwrap_or_default();
        progress(reported);
        loop {
            let read = source.read_rows(kind, &after, self.page).await;
            let mut rows = in_store(self.source, read)?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = last.position();
            for row in &mut rows {
                if let Row::Secret(secret) = row {
                    self.reseal(secret, resealer, began)?;
                }
            }
            let size = rows.len() as u64;
            in_store(self.target, target.write_rows(rows).await)?;
            reported.done += size;
            reported.total = reported.total.max(reported.done);
            progress(reported);
        }
    }

    /// Seals the secret for the target. A secret that does not open keeps its bytes, and is marked.
    fn reseal(
        &self,
        secret: &mut StoredSecret,
        resealer: &Sealer,
        began: Timestamp,
    ) -> Result<(), TransferError> {
        match self.sealer.open_stored(secret) {
            Ok(clear) => {
                let sealed = resealer.seal(&secret.owner, &secret.name, &clear)?;
                secret.bytes = sealed.as_bytes().to_vec();
                secret.quarantined = None;
            }
            Err(error) => secret.quarantined = Some(find_quarantine(secret, error, began)?),
        }
        Ok(())
    }

    /// Compares the rows of a kind in both stores.
    async fn compare(
        &self,
        kind: RowKind,
        resealer: &Sealer,
        began: Timestamp,
        progress: &mut (impl FnMut(TransferProgress) + Send),
    ) -> Result<Contents, TransferError> {
        let total = in_store(self.source, self.source.0.count_rows(kind).await)?;
        let mut reported = TransferProgress {
            phase: Phase::Comparing,
            rows: kind,
            done: 0,
            total: total.saturating_mul(2),
        };
        progress(reported);
        let mut read = |size| {
            reported.done += size;
            reported.total = reported.total.max(reported.done);
            progress(reported);
        };
        let step = (self.page, began);
        let source = read_contents(self.source, self.sealer, kind, step, &mut read).await?;
        let target = read_contents(self.target, resealer, kind, step, &mut read).await?;
        if source != target {
            return Err(TransferError::Different {
                kind,
                source_location: self.source.1.to_owned(),
                source_count: source.count,
                target_location: self.target.1.to_owned(),
                target_count: target.count,
            });
        }
        Ok(target)
    }
}

/// Makes the source of a transfer usable again, whether or not the transfer was finished. Returns its mark.
pub async fn release(
    store: &dyn TransferStore,
    location: &str,
) -> Result<TransferMark, TransferError> {
    let store = (store, location);
    match in_store(store, store.0.transfer_mark().await)? {
        Some(mark) if mark.side == TransferSide::Source => {
            require_unused(store).await?;
            in_store(store, store.0.set_transfer_mark(None).await)?;
            Ok(mark)
        }
        Some(mark) => Err(TransferError::Marked {
            location: location.to_owned(),
            mark: mark.to_string(),
        }),
        None => Err(TransferError::NotMoved(location.to_owned())),
    }
}

async fn require_unused(store: Located<'_>) -> Result<(), TransferError> {
    let users = in_store(store, store.0.other_users().await)?;
    match users.is_empty() {
        true => Ok(()),
        false => Err(TransferError::InUse {
            location: store.1.to_owned(),
            users,
        }),
    }
}

/// Adds the location of the store to an error.
pub(super) fn in_store<T>(
    store: Located<'_>,
    result: Result<T, StoreError>,
) -> Result<T, TransferError> {
    result.map_err(|source| TransferError::Store {
        location: store.1.to_owned(),
        source,
    })
}
