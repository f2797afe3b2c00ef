//! The end of an order: its result, the stored customer, the alert, and the removal of old orders.

use super::order::{Order, OrderState, ended_orders};
use super::steps::OrderRun;
use super::{OrderReport, log_error};
use crate::alerts::{self, ALERT, Notice, Severity, code};
use crate::platform::{Change, Failure, Level, Millis, Reference, UnixMillis};
use crate::webex::errors::{ErrorDetail, WebexError};
use crate::webex::wholesale::Customer;
use crate::workflows::sync::DocumentId;

/// How long an order is kept after its end: 30 days.
const RETENTION: Millis = Millis::from_hours(30 * 24);
/// The maximum number of old orders that the end of another one removes.
const MAX_PRUNED: u32 = 100;

impl OrderRun<'_> {
    pub(super) fn finish_gone(self) -> Result<OrderReport, Failure> {
        let message = format!("Webex has no customer {} any more", self.order.name);
        self.finish(OrderState::Failed, None, message)
    }

    pub(super) fn finish_rejected(mut self, error: &WebexError) -> Result<OrderReport, Failure> {
        log_error(self.partner.platform, &error.to_string());
        self.order.errors = error.details().to_vec();
        let message = format!(
            "Webex rejects the {} of {}: {}",
            self.order.operation,
            self.order.name,
            error.reason_with_tracking_id()
        );
        self.finish(OrderState::Failed, None, message)
    }

    /// Ends the order, and updates the stored customer.
    pub fn finish(
        mut self,
        state: OrderState,
        customer: Option<Customer>,
        message: String,
    ) -> Result<OrderReport, Failure> {
        let now = self.now();
        let was_timed_out = self.order.state == OrderState::TimedOut;
        let order = &mut self.order;
        order.state = state;
        order.message = message;
        order.next_check = None;
        if order.begun == UnixMillis::default() {
            order.begun = now;
        }
        if was_timed_out && state == OrderState::TimedOut {
            // The outcome is still unknown.
            return Ok(self.order.report());
        }
        order.ended = Some(now);
        if state == OrderState::Deleted {
            order.status.clear();
            order.packages.clear();
            order.errors.clear();
        }
        let mut changes = Vec::new();
        match (&customer, &self.order.customer, state) {
            (Some(customer), _, _) => changes.extend(self.partner.store_customer(customer)?),
            (None, Some(id), OrderState::Deleted) => {
                changes.push(Change::Delete(self.partner.document_reference(id)));
            }
            _ => {}
        }
        changes.extend(self.alert_change()?);
        changes.extend(self.prune(now)?);
        self.progress(&self.order.message);
        let level = match self.build_notice() {
            Some(_) => Level::Warning,
            None => Level::Info,
        };
        self.partner.platform.log(level, &self.order.message);
        self.commit(changes)?;
        Ok(self.order.report())
    }

    /// Returns the notice of an end that a person must look at.
    fn build_notice(&self) -> Option<Notice> {
        let severity = match self.order.state {
            OrderState::Failed | OrderState::TimedOut => Severity::Major,
            OrderState::ProvisionedWithErrors => Severity::Minor,
            _ => return None,
        };
        Some(Notice {
            code: code::ORDER_FAILED,
            severity,
            message: format!(
                "wholesale customer of {}: {}",
                self.partner.record.name(),
                self.order.message
            ),
            threshold: Millis::ZERO,
        })
    }

    /// Returns the change that raises the customer's alert, or ends it.
    fn alert_change(&self) -> Result<Option<Change>, Failure> {
        let (record, platform) = (&self.partner.record, self.partner.platform);
        let id = DocumentId::derive(&record.pkid, ALERT, &self.order.reference().pkid);
        let reference = Reference::new(ALERT, id.to_string());
        let stored = platform.get(&reference)?;
        match (self.build_notice(), stored) {
            (Some(notice), earlier) => {
                alerts::raise_import(record, reference, earlier, &notice, platform.now()).map(Some)
            }
            (None, Some(_)) => Ok(Some(Change::Delete(reference))),
            (None, None) => Ok(None),
        }
    }

    /// Returns the changes that remove old orders of the record.
    fn prune(&self, now: UnixMillis) -> Result<Vec<Change>, Failure> {
        let filter = ended_orders(&self.partner.record);
        let own = self.order.reference();
        let ended = self.partner.platform.find(&filter, None, MAX_PRUNED)?;
        let ended = ended.documents.into_iter();
        let is_old = |body: &str| {
            let order = serde_json::from_str::<Order>(body).ok();
            let ended = order.and_then(|order| order.ended);
            ended.is_none_or(|ended| ended + RETENTION <= now)
        };
        Ok(ended
            .filter(|document| document.reference != own && is_old(&document.body))
            .map(|document| Change::Delete(document.reference))
            .collect())
    }
}

/// Joins the reasons that Webex gives for errors.
pub(super) fn list_reasons(reasons: &[ErrorDetail]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for reason in reasons {
        let text = reason.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.is_empty() {
        true => String::new(),
        false => format!(": {}", texts.join("; ")),
    }
}
