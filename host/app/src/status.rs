//! A glance at an installation: what needs a person, what is due, and what is wrong.
//!
//! Reads only keys, counters and the newest entries, so that the cost hardly follows the number of customers.

use std::collections::BTreeMap;
use std::time::Duration;

use relation_host::reports::State;
use relation_host::store::stash;
use relation_host::store::{SortOrder, Store};
use relation_host::types::{Document, Hierarchy, Pkid, Timestamp};
use serde::Serialize;

use crate::alerts::{self, Alert, Severity};
use crate::{AppError, ErrorKind, Installation, OpenMode, records};

/// The maximum number of customers and of alerts in a [`Status`].
const MAX_ROWS: u32 = 20;
/// How late a wakeup may be before something is wrong.
const MAX_DELAY: Duration = Duration::from_secs(5 * 60);

/// The states that need a person, the most urgent first.
const NEEDS_PERSON: [State; 3] = [State::Expired, State::Reauthorize, State::Expiring];

/// What an installation looks like now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The time.
    pub at: Timestamp,
    /// Whether somebody must act, and who.
    pub verdict: Verdict,
    /// What is wrong with the installation, for its operator.
    pub problems: Vec<Problem>,
    /// The customers, counted.
    pub customers: CustomerCounts,
    /// The first customers that a person must connect again, now or soon, the most urgent first.
    pub needs_person: Vec<Customer>,
    /// The number of alerts by severity.
    pub alert_counts: BTreeMap<Severity, u64>,
    /// The first alerts, the most severe first.
    pub alerts: Vec<Alert>,
    /// The scheduled wakeups.
    pub wakeups: Wakeups,
    /// Responses of Webex in the stash, which are not in the store yet.
    pub stashed: u64,
}

impl Status {
    /// Returns the number of grants that a person must connect again, now or soon.
    pub fn needs_person_count(&self) -> u64 {
        let states = NEEDS_PERSON.iter().map(|state| state.as_str());
        let counts = states.filter_map(|state| self.customers.by_state.get(state));
        counts.sum()
    }
}

/// Whether somebody must act, and who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nobody must act.
    Ok,
    /// A person must connect a customer again.
    NeedsPerson,
    /// The operator must act: the installation has a problem.
    Problem,
}

/// Something that is wrong with the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
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
pub struct Customer {
    /// The record's primary key.
    pub pkid: Pkid,
    /// The customer's name.
    pub name: String,
    /// The customer's node.
    pub hierarchy: Hierarchy,
    /// The states of the customer's grants.
    pub states: Vec<String>,
}

/// The scheduled wakeups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wakeups {
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
    let store = installation.config.store.open(OpenMode::Read)?;
    let store = store.as_ref();
    let at = installation.now();
    let mut problems = Vec::new();

    let wakeups = Wakeups {
        due: store.count_due(at, u64::MAX).await?,
        next: store.next_due().await?,
    };
    if let Some(late) = wakeups.next.map(|next| at.since(next))
        && late > MAX_DELAY
    {
        problems.push(Problem {
            message: format!(
                "{} wakeups are due, the earliest for {}",
                wakeups.due,
                humantime::format_duration(Duration::from_secs(late.as_secs()))
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
    let of_installation = alerts::filter_by_owner(alerts::INSTALLATION);
    for alert in alerts::read_page(store, &of_installation, None, MAX_ROWS)
        .await?
        .items
    {
        problems.push(Problem {
            message: alert.body.message,
            hint: "`relation-host check --webex` tests the client id and secret at Webex"
                .to_owned(),
        });
    }

    let customers = count_customers(store).await?;
    let needs_person = list_needing_person(store).await?;
    let verdict = match (problems.is_empty(), needs_person.is_empty()) {
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
        alert_counts,
        alerts: first.items,
        wakeups,
        stashed,
    })
}

/// Counts the waiting entries of the stash.
fn check_stash(installation: &Installation, problems: &mut Vec<Problem>) -> Result<u64, AppError> {
    let files = stash::list(&installation.config.stash_directory())
        .map_err(|error| AppError::new(ErrorKind::Failed, error.to_string()))?;
    let (set_aside, waiting): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.quarantined);
    let hint = "`relation-host stash list` lists them, `relation-host stash apply` applies them";
    if !waiting.is_empty() {
        problems.push(Problem {
            message: format!(
                "{} responses of Webex are in the stash and not in the store",
                waiting.len()
            ),
            hint: hint.to_owned(),
        });
    }
    if !set_aside.is_empty() {
        problems.push(Problem {
            message: format!("{} entries of the stash were set aside", set_aside.len()),
            hint: "`relation-host stash list` lists them; the log has the reason".to_owned(),
        });
    }
    Ok(waiting.len() as u64)
}

async fn count_customers(store: &dyn Store) -> Result<CustomerCounts, AppError> {
    let mut by_state = BTreeMap::new();
    for state in State::ALL {
        let filter = records::filter(None, None, Some(state));
        let count = store.count(&filter, u64::MAX).await?;
        by_state.insert(state.as_str(), count);
    }
    let everything = records::filter(None, None, None);
    Ok(CustomerCounts {
        total: store.count(&everything, u64::MAX).await?,
        by_state,
    })
}

async fn list_needing_person(store: &dyn Store) -> Result<Vec<Customer>, AppError> {
    let order = SortOrder {
        key: Some("urgency".to_owned()),
        descending: false,
    };
    let filter = records::filter(None, None, None);
    let page = store.list(&filter, &order, None, MAX_ROWS).await?;
    let customers = page.items.iter().map(customer);
    let needs_person = |customer: &Customer| NEEDS_PERSON.iter().any(|state| customer.has(*state));
    Ok(customers.filter(needs_person).collect())
}

fn customer(document: &Document) -> Customer {
    let states = document.keys.iter();
    let states = states.filter_map(|key| key.name.strip_prefix(records::STATE_PREFIX));
    Customer {
        pkid: document.reference.pkid.clone(),
        name: records::name_of(document).unwrap_or_default().to_owned(),
        hierarchy: document.hierarchy.clone(),
        states: states.map(str::to_owned).collect(),
    }
}

impl Customer {
    fn has(&self, state: State) -> bool {
        self.states.iter().any(|each| each == state.as_str())
    }
}
