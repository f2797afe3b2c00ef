//! Imports what Webex knows of an organisation into documents at the record's node.
//!
//! A list is read page by page. Each page is a step: what is new or has changed on it is stored
//! with the position behind it, in one commit or, of a large page, in several that can be done
//! again. What has vanished is removed once the whole list was read without an error and is
//! plausible. A call does as many steps as it safely can; a wakeup goes on with the rest.

mod access;
mod entries;
mod plan;
mod removal;
mod state;
mod steps;

pub use plan::IMPORTED;
pub use state::{IMPORT, SEEN};

use access::Access;
use state::Import;

use crate::platform::{Change, Failure, Level, Platform, Timestamp};
use crate::record::Record;
use crate::reports::{ImportCount, SyncKind, SyncReport};
use crate::settings::Settings;
use steps::Step;

/// How long a call takes further steps, in milliseconds. A step may take two requests and a
/// refresh besides, each as long as the host allows, and a call must not be cut off.
const CALL: u64 = 20_000;
/// How many pages a call reads at most: the hosts' bounds on the requests of a call allow more.
const PAGES_OF_A_CALL: u32 = 24;

/// Imports what `kind` says for the record `pkid`, or as much of it as fits into a call; then a
/// wakeup goes on. Continues an unfinished import, or begins a new one. With `accepts_removals`
/// this import, in all its calls, removes what has vanished, however much.
///
/// # Errors
/// `not-found`; `reauthorize` when there is no access token, Webex refuses it and a refresh does
/// not help, or it lacks a scope; `rate-limited` and `unavailable`: what was done stays done;
/// `conflict`, `limit-exceeded`.
pub fn sync<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    kind: SyncKind,
    accepts_removals: bool,
) -> Result<SyncReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let now = platform.now();
    let (import, version) = Import::open(platform, &record, kind, accepts_removals, now)?;
    let (record, access) = Access::open(platform, settings, record)?;
    let mut run = Run {
        platform,
        record,
        access,
        import,
        version,
        seen: None,
        pages: 0,
        until: now.saturating_add(CALL),
    };
    loop {
        match run.step()? {
            Step::Done => {}
            Step::Spent => return run.pause(),
            Step::Finished => return run.finish(),
        }
    }
}

/// An import while a call runs.
struct Run<'a, P: ?Sized> {
    platform: &'a P,
    record: Record,
    access: Access<'a, P>,
    import: Import,
    // Of the document that it is stored as; 0: none is stored.
    version: u64,
    // What was seen so far of the list that is being read; none: not looked up yet.
    seen: Option<steps::Seen>,
    // Read by this call.
    pages: u32,
    // When this call takes no further step.
    until: Timestamp,
}

impl<P: Platform + ?Sized> Run<'_, P> {
    /// Whether another step would be too much for this call.
    fn is_spent(&self) -> bool {
        self.pages >= PAGES_OF_A_CALL || self.platform.now() >= self.until
    }

    /// Writes `changes` together with how far the import is.
    fn commit(&mut self, mut changes: Vec<Change>) -> Result<(), Failure> {
        self.import.progressed = self.platform.now();
        let (check, put) = self.import.put(&self.record.hierarchy, self.version)?;
        changes.push(put);
        self.platform
            .commit(vec![self.record.unchanged(), check], changes)?;
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    fn pause(mut self) -> Result<SyncReport, Failure> {
        let due = self.platform.now();
        let wakeup = self.import.kind.schedule(&self.record.reference(), due);
        self.commit(vec![wakeup])?;
        let message = format!("so far {}; it goes on by itself", self.counted());
        Ok(self.report(Some(due), message))
    }

    fn finish(mut self) -> Result<SyncReport, Failure> {
        self.import.finished = Some(self.platform.now());
        let id = self.import.kind.wakeup_id().to_owned();
        let mut changes = vec![Change::Cancel(self.record.reference(), id)];
        changes.extend(self.alert_changes()?);
        self.commit(changes)?;
        let mut message = format!("imported {}", self.counted());
        for (list, directory) in self.import.lists.iter().zip(self.import.kind.directories()) {
            let what = directory.what;
            if let Some(removal) = list.held {
                let why = removal.explain(what);
                message.push_str(&format!("; none of the {what} was removed: {why}"));
            }
            if let Some(why) = &list.partial {
                message.push_str(&format!("; none of the {what} was removed, because {why}"));
            }
        }
        Ok(self.report(None, message))
    }

    fn report(self, continues: Option<Timestamp>, message: String) -> SyncReport {
        let (done, total) = (self.import.done(), self.import.total());
        self.platform.progress(done, total, &message);
        self.platform.log(Level::Info, &message);
        SyncReport {
            kind: self.import.kind,
            pkid: self.record.pkid,
            done,
            total,
            models: self.import.models(),
            continues,
            message,
        }
    }

    /// Such as `12 roles (nothing changed) and 30 licences (2 added, 1 removed)`.
    fn counted(&self) -> String {
        let models = self.import.models();
        let directories = self.import.kind.directories();
        let each: Vec<String> = models
            .iter()
            .zip(directories)
            .map(|(imported, directory)| in_words(imported, directory.what))
            .collect();
        each.join(" and ")
    }
}

fn in_words(imported: &ImportCount, what: &str) -> String {
    let changes: Vec<String> = [
        (imported.added, "added"),
        (imported.updated, "updated"),
        (imported.removed, "removed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, how)| format!("{count} {how}"))
    .collect();
    let changes = match changes.is_empty() {
        true => "nothing changed".to_owned(),
        false => changes.join(", "),
    };
    format!("{} {what} ({changes})", imported.found)
}

#[cfg(test)]
mod tests;
