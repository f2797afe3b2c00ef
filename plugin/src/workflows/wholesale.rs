//! Changes the customers of a wholesale partner at Webex.
//!
//! A change is an order: a document that is stored before the request is sent, and until Webex has carried the
//! request out. Webex accepts a request with status 202; a wakeup then asks for the customer's state every few seconds,
//! up to the time that Webex documents. After an interruption, or a request without a response, the order asks Webex
//! for the customer before it sends the request again. A creation is therefore neither repeated nor lost.

mod change;
mod end;
mod order;
mod partner;
mod selection;
mod steps;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

pub use change::PackageChange;
pub use order::{
    ORDER_MODEL, Operation, OrderState, describe_order, from_wakeup, list_ended_customers,
};

use crate::platform::{Failure, FieldError, Level, Platform, Reference, UnixMillis};
use crate::record::Record;
use crate::reports::{ImportCount, SyncReport};
use crate::webex::directories::WHOLESALE_CUSTOMERS;
use crate::webex::errors::ErrorDetail;
use crate::webex::wholesale::{Customer, PackageState, find_customer};
use change::{build_change, check_change};
use order::Order;
use partner::Partner;
use selection::{name_of, select};
use steps::OrderRun;

/// The result of an action on a wholesale customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrderReport {
    /// The record's primary key.
    pub pkid: String,
    /// The partner's own id of the customer; Webex's id if there is none.
    pub customer: String,
    /// Webex's id of the customer, once it is known.
    pub customer_id: Option<String>,
    /// The bare UUID of the customer's organization, once it is provisioned.
    pub organization: Option<String>,
    /// The change that was requested last from here; none: no change was requested.
    pub operation: Option<Operation>,
    /// The state of that change.
    pub state: Option<OrderState>,
    /// The customer's state at Webex, such as `updating`; empty: unknown.
    pub status: String,
    /// The customer's packages with their states at Webex.
    pub packages: Vec<PackageState>,
    /// Errors of Webex.
    pub errors: Vec<ErrorDetail>,
    /// When the change was requested, in milliseconds since 1970.
    pub begun: Option<u64>,
    /// When the change ended, in milliseconds since 1970.
    pub ended: Option<u64>,
    /// When a wakeup continues the change, in milliseconds since 1970; none: it has ended.
    pub continues: Option<u64>,
    /// The result for the administrator.
    pub message: String,
}

/// Requests the new customer `external_id` with `request` as the body of Webex's request. If the same order is in
/// progress, it is continued.
///
/// # Errors
/// - `invalid`: errors of Webex, by argument; the id is in use; another order for the id is in progress
/// - `reauthorize`, `rate-limited`, `unavailable`, `limit-exceeded`: nothing was requested
/// - `not-found`, `conflict`
pub fn add(
    platform: &dyn Platform,
    pkid: &str,
    external_id: &str,
    request: Map<String, Value>,
) -> Result<OrderReport, Failure> {
    let mut partner = Partner::open(platform, pkid)?;
    let request = Value::Object(request);
    let stored = Order::load(platform, &partner.record, external_id)?;
    if let Some(order) = stored.running() {
        return match order.operation == Operation::Add && order.request == request {
            true => OrderRun::resume(partner, order.clone(), stored.version).advance(),
            false => Err(in_progress("external_id", order)),
        };
    }
    let found = partner.call(|webex, token| find_customer(webex, external_id, token))?;
    if let Some(found) = found {
        let message = format!(
            "Webex has a customer with this id ({}); choose another id, or modify or delete that customer",
            found.id()
        );
        return Err(Failure::Invalid(vec![FieldError::new(
            "external_id",
            message,
        )]));
    }
    let order = Order::new(&partner.record, external_id, Operation::Add, request);
    OrderRun::begin(partner, order, stored.version)
}

/// Requests a change of the customer that `selector` names. `details` are the members of Webex's request that change,
/// besides the packages. All else stays as it is at Webex.
///
/// # Errors
/// Errors of [`add`], and `invalid` for packages that need another one; `conflict` while Webex works on the customer.
pub fn modify(
    platform: &dyn Platform,
    pkid: &str,
    selector: &str,
    change: &PackageChange,
    details: Map<String, Value>,
) -> Result<OrderReport, Failure> {
    let mut partner = Partner::open(platform, pkid)?;
    let selected = select(&mut partner, selector)?;
    let stored = Order::load(platform, &partner.record, &selected.name)?;
    if let Some(order) = stored.running() {
        return Err(in_progress("customer", order));
    }
    let current = selected.fetch(&mut partner)?;
    let current = current.ok_or_else(|| selected.gone())?;
    if is_in_progress(&current.status) {
        return Err(Failure::Conflict(format!(
            "Webex still works on {} (status {}): try again later",
            selected.name, current.status
        )));
    }
    let packages = change.apply(&current.packages);
    check_change(&current, &packages, change, &details)?;
    let Some(request) = build_change(&current, &packages, details) else {
        let message = format!("nothing changes: {} is like that already", selected.name);
        return Ok(report_customer(&partner.record, &current, message));
    };
    let mut order = Order::new(&partner.record, &selected.name, Operation::Modify, request);
    order.packages_argument = change.first_argument().to_owned();
    order.observe(&current);
    OrderRun::begin(partner, order, stored.version)
}

