//! The stored state of an order.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OrderReport;
use crate::platform::{
    Change, Check, Document, Failure, Filter, Key, Reference, Scope, Storage, UnixMillis,
    VersionCheck, Wakeup, is_pkid,
};
use crate::record::{Record, key};
use crate::webex::errors::ErrorDetail;
use crate::webex::wholesale::{Customer, PackageState};
use crate::workflows::sync::DocumentId;

/// The model of orders: one document for each customer, with the last order for it.
pub const ORDER_MODEL: &str = "data/SparkWholesaleOrder";
/// The kind of the wakeups that continue orders. The id continues with a full stop and the order's primary key.
const WAKEUP_KIND: &str = "wholesale";
/// The key of orders that have ended.
pub(super) const ENDED: &str = "ended";
/// The number of orders in one page of a query.
const PAGE_SIZE: u32 = 100;

/// A change of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A new customer.
    Add,
    /// Other packages or details.
    Modify,
    /// The deletion.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "creation",
            Self::Modify => "change",
            Self::Delete => "deletion",
        })
    }
}

/// The state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderState {
    /// The request must still be sent, or it is unknown whether Webex has received it.
    Sending,
    /// Webex has accepted the request and works on it.
    Working,
    /// The customer is provisioned as requested.
    Provisioned,
    /// The customer is provisioned, and Webex reports errors.
    ProvisionedWithErrors,
    /// The customer is deleted.
    Deleted,
    /// Webex has not carried out the request.
    Failed,
    /// Webex has not ended its work in time. The result is unknown.
    TimedOut,
}

impl OrderState {
    /// The number of steps of an order: the request, and Webex's work.
    pub const STEPS: u32 = 2;

    /// Returns whether nothing of the order is left to do.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Sending | Self::Working)
    }

    /// Returns the number of completed steps.
    pub fn steps_done(self) -> u32 {
        match self {
            Self::Sending => 0,
            Self::Working => 1,
            _ => Self::STEPS,
        }
    }
}

/// A change of a customer that was requested, until its end at Webex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The record's primary key.
    pub owner: String,
    /// The partner's own id of the customer; Webex's id if there is none.
    pub name: String,
    pub operation: Operation,
    pub state: OrderState,
    /// Webex's id of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The bare UUID of the customer's organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The body of the request.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub request: Value,
    /// The argument that errors of packages belong to.
    #[serde(default)]
    pub packages_argument: String,
    pub begun: UnixMillis,
    /// The number of times that the request was sent.
    #[serde(default)]
    pub attempts: u32,
    /// Whether a request may have been carried out without a response.
    #[serde(default)]
    pub uncertain: bool,
    /// The time at which Webex must have ended its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// The time of the next request; none: the order has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<UnixMillis>,
    /// Whether Webex was asked for the identity of the customer's organization.
    #[serde(default)]
    pub identified: bool,
    /// The customer's status at Webex.
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub packages: Vec<PackageState>,
    #[serde(default)]
    pub errors: Vec<ErrorDetail>,
    /// The state for the administrator.
    #[serde(default)]
    pub message: String,
}

/// A stored order with the version of its document.
pub(super) struct StoredOrder {
    /// The order; none if there is none, or an unreadable one.
    pub order: Option<Order>,
    /// The version of the document; 0: not stored.
    pub version: u64,
}

impl StoredOrder {
    /// Loads the order whose document is `reference`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn load(storage: &dyn Storage, reference: &Reference) -> Result<Self, Failure> {
        let document = storage.get(reference)?;
        let version = document.as_ref().map_or(0, |document| document.version);
        let order = document.and_then(|document| serde_json::from_str(&document.body).ok());
        Ok(Self { order, version })
    }

    /// Returns the order, if it has not ended.
    pub fn running(&self) -> Option<&Order> {
        self.order.as_ref().filter(|order| !order.state.is_ended())
    }
}

/// Returns the filter of the ended orders of `record`.
pub(super) fn ended_orders(record: &Record) -> Filter {
    Filter {
        model: ORDER_MODEL.to_owned(),
        hierarchy: record.hierarchy.clone(),
        scope: Scope::Node,
        equals: vec![
            Key::new(key::OWNER, &record.pkid),
            Key::new(ENDED, key::YES),
        ],
    }
}

/// Lists Webex's ids of the customers of `record` whose orders have ended at or after `since`.
///
/// # Errors
/// Storage errors.
pub fn list_ended_customers(
    storage: &dyn Storage,
    record: &Record,
    since: UnixMillis,
) -> Result<Vec<String>, Failure> {
    let filter = ended_orders(record);
    let mut customers = Vec::new();
    let mut cursor = None;
    loop {
        let page = storage.find(&filter, cursor.as_deref(), PAGE_SIZE)?;
        let orders = page.documents.iter();
        let orders = orders.filter_map(|found| serde_json::from_str::<Order>(&found.body).ok());
        let recent = orders.filter(|order| order.ended.is_some_and(|ended| ended >= since));
        customers.extend(recent.filter_map(|order| order.customer));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(customers),
        }
    }
}

