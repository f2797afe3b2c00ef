//! The status of an installation on one screen: customers that need a person, due wakeups, and problems.
//!
//! Counts by indexes and reads only the most urgent entries, so that no document is read for each customer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relation_host::reports::{FindingLevel, State};
use relation_host::store::{SortOrder, Store};
use relation_host::text::{format_count, format_span};
use relation_host::types::{Document, Hierarchy, Pkid, Timestamp};
use relation_notify::runner::{FailureCounts, count_failures};
use serde::Serialize;

use crate::alerts::{self, Alert, Severity};
use crate::check::{self, CheckFinding};
use crate::imports::{self, FailedImport};
use crate::stash_contents::StashContents;
use crate::{AppError, ErrorKind, HostInfo, Installation, records};

/// The maximum number of customers, of alerts and of failed imports in a [`Status`].
const MAX_ROWS: u32 = 20;
/// How late a wakeup may be before something is wrong.
const MAX_DELAY: Duration = Duration::from_secs(5 * 60);

/// The states that need a person, the most urgent first.
const NEEDS_PERSON: [State; 4] = [
    State::Expired,
    State::Reauthorize,
    State::Expiring,
    State::MissingScope,
];

/// The state of an installation at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The time of reading.
    pub at: Timestamp,
    /// The person who must act, if anybody.
    pub verdict: Verdict,
    /// The problems of the installation, for its operator.
    pub problems: Vec<Problem>,
    /// The customers, counted.
    pub customers: CustomerCounts,
    /// The first customers that a person must connect again, now or soon, the most urgent first.
    pub needs_person: Vec<CustomerNeedingPerson>,
    /// Whether more customers than those of `needs_person` may need a person.
    pub more_need_person: bool,
    /// The number of alerts by severity.
    pub alert_counts: BTreeMap<Severity, u64>,
    /// The first alerts, the most severe first.
    pub alerts: Vec<Alert>,
    /// The first failed imports, the newest first.
    pub failed_imports: Vec<FailedImport>,
    /// The scheduled wakeups.
    pub wakeups: WakeupCounts,
    /// The hosts that use the store, each by its name, those seen last first. Empty for a store in a file.
    pub hosts: Vec<HostInfo>,
    /// Responses of Webex in the stash, which are not in the store yet.
    pub stashed: u64,
    /// Notices that could not be delivered.
    pub notices: FailureCounts,
}

/// The need for action, and the person who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No action is needed.
    Ok,
    /// A person must connect a customer again, start a failed import, or act on an alert.
    NeedsPerson,
    /// The operator must act: the installation has a problem.
    Problem,
}

impl Verdict {
    /// Returns the verdict for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NeedsPerson => "needs a person",
            Self::Problem => "problem",
        }
    }
}

/// A problem of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The problem.
    pub message: String,
    /// The next step.
    pub hint: String,
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint.unwrap_or_default(),
        }
    }
}

/// The number of customers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomerCounts {
    /// All customers.
    pub total: u64,
    /// The customers with a grant in this state. A customer with several grants may count several times.
    pub by_state: BTreeMap<&'static str, u64>,
}

/// A customer that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomerNeedingPerson {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The customer's name.
    pub name: String,
    /// The customer's node.
    pub hierarchy: Hierarchy,
    /// The states of the customer's grants.
    pub states: Vec<String>,
    /// Whether another record has the same name, so that commands must name this one by its pkid.
    #[serde(skip)]
    pub shares_name: bool,
}

/// The scheduled wakeups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WakeupCounts {
    /// The number of wakeups that are due now.
    pub due: u64,
    /// When the earliest wakeup is due, or was due.
    pub next: Option<Timestamp>,
}

