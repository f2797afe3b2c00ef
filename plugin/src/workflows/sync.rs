//! Imports Webex's data about an organisation into documents at the record's node.
//!
//! A list is read page by page, and each page is a step. New and changed entries of a page are stored with
//! the next position, in one commit. A large page takes several commits, which can be repeated. Vanished
//! entries are removed after the whole list was read without an error and is plausible. A call takes as
//! many steps as are safe; a wakeup continues with the rest.

mod access;
mod entries;
mod plan;
mod removal;
mod state;
mod steps;

pub use plan::IMPORTED_MODELS;
pub use state::{IMPORT_MODEL, SEEN_MODEL};

use access::WebexAccess;
use state::Import;

use crate::platform::{Change, Failure, Level, Millis, Platform, UnixMillis};
use crate::record::Record;
use crate::reports::{ImportCount, SyncKind, SyncReport};
use crate::settings::Settings;
use steps::Step;

/// How long a call begins further steps. A step may take two requests and a refresh,
/// each as long as the host allows, and the call must end before its time limit.
const CALL_BUDGET: Millis = Millis::from_seconds(20);
/// The maximum number of pages that a call reads. Hosts allow more requests in a call.
const MAX_PAGES_PER_CALL: u32 = 24;

/// Imports `kind` for the record `pkid`, or as much as fits into a call; a wakeup then continues. Resumes
/// an unfinished import or begins a new one. With `accepts_removals`, all calls of this import remove
/// vanished entries, however many there are.
///
/// # Errors
/// - `reauthorize` when there is no access token or scope, or Webex refuses the token after a refresh
/// - `rate-limited` and `unavailable`; completed steps stay stored
/// - `not-found`, `conflict`, `limit-exceeded`
pub fn sync<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    kind: SyncKind,
    accepts_removals: bool,
) -> Result<SyncReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let now = platform.now();
    let (import, version) = Import::load_or_new(platform, &record, kind, accepts_removals, now)?;
    let (record, access) = WebexAccess::open(platform, settings, record)?;
    let mut run = ImportRun {
        platform,
        record,
        access,
        import,
        version,
        seen: None,
        pages: 0,
        until: now + CALL_BUDGET,
    };
    loop {
        match run.step()? {
            Step::Done => {}
            Step::Spent => return run.pause(),
            Step::Finished => return run.finish(),
        }
    }
}

/// An import during one call.
struct ImportRun<'a, P: ?Sized> {
    platform: &'a P,
    record: Record,
    access: WebexAccess<'a, P>,
    import: Import,
    // The version of its stored document; 0: not stored.
    version: u64,
    // Entries seen so far in the present list; none: not loaded yet.
    seen: Option<steps::SeenIds>,
    // The number of pages read by this call.
    pages: u32,
    // The time after which this call begins no further step.
    until: UnixMillis,
}

impl<P: Platform + ?Sized> ImportRun<'_, P> {
    /// Whether the call should begin no further step.
    fn is_spent(&self) -> bool {
        self.pages >= MAX_PAGES_PER_CALL || self.platform.now() >= self.until
    }

    /// Commits `changes` together with the progress of the import.
    fn commit(&mut self, mut changes: Vec<Change>) -> Result<(), Failure> {
        self.import.progressed = self.platform.now();
        let (check, put) = self
            .import
            .to_commit(&self.record.hierarchy, self.version)?;
        changes.push(put);
        self.platform
            .commit(vec![self.record.version_check(), check], changes)?;
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    fn pause(mut self) -> Result<SyncReport, Failure> {
        let due = self.platform.now();
        let wakeup = self.import.kind.schedule(&self.record.reference(), due);
        self.commit(vec![wakeup])?;
        let message = format!(
            "so far {}; it continues automatically",
            self.summarize_counts()
        );
        Ok(self.report(Some(due), message))
    }

    fn finish(mut self) -> Result<SyncReport, Failure> {
        self.import.finished = Some(self.platform.now());
        let id = self.import.kind.wakeup_id().to_owned();
        let mut changes = vec![Change::Cancel(self.record.reference(), id)];
        changes.extend(self.alert_changes()?);
        self.commit(changes)?;
        let mut message = format!("imported {}", self.summarize_counts());
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

    fn report(self, continues: Option<UnixMillis>, message: String) -> SyncReport {
        let (done, total) = (self.import.steps_done(), self.import.steps_total());
        self.platform.progress(done, total, &message);
        self.platform.log(Level::Info, &message);
        SyncReport {
            kind: self.import.kind.as_str().to_owned(),
            pkid: self.record.pkid,
            done,
            total,
            models: self.import.models(),
            continues: continues.map(|at| at.0),
            message,
        }
    }

    /// Describes the counts, such as `12 roles (nothing changed) and 30 licences (2 added, 1 removed)`.
    fn summarize_counts(&self) -> String {
        let models = self.import.models();
        let directories = self.import.kind.directories();
        let each: Vec<String> = models
            .iter()
            .zip(directories)
            .map(|(imported, directory)| format_count(imported, directory.what))
            .collect();
        each.join(" and ")
    }
}

fn format_count(imported: &ImportCount, what: &str) -> String {
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