impl Order {
    /// Creates an order whose request was not sent.
    pub fn new(record: &Record, name: &str, operation: Operation, request: Value) -> Self {
        Self {
            owner: record.pkid.clone(),
            name: name.to_owned(),
            operation,
            state: OrderState::Sending,
            customer: None,
            organization: None,
            request,
            packages_argument: "packages".to_owned(),
            begun: UnixMillis::default(),
            attempts: 0,
            uncertain: false,
            deadline: None,
            next_check: None,
            ended: None,
            identified: false,
            status: String::new(),
            packages: Vec::new(),
            errors: Vec::new(),
            message: format!("the {operation} of {name} is being requested"),
        }
    }

    /// Loads the last order for the customer `name`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn load(
        storage: &dyn Storage,
        record: &Record,
        name: &str,
    ) -> Result<StoredOrder, Failure> {
        StoredOrder::load(storage, &reference(&record.pkid, name))
    }

    /// Returns the reference to the order's document.
    pub fn reference(&self) -> Reference {
        reference(&self.owner, &self.name)
    }

    /// Stores what Webex says about the customer.
    pub fn observe(&mut self, customer: &Customer) {
        self.customer = Some(customer.id().to_owned());
        if let Some(organization) = customer.organization {
            self.organization = Some(organization.external());
        }
        self.status.clone_from(&customer.status);
        self.packages = package_states(customer);
        self.errors = customer.errors.clone();
    }

    /// Returns the requested packages.
    pub fn requested_packages(&self) -> Vec<String> {
        let packages = self.request.get("packages").and_then(Value::as_array);
        let names = packages.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }

    /// Returns the check that the stored version is `version`, and the changes that store the order with its wakeup.
    ///
    /// # Errors
    /// `internal` if the order cannot be written as JSON.
    pub fn to_commit(
        &self,
        record: &Record,
        version: u64,
    ) -> Result<(Check, Vec<Change>), Failure> {
        let reference = self.reference();
        let mut keys = vec![
            Key::new(key::OWNER, &self.owner),
            Key::new(key::NAME, &self.name),
        ];
        if self.state.is_ended() {
            keys.push(Key::new(ENDED, key::YES));
        }
        let body = serde_json::to_string(self)
            .map_err(|error| Failure::Internal(format!("the order cannot be written: {error}")))?;
        let put = Change::Put(Document {
            reference: reference.clone(),
            hierarchy: record.hierarchy.clone(),
            version: 0,
            body,
            keys: keys.into_iter().filter(Key::fits).collect(),
        });
        let id = format!("{WAKEUP_KIND}.{}", reference.pkid);
        let wakeup = match self.next_check {
            Some(due) => Change::Schedule(Wakeup {
                id,
                subject: record.reference(),
                due: due.0,
                deadline: None,
                payload: reference.pkid.clone(),
            }),
            None => Change::Cancel(record.reference(), id),
        };
        Ok((version_check(reference, version), vec![put, wakeup]))
    }

    /// Returns the check and the changes that remove the order with its wakeup.
    pub fn to_removal(&self, record: &Record, version: u64) -> (Check, Vec<Change>) {
        let reference = self.reference();
        let id = format!("{WAKEUP_KIND}.{}", reference.pkid);
        let changes = vec![
            Change::Delete(reference.clone()),
            Change::Cancel(record.reference(), id),
        ];
        (version_check(reference, version), changes)
    }

    /// Reports the order.
    pub fn report(&self) -> OrderReport {
        OrderReport {
            pkid: self.owner.clone(),
            customer: self.name.clone(),
            customer_id: self.customer.clone(),
            organization: self.organization.clone(),
            operation: Some(self.operation),
            state: Some(self.state),
            status: self.status.clone(),
            packages: self.packages.clone(),
            errors: self.errors.clone(),
            begun: Some(self.begun.0),
            ended: self.ended.map(|at| at.0),
            continues: self.next_check.map(|at| at.0),
            message: self.message.clone(),
        }
    }
}

fn version_check(reference: Reference, version: u64) -> Check {
    match version {
        0 => Check::Absent(reference),
        version => Check::Version(VersionCheck { reference, version }),
    }
}

fn reference(owner: &str, name: &str) -> Reference {
    let id = DocumentId::derive(owner, ORDER_MODEL, name);
    Reference::new(ORDER_MODEL, id.to_string())
}

/// Returns the states of all packages of a customer.
pub(super) fn package_states(customer: &Customer) -> Vec<PackageState> {
    let mut states = customer.details.clone();
    for name in &customer.packages {
        if !states.iter().any(|state| state.name == *name) {
            states.push(PackageState {
                name: name.clone(),
                status: String::new(),
                errors: Vec::new(),
            });
        }
    }
    states
}

/// Returns the order that `wakeup` continues.
pub fn from_wakeup(wakeup: &Wakeup) -> Option<Reference> {
    let has_kind = wakeup.id.split('.').next() == Some(WAKEUP_KIND);
    (has_kind && is_pkid(&wakeup.payload)).then(|| Reference::new(ORDER_MODEL, &wakeup.payload))
}

/// Describes the order in `document` for a person who deletes it: the customer, and whether Webex still works.
pub fn describe_order(document: &Document) -> Option<String> {
    if document.reference.model != ORDER_MODEL {
        return None;
    }
    let order: Order = serde_json::from_str(&document.body).ok()?;
    Some(match order.state.is_ended() {
        true => order.name,
        false => format!("{} ({} in progress)", order.name, order.operation),
    })
}