/// Reads the status of an installation.
///
/// # Errors
/// The store does not exist or cannot be read.
pub async fn read(installation: &Installation) -> Result<Status, AppError> {
    let store = installation.store_to_read().await?;
    let store = store.as_ref();
    let at = installation.now();
    let mut problems = Vec::new();
    let findings = check::check_prerequisites(installation);
    let errors = findings.iter().filter_map(CheckFinding::to_error);
    problems.extend(errors.map(Problem::from));
    problems.extend(find_key_problem(installation, store).await?);

    let wakeups = WakeupCounts {
        due: store.count_due(at, u64::MAX).await?,
        next: store.next_due(None).await?,
    };
    let hosts = latest_by_name(installation.config.store.list_hosts(at).await?);
    if let Some(late) = wakeups.next.map(|next| at.since(next))
        && late > MAX_DELAY
    {
        let is_idle = !hosts.is_empty() && !hosts.iter().any(|host| host.alive);
        problems.push(Problem {
            message: format!(
                "{} due; the earliest has been due for {}{}",
                format_count(wakeups.due, "wakeup is", "wakeups are"),
                format_span(late),
                if is_idle { ", and no host runs" } else { "" }
            ),
            hint: "`relation-host run` must be running; if it is, its log has the reason"
                .to_owned(),
        });
    }
    let stashed = check_stash(installation, &mut problems)?;

    let mut alert_counts = BTreeMap::new();
    for severity in Severity::ALL {
        let filter = alerts::filter(None, Some(severity));
        alert_counts.insert(severity, store.count(&filter, u64::MAX).await?);
    }
    let first = alerts::read_page(store, &alerts::filter(None, None), None, MAX_ROWS).await?;
    let customers = count_customers(store).await?;
    let retrying = find_retrying(store).await?;
    let of_installation = alerts::filter_by_owner(alerts::INSTALLATION);
    let of_installation = alerts::read_page(store, &of_installation, None, MAX_ROWS).await?;
    if let Some(name) = &retrying {
        let explained = explain_retries(installation, &customers, name);
        // The installation's alert explains an outage.
        let is_explained = explained.is_some() || !of_installation.items.is_empty();
        problems.extend(explained);
        problems.extend(find_outage(&customers, name).filter(|_| !is_explained));
    }
    for alert in of_installation.items {
        problems.push(Problem {
            message: alert.body.message,
            hint: integration_hint(retrying.as_deref()),
        });
    }

    let failed_imports = imports::list_failed(store, MAX_ROWS as usize).await?;
    let (needs_person, more_need_person) = list_needing_person(store).await?;
    let is_stuck = failed_imports.iter().any(FailedImport::needs_person);
    let severe = [Severity::Critical, Severity::Major];
    let is_alerting = severe
        .iter()
        .any(|each| alert_counts.get(each).is_some_and(|count| *count > 0));
    let verdict = match (
        problems.is_empty(),
        needs_person.is_empty() && !is_stuck && !is_alerting,
    ) {
        (false, _) => Verdict::Problem,
        (true, false) => Verdict::NeedsPerson,
        (true, true) => Verdict::Ok,
    };
    Ok(Status {
        at,
        verdict,
        problems,
        customers,
        needs_person,
        more_need_person,
        alert_counts,
        alerts: first.items,
        failed_imports,
        wakeups,
        hosts,
        stashed,
        notices: count_failures(store).await?,
    })
}

/// Returns the latest entry of each host: one that was started again has a new one.
fn latest_by_name(mut hosts: Vec<HostInfo>) -> Vec<HostInfo> {
    hosts.sort_by(|a, b| b.seen.cmp(&a.seen).then_with(|| a.name.cmp(&b.name)));
    let mut names = BTreeSet::new();
    hosts.retain(|host| names.insert(host.name.clone()));
    hosts
}

/// Returns the problem of a base address that may be why customers are retrying, such as `name`.
fn explain_retries(
    installation: &Installation,
    customers: &CustomerCounts,
    name: &str,
) -> Option<Problem> {
    let finding = check::check_base_url(installation).finding;
    let retrying = customers.by_state.get(State::Retrying.as_str()).copied();
    let retrying = format_count(retrying?, "customer is", "customers are");
    (finding.level != FindingLevel::Ok).then(|| Problem {
        message: format!("{retrying} retrying, and {}", finding.message),
        hint: format!(
            "{}, restart `relation-host run`, and test it: `relation-host refresh {}`",
            finding.hint, name
        ),
    })
}

/// Returns the problem that no customer is served: every refresh failed at its last attempt.
fn find_outage(customers: &CustomerCounts, name: &str) -> Option<Problem> {
    let count = |state: State| customers.by_state.get(state.as_str()).copied().unwrap_or(0);
    let working = [State::Connected, State::Expiring, State::MissingScope];
    let is_outage = working.into_iter().all(|state| count(state) == 0);
    let retrying = format_count(count(State::Retrying), "customer is", "customers are");
    is_outage.then(|| Problem {
        message: format!("the last refresh of every connected customer failed: {retrying} retrying"),
        hint: format!(
            "`relation-host show {name}` has the reason, and `relation-host check --webex` tests the way to Webex"
        ),
    })
}

/// Returns how to end the alert of the integration: `retrying` is a customer to test the correction with.
fn integration_hint(retrying: Option<&str>) -> String {
    let check = "`relation-host check --webex` tests the client id and secret at Webex";
    match retrying {
        Some(name) => format!(
            "{check}; after the correction, `relation-host refresh {name}` ends this problem, and without it the \
             next attempt of `relation-host run`, at the time in `relation-host show {name}`"
        ),
        None => format!(
            "{check}; after the correction, the next refresh of a customer ends this problem"
        ),
    }
}