/// Requests the deletion of the customer that `selector` names. If its deletion is in progress, it is continued.
///
/// # Errors
/// Errors of [`add`].
pub fn delete(platform: &dyn Platform, pkid: &str, selector: &str) -> Result<OrderReport, Failure> {
    let mut partner = Partner::open(platform, pkid)?;
    let selected = select(&mut partner, selector)?;
    let stored = Order::load(platform, &partner.record, &selected.name)?;
    if let Some(order) = stored.running() {
        return match order.operation {
            Operation::Delete => OrderRun::resume(partner, order.clone(), stored.version).advance(),
            _ => Err(in_progress("customer", order)),
        };
    }
    let current = selected.fetch(&mut partner)?;
    let record = &partner.record;
    let mut order = Order::new(record, &selected.name, Operation::Delete, Value::Null);
    order.customer = selected.id;
    match &current {
        Some(current) => {
            order.observe(current);
            OrderRun::begin(partner, order, stored.version)
        }
        None => {
            let message = format!("Webex has no customer {} any more", order.name);
            OrderRun::resume(partner, order, stored.version).finish(
                OrderState::Deleted,
                None,
                message,
            )
        }
    }
}

/// Asks Webex for the customer that `selector` names, and continues its order. An order that waits for its next check
/// is reported without a request.
///
/// # Errors
/// `invalid` (`customer`) if there is no such customer; otherwise as [`add`].
pub fn check(platform: &dyn Platform, pkid: &str, selector: &str) -> Result<OrderReport, Failure> {
    let mut partner = Partner::open(platform, pkid)?;
    let selected = select(&mut partner, selector)?;
    let stored = Order::load(platform, &partner.record, &selected.name)?;
    if let Some(order) = stored.running() {
        return OrderRun::resume(partner, order.clone(), stored.version).advance();
    }
    let order = stored.order;
    if let Some(order) = &order
        && order.state == OrderState::TimedOut
    {
        return OrderRun::resume(partner, order.clone(), stored.version).poll();
    }
    let current = selected.fetch(&mut partner)?;
    let Some(current) = current else {
        return match order {
            Some(order) if order.state == OrderState::Deleted => Ok(order.report()),
            _ => Err(selected.gone()),
        };
    };
    if let Some(put) = partner.store_customer(&current)? {
        platform.commit(vec![partner.record.version_check()], vec![put])?;
    }
    let status = match current.status.as_str() {
        "" => "unknown",
        status => status,
    };
    let message = format!("Webex's status of {} is {status}", selected.name);
    let mut report = report_customer(&partner.record, &current, message);
    if let Some(order) = order {
        report.operation = Some(order.operation);
        report.state = Some(order.state);
        report.begun = Some(order.begun.0);
        report.ended = order.ended.map(|at| at.0);
    }
    Ok(report)
}

/// Continues the order whose document is `reference`, for a wakeup. Returns none if there is no such order any more,
/// or it has ended.
///
/// # Errors
/// Errors of the storage and the settings. An error of Webex postpones the order, until its time has passed.
pub fn continue_order(
    platform: &dyn Platform,
    pkid: &str,
    reference: &Reference,
) -> Result<Option<SyncReport>, Failure> {
    let partner = Partner::open(platform, pkid)?;
    let stored = order::StoredOrder::load(platform, reference)?;
    match stored.running() {
        Some(order) => {
            let run = OrderRun::resume(partner, order.clone(), stored.version);
            Ok(Some(to_sync_report(run.step()?, reference)))
        }
        None => Ok(None),
    }
}

/// Reports the end, or the progress, of an order as the import of one customer.
fn to_sync_report(report: OrderReport, reference: &Reference) -> SyncReport {
    let failed = match report.state {
        Some(OrderState::Failed | OrderState::TimedOut | OrderState::ProvisionedWithErrors) => {
            Some(report.message.clone())
        }
        _ => None,
    };
    let is_deleted = report.state == Some(OrderState::Deleted);
    let count = ImportCount {
        model: WHOLESALE_CUSTOMERS.model.to_owned(),
        found: u32::from(!is_deleted && failed.is_none()),
        added: 0,
        updated: u32::from(!is_deleted && failed.is_none()),
        removed: u32::from(is_deleted),
        failed,
    };
    SyncReport {
        sync: format!("wholesale customer {}", report.customer),
        sync_pkid: reference.pkid.clone(),
        pkid: report.pkid,
        done: report.state.map_or(0, OrderState::steps_done),
        total: OrderState::STEPS,
        models: match report.continues {
            Some(_) => Vec::new(),
            None => vec![count],
        },
        continues: report.continues,
        message: report.message,
    }
}

fn in_progress(field: &str, order: &Order) -> Failure {
    let message = format!(
        "the {} of {} is in progress ({}): try again when it has ended",
        order.operation, order.name, order.message
    );
    Failure::Invalid(vec![FieldError::new(field, message)])
}

/// Returns whether Webex works on a customer with this status.
fn is_in_progress(status: &str) -> bool {
    matches!(status, "provisioning" | "updating" | "deleting")
}

/// Reports a customer without an order.
fn report_customer(record: &Record, customer: &Customer, message: String) -> OrderReport {
    let organization = customer.organization;
    OrderReport {
        pkid: record.pkid.clone(),
        customer: name_of(customer),
        customer_id: Some(customer.id().to_owned()),
        organization: organization.map(|organization| organization.external()),
        operation: None,
        state: None,
        status: customer.status.clone(),
        packages: order::package_states(customer),
        errors: customer.errors.clone(),
        begun: None,
        ended: None,
        continues: None,
        message,
    }
}

/// Logs an error of Webex and returns its text.
fn log_error(platform: &dyn Platform, text: &str) {
    platform.log(Level::Warning, text);
}

/// Returns the later of two times.
fn latest(one: UnixMillis, other: Option<UnixMillis>) -> UnixMillis {
    other.map_or(one, |other| one.max(other))
}

#[cfg(test)]
mod tests;
