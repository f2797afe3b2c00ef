//! Imports Webex's data about an organization into documents at the record's node.
//!
//! A list is read page by page, and each page is a step. New and changed entries of a page are stored with
//! the next position, in one commit. A large page takes several commits, which can be repeated. Vanished
//! entries are removed after the whole list was read without an error and is plausible. A call takes as
//! many steps as are safe; a wakeup continues with the rest.

pub(in crate::workflows) mod access;
mod batches;
mod document_id;
pub(in crate::workflows) mod entries;
mod plan;
mod removal;
mod seen;
mod sites;
mod state;
mod steps;
mod stored;

pub use document_id::DocumentId;
pub use plan::{
    DataSync, from_wakeup, imported_models, schedule_for_pasted, schedule_import,
    schedule_roles_licenses, wakeup_id,
};
pub use state::{IMPORT_MODEL, Import, SEEN_MODEL};
pub use stored::{StoredSync, is_role, wakeup_suffix};

use access::WebexAccess;
use entries::LinkedIds;
use sites::CustomerSites;
use state::ListProgress;

use crate::grant::Grant;
use crate::platform::{
    Change, Check, Failure, Filter, Key, Level, Millis, Platform, Scope, UnixMillis, Wakeup,
};
use crate::record::{Record, key};
use crate::reports::SyncReport;
use crate::settings::Settings;
use crate::workflows::refresh::refresh;
use seen::{SeenIds, UnstoredPages};
use steps::Step;

/// How long a call begins further steps. A step may take two requests and a refresh,
/// each as long as the host allows, and the call must end before its time limit.
const CALL_BUDGET: Millis = Millis::from_seconds(10);
/// The maximum number of pages that a call reads. Hosts allow more requests in a call.
const MAX_PAGES_PER_CALL: u32 = 24;
/// How long an import without progress lets others wait: longer than the longest pause before another attempt.
const MAX_WAIT: Millis = Millis::from_hours(2);
/// How long after its first commit an import continues whose call was interrupted: longer than a call takes.
const RESUME_DELAY: Millis = Millis::from_seconds(60);
/// The pause of an import that waits for another one with a list in common.
const WAIT_FOR_ANOTHER: Millis = Millis::from_seconds(30);

/// Executes a data sync of the record `pkid`, or as much as fits into a call; a wakeup then continues. Resumes
/// an unfinished import or begins a new one. `sync` is the data sync's role, name or primary key. With
/// `accepts_removals`, all calls of this import remove vanished entries, however many there are.
///
/// A list that cannot be read does not end the import of the others; the report names it.
///
/// # Errors
/// - `invalid` when there is no such data sync, or its document cannot be used
/// - `reauthorize` when there is no access token, Webex refuses the token after a refresh, or no list can be read
/// - `rate-limited` and `unavailable`; completed steps stay stored
/// - `not-found`, `conflict`, `limit-exceeded`
pub fn sync(
    platform: &dyn Platform,
    pkid: &str,
    sync: &str,
    accepts_removals: bool,
) -> Result<SyncReport, Failure> {
    let record = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let sync = DataSync::find(platform, &record, sync)?;
    let now = platform.now();
    let (import, version) = Import::load_or_new(platform, &record, &sync, accepts_removals, now)?;
    let mut run = ImportRun {
        platform,
        settings,
        record,
        sync,
        access: None,
        import,
        version,
        seen: None,
        unstored: UnstoredPages::default(),
        sites: None,
        linked: LinkedIds::new(),
        deferred: Vec::new(),
        pages: 0,
        until: now + CALL_BUDGET,
    };
    let others = run.find_other_imports()?;
    if let Some(other) = run.find_competitor(&others)? {
        return run.wait_for(&other);
    }
    run.restart_shared_lists(&others);
    run.schedule_resumption()?;
    run.refresh_due_tokens()?;
    loop {
        match run.step() {
            Ok(Step::Done) => {}
            Ok(Step::PauseDue) => return run.pause(),
            Ok(Step::Finished) => return run.finish(),
            Err(failure) => return run.fail(failure),
        }
    }
}