/// Returns the first customer that is retrying, as a command takes it.
async fn find_retrying(store: &dyn Store) -> Result<Option<String>, AppError> {
    let filter = records::filter(None, None, Some(State::Retrying));
    let page = store.list(&filter, &SortOrder::default(), None, 1).await?;
    let Some(customer) = page.items.first().map(CustomerNeedingPerson::from) else {
        return Ok(None);
    };
    let shares_name = records::is_shared_name(store, &customer.name).await?;
    Ok(Some(records::selector(
        &customer.name,
        &customer.pkid,
        shares_name,
    )))
}

/// Returns the problem of a key that does not open the store.
async fn find_key_problem(
    installation: &Installation,
    store: &dyn Store,
) -> Result<Option<Problem>, AppError> {
    // Without a data key, opening the store would add one.
    if store.data_keys().await?.is_empty() {
        return Err(installation.no_keys());
    }
    match check::check_key(installation, store).await {
        Ok(()) => Ok(None),
        Err(error) if error.kind == ErrorKind::Problem => Ok(Some(error.into())),
        Err(error) => Err(error),
    }
}

/// Adds the problems of the stash, and returns the number of waiting entries.
fn check_stash(installation: &Installation, problems: &mut Vec<Problem>) -> Result<u64, AppError> {
    let contents = StashContents::read(&installation.config.stash_directory())
        .map_err(|error| AppError::new(ErrorKind::Failed, error.to_string()))?;
    problems.extend(contents.problems().map(|(message, hint)| Problem {
        message,
        hint: hint.to_owned(),
    }));
    Ok(contents.waiting)
}

async fn count_customers(store: &dyn Store) -> Result<CustomerCounts, AppError> {
    let count_by_state = async {
        let mut by_state = BTreeMap::new();
        for state in State::ALL {
            let filter = records::filter(None, None, Some(state));
            let count = store.count(&filter, u64::MAX).await?;
            by_state.insert(state.as_str(), count);
        }
        Ok(by_state)
    };
    let everything = records::filter(None, None, None);
    let (total, by_state) = tokio::try_join!(store.count(&everything, u64::MAX), count_by_state)?;
    Ok(CustomerCounts { total, by_state })
}

/// Lists the first customers that need a person, and returns whether there may be more.
///
/// # Errors
/// The store cannot be read.
pub async fn list_needing_person(
    store: &dyn Store,
) -> Result<(Vec<CustomerNeedingPerson>, bool), AppError> {
    let order = SortOrder {
        key: Some("urgency".to_owned()),
        descending: false,
    };
    let filter = records::filter(None, None, None);
    let page = store.list(&filter, &order, None, MAX_ROWS).await?;
    let customers = page.items.iter().map(CustomerNeedingPerson::from);
    let needs_person =
        |customer: &CustomerNeedingPerson| NEEDS_PERSON.iter().any(|state| customer.has(*state));
    let mut customers: Vec<_> = customers.filter(needs_person).collect();
    for customer in &mut customers {
        customer.shares_name = records::is_shared_name(store, &customer.name).await?;
    }
    let more = page.next.is_some() && customers.len() == page.items.len();
    Ok((customers, more))
}

impl From<&Document> for CustomerNeedingPerson {
    fn from(document: &Document) -> Self {
        let states = document.keys.iter();
        let states = states.filter_map(|key| key.name.strip_prefix(records::STATE_PREFIX));
        Self {
            pkid: document.reference.pkid.clone(),
            name: records::find_name(document).unwrap_or_default().to_owned(),
            hierarchy: document.hierarchy.clone(),
            states: states.map(str::to_owned).collect(),
            shares_name: false,
        }
    }
}

impl CustomerNeedingPerson {
    /// Returns the commands that connect the customer again.
    pub fn connect_hint(&self) -> String {
        let selector = records::selector(&self.name, &self.pkid, self.shares_name);
        records::connect_hint(&selector, true)
    }

    fn has(&self, state: State) -> bool {
        self.states.iter().any(|each| each == state.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarted_host_is_listed_once() {
        let host = |name: &str, seen, alive| HostInfo {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            seen: Timestamp(seen),
            alive,
        };
        let hosts = vec![host("a", 1, false), host("b", 3, false), host("a", 5, true)];
        assert_eq!(
            latest_by_name(hosts),
            [host("a", 5, true), host("b", 3, false)]
        );
    }
}
