//! The list of alerts, the most severe first.

use std::collections::BTreeMap;

use relation_host::store::{SortOrder, Store, StoreError};
use relation_host::types::{
    ALERT_MODEL, Document, Filter, Hierarchy, Key, Page, Pkid, Reference, Scope,
};
use serde::{Deserialize, Serialize};

use crate::listing::cursor_error;
use crate::{AppError, records};

/// The owner and subject of alerts about the whole installation.
pub const INSTALLATION: &str = "installation";

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The connection does not work, or stops working at its next step.
    Critical,
    /// Action is needed now.
    Major,
    /// Action should be planned.
    Minor,
    /// There is plenty of time for action.
    Info,
}

impl Severity {
    /// All severities, the most severe first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Major, Self::Minor, Self::Info];

    /// Returns the severity's name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Info => "info",
        }
    }

    /// Returns the value of the key `severity`, which also sorts.
    fn key(self) -> String {
        format!("{} {}", self as u8, self.as_str())
    }
}

/// An alert, with the name of its customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// The alert's primary key.
    pub pkid: Pkid,
    /// The node of the alert.
    pub hierarchy: Hierarchy,
    /// The customer's name; empty if the alert is about the installation, or the customer does not exist.
    pub customer: String,
    /// The content.
    #[serde(flatten)]
    pub body: AlertBody,
}

/// The members of an alert's body that administrators see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBody {
    /// The code, such as `WEBEX_REFRESH_TOKEN_EXPIRING`.
    pub code: String,
    /// The severity.
    pub severity: Severity,
    /// The text for the administrator.
    pub message: String,
    /// The number of occurrences.
    pub count: u32,
    /// The time of the first occurrence, RFC 3339.
    pub first: String,
    /// The time of the latest occurrence, RFC 3339.
    pub latest: String,
    /// The record that the alert is about, or `installation`.
    pub subject: String,
    /// The crossed threshold in milliseconds before the expiry; 0: the expiry itself, or no threshold.
    #[serde(default)]
    pub threshold: u64,
    /// The grant that the alert is about.
    #[serde(default)]
    pub grant: relation_host::reports::Grant,
}

/// Builds a filter for alerts, optionally of one severity, at or below a node.
pub fn filter(hierarchy: Option<Hierarchy>, severity: Option<Severity>) -> Filter {
    let severity = severity.map(|severity| Key {
        name: "severity".to_owned(),
        value: severity.key(),
    });
    Filter {
        model: ALERT_MODEL.to_owned(),
        hierarchy: hierarchy.map(|node| (node, Scope::Subtree)),
        equals: severity.into_iter().collect(),
    }
}

/// Builds a filter for the alerts of one record, or of the installation.
pub fn filter_by_owner(owner: &str) -> Filter {
    Filter {
        equals: vec![Key {
            name: "owner".to_owned(),
            value: owner.to_owned(),
        }],
        ..filter(None, None)
    }
}

/// Reads a page of alerts, the most severe first. An alert that cannot be read is left out, and logged.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a cursor of another list; the store cannot be read.
pub async fn read_page(
    store: &dyn Store,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Alert>, AppError> {
    let order = SortOrder {
        key: Some("severity".to_owned()),
        descending: false,
    };
    let page = store.list(filter, &order, cursor, limit).await;
    let page = page.map_err(|error| match error {
        StoreError::Invalid(_) if cursor.is_some() => cursor_error(),
        error => error.into(),
    })?;
    Ok(Page {
        items: parse_with_customer_names(store, &page.items).await?,
        next: page.next,
    })
}

async fn parse_with_customer_names(
    store: &dyn Store,
    documents: &[Document],
) -> Result<Vec<Alert>, AppError> {
    let mut alerts: Vec<Alert> = documents.iter().filter_map(parse).collect();
    let subjects = alerts.iter().filter_map(|alert| parse_subject(&alert.body));
    let subjects: Vec<Reference> = subjects.collect();
    let mut names = BTreeMap::new();
    for document in store.get(&subjects).await?.into_iter().flatten() {
        if let Some(name) = records::find_name(&document) {
            names.insert(document.reference.to_string(), name.to_owned());
        }
    }
    for alert in &mut alerts {
        alert.customer = names.get(&alert.body.subject).cloned().unwrap_or_default();
    }
    Ok(alerts)
}

fn parse(document: &Document) -> Option<Alert> {
    match serde_json::from_str(&document.body) {
        Ok(body) => Some(Alert {
            pkid: document.reference.pkid.clone(),
            hierarchy: document.hierarchy.clone(),
            customer: String::new(),
            body,
        }),
        Err(error) => {
            tracing::warn!(alert = %document.reference, %error, "an alert cannot be read");
            None
        }
    }
}

fn parse_subject(body: &AlertBody) -> Option<Reference> {
    let (model, pkid) = body.subject.rsplit_once('/')?;
    Some(Reference::new(model, pkid.parse().ok()?))
}