/// An import during one call.
struct ImportRun<'a> {
    platform: &'a dyn Platform,
    settings: Settings,
    record: Record,
    sync: DataSync,
    // `None` until the first request.
    access: Option<WebexAccess<'a>>,
    import: Import,
    // The version of its stored document; 0: not stored.
    version: u64,
    // Entries seen so far in the present list; none: not loaded yet.
    seen: Option<SeenIds>,
    // Pages whose progress the next commit stores.
    unstored: UnstoredPages,
    // The sites of the customer; none until a location needs one.
    sites: Option<CustomerSites>,
    // The documents that entries of this call link to.
    linked: LinkedIds,
    // The lists with an error in this call that may be temporary.
    deferred: Vec<steps::DeferredList>,
    // The number of pages read by this call.
    pages: u32,
    // The time after which this call begins no further step.
    until: UnixMillis,
}

impl ImportRun<'_> {
    /// Returns whether the call should begin no further step. A due refresh of the record goes first.
    fn is_pause_due(&self) -> bool {
        let now = self.platform.now();
        self.pages >= MAX_PAGES_PER_CALL
            || now >= self.until
            || (self.pages > 0 && self.find_due_refresh().is_some())
    }

    /// Finds the running and last imports of this record by other data syncs.
    fn find_other_imports(&self) -> Result<Vec<Import>, Failure> {
        let filter = Filter {
            model: IMPORT_MODEL.to_owned(),
            hierarchy: self.record.hierarchy.clone(),
            scope: Scope::Node,
            equals: vec![Key::new(key::OWNER, &self.record.pkid)],
        };
        let page = self.platform.find(&filter, None, 100)?;
        let imports = page.documents.iter();
        let imports =
            imports.filter_map(|document| serde_json::from_str::<Import>(&document.body).ok());
        Ok(imports
            .filter(|import| import.sync != self.sync.pkid)
            .collect())
    }

    /// Restarts the lists that another import has changed since this one was interrupted. Entries that it added on
    /// pages already read were not seen.
    fn restart_shared_lists(&mut self, others: &[Import]) {
        for other in others {
            if other.progressed <= self.import.progressed {
                continue;
            }
            for list in &mut self.import.lists {
                let is_shared = other.lists.iter().any(|each| each.model == list.model);
                if is_shared && list.next.is_some() {
                    list.restart();
                }
            }
        }
    }

    /// Finds another unfinished import of this record that reads one of the same lists, and that a wakeup will
    /// continue. Its removals could remove what this import adds.
    fn find_competitor(&self, others: &[Import]) -> Result<Option<String>, Failure> {
        if others.is_empty() {
            return Ok(None);
        }
        let waiting = self.platform.wakeups(&self.record.reference())?;
        let waiting: Vec<&str> = waiting.iter().filter_map(from_wakeup).collect();
        let now = self.platform.now();
        let competes = |other: &&Import| {
            let mut lists = other.lists.iter().map(|list| list.model.as_str());
            // If both imports have begun, the earlier one continues.
            let is_first = self.import.steps_done() > 0
                && (self.import.begun, &self.sync.pkid) < (other.begun, &other.sync);
            !is_first
                && other.steps_done() > 0
                && other.is_running(now)
                && now.abs_diff(other.progressed) <= MAX_WAIT
                && waiting.contains(&other.sync.as_str())
                && lists.any(|model| self.sync.lists.iter().any(|own| own.model == model))
        };
        let competitor = others.iter().find(competes);
        Ok(competitor.map(|other| other.name.clone()))
    }

    /// Schedules this import for later.
    fn wait_for(self, other: &str) -> Result<SyncReport, Failure> {
        let due = self.platform.now() + WAIT_FOR_ANOTHER;
        let mut checks = vec![self.record.version_check()];
        let mut changes = vec![self.sync.schedule(&self.record, due)];
        // The wakeup does not know that a person accepts the removals.
        if self.import.accepts_removals {
            let hierarchy = &self.record.hierarchy;
            let (check, put) = self.import.to_commit(hierarchy, self.version)?;
            checks.push(check);
            changes.push(put);
        }
        self.platform.commit(checks, changes)?;
        let message = format!("waits until {other} has ended; it continues automatically");
        Ok(self.report(Some(due), message))
    }

    /// Commits `changes` together with the progress of the import.
    fn commit(&mut self, changes: Vec<Change>) -> Result<(), Failure> {
        self.commit_checked(Vec::new(), changes)
    }

    /// Commits `changes` together with the progress of the import, under further conditions.
    fn commit_checked(
        &mut self,
        mut checks: Vec<Check>,
        mut changes: Vec<Change>,
    ) -> Result<(), Failure> {
        self.import.progressed = self.platform.now();
        let before = self.import.clone();
        changes.extend(self.store_unstored());
        let (check, put) = self
            .import
            .to_commit(&self.record.hierarchy, self.version)?;
        changes.push(put);
        checks.extend([self.record.version_check(), check]);
        if let Err(failure) = self.platform.commit(checks, changes) {
            self.import = before;
            return Err(failure);
        }
        self.version = self.version.saturating_add(1);
        self.unstored = UnstoredPages::default();
        Ok(())
    }

    /// Refreshes the tokens of a grant whose refresh is due: it goes first. An error of Webex does not stop the import,
    /// whose access token may still be valid.
    fn refresh_due_tokens(&mut self) -> Result<(), Failure> {
        let now = self.platform.now();
        let Some(grant) = self.find_due_refresh().filter(|_| !self.sync.purges) else {
            return Ok(());
        };
        match refresh(self.platform, &self.record.pkid, grant, now) {
            Ok(_) | Err(Failure::Reauthorize(_)) => {}
            // The tokens may be in the stash, so that nothing else may use the stored ones.
            Err(failure) => return Err(failure),
        }
        self.record = Record::load(self.platform, &self.record.pkid)?;
        Ok(())
    }

    /// Finds a grant of the record whose refresh is due.
    fn find_due_refresh(&self) -> Option<Grant> {
        let now = self.platform.now();
        let mut grants = self.record.grants().iter().copied();
        grants.find(|grant| {
            let next = self.record.grant_state(*grant).next_refresh;
            next.is_some_and(|next| next <= now)
        })
    }

    /// Schedules the continuation of this call, which may be interrupted, unless a wakeup does so already.
    fn schedule_resumption(&mut self) -> Result<(), Failure> {
        let waiting = self.platform.wakeups(&self.record.reference())?;
        let is_own = |wakeup: &Wakeup| from_wakeup(wakeup) == Some(self.sync.pkid.as_str());
        if waiting.iter().any(is_own) {
            return Ok(());
        }
        let due = self.platform.now() + RESUME_DELAY;
        let wakeup = self.sync.schedule(&self.record, due);
        // The wakeup does not know that a person accepts the removals.
        match self.import.accepts_removals {
            true => self.commit(vec![wakeup]),
            false => {
                let check = self.record.version_check();
                self.platform.commit(vec![check], vec![wakeup])
            }
        }
    }

    /// Ends a call that failed. If a person must act, the import is not continued; if Webex limits the requests, not before
    /// Webex allows it.
    fn fail(self, failure: Failure) -> Result<SyncReport, Failure> {
        let record = &self.record;
        let (checks, change) = match &failure {
            Failure::Reauthorize(_) => {
                let wakeup = wakeup_id(record, &self.sync.pkid);
                (Vec::new(), Change::Cancel(record.reference(), wakeup))
            }
            Failure::RateLimited(Some(until)) => {
                let wakeup = self.sync.schedule(record, *until);
                (vec![record.version_check()], wakeup)
            }
            _ => return Err(failure),
        };
        // If this commit fails, the wakeup stays as it is.
        self.platform.commit(checks, vec![change]).ok();
        Err(failure)
    }

    fn pause(mut self) -> Result<SyncReport, Failure> {
        let due = self.platform.now();
        let wakeup = self.sync.schedule(&self.record, due);
        self.commit(vec![wakeup])?;
        let message = format!(
            "so far {}; it continues automatically",
            self.summarize_counts()
        );
        Ok(self.report(Some(due), message))
    }

    fn finish(mut self) -> Result<SyncReport, Failure> {
        self.import.finished = Some(self.platform.now());
        let wakeup = wakeup_id(&self.record, &self.sync.pkid);
        let mut changes = vec![Change::Cancel(self.record.reference(), wakeup)];
        changes.extend(self.alert_changes()?);
        self.commit(changes)?;
        self.record_parts();
        let mut message = String::new();
        let counts = self.summarize_counts();
        if !counts.is_empty() {
            message = format!("imported {counts}");
        }
        for (list, directory) in self.import.lists.iter().zip(&self.sync.lists) {
            let plural = directory.plural;
            let separator = if message.is_empty() { "" } else { "; " };
            if let Some(reason) = &list.failed {
                message.push_str(&format!(
                    "{separator}the {plural} could not be read: {reason}"
                ));
            } else if let Some(removal) = list.held {
                let reason = removal.explain(plural);
                message.push_str(&format!(
                    "{separator}none of the {plural} was removed: {reason}"
                ));
            } else if let Some(reason) = &list.partial {
                message.push_str(&format!(
                    "{separator}none of the {plural} was removed, because {reason}"
                ));
            }
            if let Some(left) = list.sites.describe_left() {
                message.push_str(&format!("; {left}"));
            }
        }
        if counts.is_empty() && !self.sync.lists.is_empty() {
            return Err(Failure::Reauthorize(message));
        }
        Ok(self.report(None, message))
    }

    /// Records each list as a part of the call.
    fn record_parts(&self) {
        for (list, directory) in self.import.lists.iter().zip(&self.sync.lists) {
            let plural = directory.plural;
            let counts = match list.sites.describe_left() {
                None => format_count(list, plural),
                Some(left) => format!("{}; {left}", format_count(list, plural)),
            };
            let message = match (list.held, &list.partial) {
                (Some(removal), _) => {
                    format!("{counts}; none was removed: {}", removal.explain(plural))
                }
                (None, Some(reason)) => format!("{counts}; none was removed, because {reason}"),
                (None, None) => counts,
            };
            let outcome = match &list.failed {
                Some(reason) => Err(reason.as_str()),
                None => Ok(message.as_str()),
            };
            let started = list.begun.unwrap_or(self.import.begun);
            let action = format!("Import {}", directory.model);
            self.platform.record_part(&action, started, outcome);
        }
    }

    fn report(self, continues: Option<UnixMillis>, message: String) -> SyncReport {
        let (done, total) = (self.import.steps_done(), self.import.steps_total());
        self.platform.progress(done, total, &message);
        self.platform.log(Level::Info, &message);
        SyncReport {
            sync: self.sync.name,
            sync_pkid: self.sync.pkid,
            pkid: self.record.pkid,
            done,
            total,
            models: self.import.models(),
            continues: continues.map(|at| at.0),
            message,
        }
    }

    /// Describes the counts of the lists that were read, such as `12 roles (nothing changed) and 30 licenses (2 added, 1
    /// removed)`.
    fn summarize_counts(&self) -> String {
        let lists = self.import.lists.iter().zip(&self.sync.lists);
        let each: Vec<String> = lists
            .filter(|(list, _)| list.failed.is_none())
            .map(|(list, directory)| format_count(list, directory.plural))
            .collect();
        match each.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => each.concat(),
        }
    }
}

fn format_count(list: &ListProgress, plural: &str) -> String {
    let sites = |count| if count == 1 { "site" } else { "sites" };
    let changes: Vec<String> = [
        (list.added, "added".to_owned()),
        (list.updated, "updated".to_owned()),
        (list.removed, "removed".to_owned()),
        (
            list.sites.added,
            format!("{} added", sites(list.sites.added)),
        ),
        (
            list.sites.renamed,
            format!("{} renamed", sites(list.sites.renamed)),
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, how)| format!("{count} {how}"))
    .collect();
    let changes = match changes.is_empty() {
        true => "nothing changed".to_owned(),
        false => changes.join(", "),
    };
    let name = match list.found {
        1 => plural.trim_end_matches('s'),
        _ => plural,
    };
    format!("{} {name} ({changes})", list.found)
}

#[cfg(test)]
mod tests;
