//! The steps of an order: the request, its repetition after an unknown outcome, and the checks until its end.

use super::end::list_reasons;
use super::order::{Operation, Order, OrderState};
use super::partner::{Partner, RequestError};
use super::{OrderReport, is_in_progress, latest, log_error};
use crate::model::derived;
use crate::platform::{Change, Failure, FieldError, Level, Millis, UnixMillis};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::wholesale::{
    Customer, MAX_PROVISIONING, POLL_INTERVAL, create_customer, delete_customer, fetch_customer,
    field_errors, find_customer, identify_organization, update_customer,
};

/// How long after the beginning of a call a wakeup takes over, if the call is interrupted.
const TAKEOVER_DELAY: Millis = Millis::from_seconds(60);
/// The pause before the first repetition of a request; doubled for each further one.
const FIRST_RETRY_DELAY: Millis = Millis::from_seconds(10);
/// The longest pause between two repetitions.
const MAX_RETRY_DELAY: Millis = Millis::from_seconds(120);
/// How long a request is repeated.
const MAX_SENDING: Millis = Millis::from_seconds(900);

/// An order during a call.
pub(super) struct OrderRun<'a> {
    pub(super) partner: Partner<'a>,
    pub(super) order: Order,
    // The version of its document; 0: not stored.
    version: u64,
}

impl<'a> OrderRun<'a> {
    /// Continues a stored order.
    pub fn resume(partner: Partner<'a>, order: Order, version: u64) -> Self {
        Self {
            partner,
            order,
            version,
        }
    }

    /// Stores a new order and sends its request.
    pub fn begin(
        partner: Partner<'a>,
        mut order: Order,
        version: u64,
    ) -> Result<OrderReport, Failure> {
        let now = partner.platform.now();
        order.begun = now;
        order.next_check = Some(now + TAKEOVER_DELAY);
        let mut run = Self::resume(partner, order, version);
        run.commit(Vec::new())?;
        run.send(true)
    }

    /// Does the next step, unless its time has not come.
    pub fn advance(self) -> Result<OrderReport, Failure> {
        let now = self.now();
        match self.order.next_check {
            Some(next) if next > now => Ok(self.order.report()),
            _ => self.step(),
        }
    }

    /// Does the next step.
    pub fn step(self) -> Result<OrderReport, Failure> {
        match self.order.state {
            OrderState::Sending => self.send_again(),
            OrderState::Working => self.poll(),
            _ => Ok(self.order.report()),
        }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.partner.platform.now()
    }

    /// Asks Webex whether it has carried out the request, and sends the request again if not.
    fn send_again(mut self) -> Result<OrderReport, Failure> {
        // A call was interrupted before it could store the outcome of the first request.
        self.order.uncertain |= self.order.attempts == 0;
        let (name, id) = (self.order.name.clone(), self.order.customer.clone());
        let found = match (&id, self.order.operation) {
            (Some(id), _) => self
                .partner
                .try_call(|webex, token| fetch_customer(webex, id, token)),
            (None, _) => self
                .partner
                .try_call(|webex, token| find_customer(webex, &name, token)),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.postpone(error),
        };
        match (self.order.operation, found) {
            // The id was free when the order began.
            (Operation::Add, Some(customer)) => {
                self.partner
                    .platform
                    .log(Level::Info, "Webex has received the request");
                self.accept(Some(customer.id().to_owned()))
            }
            (Operation::Add, None) => self.send(false),
            (Operation::Delete, None) => {
                let message = format!("Webex has deleted {name}");
                self.finish(OrderState::Deleted, None, message)
            }
            (Operation::Modify, None) => self.finish_gone(),
            (_, Some(customer)) => {
                self.order.observe(&customer);
                match is_in_progress(&customer.status) {
                    true => self.accept(None),
                    // Both requests have the same effect if they are repeated.
                    false => self.send(false),
                }
            }
        }
    }

    /// Sends the request. `is_first`: the caller is told about a rejection, and the order is removed.
    fn send(mut self, is_first: bool) -> Result<OrderReport, Failure> {
        self.order.attempts = self.order.attempts.saturating_add(1);
        self.order.uncertain = false;
        let message = format!(
            "requesting the {} of {}",
            self.order.operation, self.order.name
        );
        self.progress(&message);
        let mut sent = self.request();
        if let Err(RequestError::Webex(error)) = &sent
            && error.kind == ErrorKind::Forbidden
            && !self.order.identified
            && let Some(organization) = self.organization()
        {
            let identified = self
                .partner
                .try_call(|webex, token| identify_organization(webex, organization, token));
            if identified.is_ok() {
                self.order.identified = true;
                sent = self.request();
            }
        }
        let error = match sent {
            Ok(id) => return self.accept(id),
            Err(error) => error,
        };
        match error {
            RequestError::Webex(error) if is_rejection(&error) => match is_first {
                true => self.withdraw(error),
                false => self.finish_rejected(&error),
            },
            RequestError::Failure(failure) if is_first && !is_temporary(&failure) => {
                self.remove()?;
                Err(failure)
            }
            error => {
                self.order.uncertain = may_be_carried_out(&error);
                self.postpone(error)
            }
        }
    }

    fn request(&mut self) -> Result<Option<String>, RequestError> {
        let Order {
            operation,
            request,
            customer,
            ..
        } = self.order.clone();
        let id = customer.unwrap_or_default();
        self.partner.try_call(move |webex, token| match operation {
            Operation::Add => create_customer(webex, &request, token),
            Operation::Modify => update_customer(webex, &id, &request, token).map(|()| None),
            Operation::Delete => match delete_customer(webex, &id, token) {
                // The next check finds that the customer does not exist.
                Err(error) if error.kind == ErrorKind::NotFound && error.is_webex => Ok(None),
                result => result.map(|()| None),
            },
        })
    }

    fn organization(&self) -> Option<OrgId> {
        OrgId::parse(self.order.organization.as_deref()?).ok()
    }

    /// Stores that Webex has accepted the request.
    fn accept(mut self, id: Option<String>) -> Result<OrderReport, Failure> {
        let now = self.now();
        let order = &mut self.order;
        if id.is_some() {
            order.customer = id;
        }
        order.state = OrderState::Working;
        order.uncertain = false;
        order.deadline = Some(now + MAX_PROVISIONING);
        order.next_check = Some(now + POLL_INTERVAL);
        order.message = format!(
            "Webex has accepted the {} of {}",
            order.operation, order.name
        );
        self.commit_progress()
    }

    /// Stores that the request will be sent, or Webex asked for the customer, later.
    fn postpone(mut self, error: RequestError) -> Result<OrderReport, Failure> {
        let now = self.now();
        let (reason, retry_at) = self.explain(error)?;
        if now >= self.order.begun + MAX_SENDING {
            let (operation, name) = (self.order.operation, &self.order.name);
            return match self.order.uncertain {
                true => {
                    let message = format!(
                        "it is unknown whether Webex has received the {operation} of {name}: {reason}"
                    );
                    self.finish(OrderState::TimedOut, None, message)
                }
                false => {
                    let message =
                        format!("Webex did not receive the {operation} of {name}: {reason}");
                    self.finish(OrderState::Failed, None, message)
                }
            };
        }
        let order = &mut self.order;
        let doubled = 1_u64 << order.attempts.min(8);
        let pause = Millis(FIRST_RETRY_DELAY.0.saturating_mul(doubled) / 2).min(MAX_RETRY_DELAY);
        let next = latest(now + pause, retry_at);
        order.next_check = Some(next);
        let again = match order.uncertain {
            true => {
                "it is unknown whether Webex has received it, which is checked before it is sent again"
            }
            false => "it is sent again",
        };
        order.message = format!(
            "the {} of {} is delayed: {reason}; {again} at {}",
            order.operation,
            order.name,
            derived::format_timestamp(next)
        );
        self.commit_progress()
    }

    /// Asks Webex for the customer until its work has ended.
    pub fn poll(mut self) -> Result<OrderReport, Failure> {
        self.progress(&format!("asking Webex for {}", self.order.name));
        let name = self.order.name.clone();
        let found = match self.order.customer.clone() {
            Some(id) => self
                .partner
                .try_call(|webex, token| fetch_customer(webex, &id, token)),
            None => self
                .partner
                .try_call(|webex, token| find_customer(webex, &name, token)),
        };
        let customer = match found {
            Ok(Some(customer)) => customer,
            Ok(None) => {
                return match self.order.operation {
                    Operation::Add => {
                        self.wait(None, "Webex does not show it yet".to_owned(), None)
                    }
                    Operation::Modify => self.finish_gone(),
                    Operation::Delete => {
                        let message = format!("Webex has deleted {name}");
                        self.finish(OrderState::Deleted, None, message)
                    }
                };
            }
            Err(error) => {
                let (reason, retry_at) = self.explain(error)?;
                return self.wait(None, reason, retry_at);
            }
        };
        self.order.observe(&customer);
        let status = customer.status.as_str();
        let is_delete = self.order.operation == Operation::Delete;
        let requested = self.order.requested_packages();
        match status {
            "provisioned" if !is_delete && customer.has_packages(&requested) => {
                self.finish_provisioned(OrderState::Provisioned, customer)
            }
            "provisioned_with_errors" if !is_delete => {
                self.finish_provisioned(OrderState::ProvisionedWithErrors, customer)
            }
            "error" => {
                let message = format!(
                    "the {} of {name} failed{}",
                    self.order.operation,
                    list_reasons(&customer.reasons())
                );
                self.finish(OrderState::Failed, Some(customer), message)
            }
            "deleting" if !is_delete => {
                let message = format!("{name} is being deleted by somebody else");
                self.finish(OrderState::Failed, Some(customer), message)
            }
            status => {
                let reason = match status {
                    "" => "Webex names no status".to_owned(),
                    "pending_rpl_review" => {
                        "its status is pending_rpl_review: Cisco reviews the customer".to_owned()
                    }
                    status => format!("its status is {status}"),
                };
                self.wait(Some(customer), reason, None)
            }
        }
    }

    /// Asks for the identity of a new organization, so that Webex lets the partner into it, and ends the order.
    fn finish_provisioned(
        mut self,
        state: OrderState,
        customer: Customer,
    ) -> Result<OrderReport, Failure> {
        let mut note = String::new();
        if let Some(organization) = customer.organization
            && self.order.operation == Operation::Add
            && !self.order.identified
        {
            let identified = self
                .partner
                .try_call(|webex, token| identify_organization(webex, organization, token));
            match identified {
                Ok(()) => self.order.identified = true,
                Err(error) => {
                    let is_final =
                        matches!(&error, RequestError::Webex(error) if is_rejection(error));
                    let (reason, retry_at) = self.explain(error)?;
                    let is_late = self
                        .order
                        .deadline
                        .is_none_or(|deadline| self.now() >= deadline);
                    if !is_final && !is_late {
                        return self.wait(Some(customer), reason, retry_at);
                    }
                    note = format!(
                        "; its organization could not be asked for its identity, so Webex may refuse requests \
                         for it: {reason}"
                    );
                }
            }
        }
        let name = &self.order.name;
        let message = match state {
            OrderState::ProvisionedWithErrors => format!(
                "{name} is provisioned with errors{}{note}",
                list_reasons(&customer.reasons())
            ),
            _ => format!("{name} is provisioned{note}"),
        };
        self.finish(state, Some(customer), message)
    }

    /// Waits for the next check; after the deadline, ends the order.
    fn wait(
        mut self,
        customer: Option<Customer>,
        reason: String,
        retry_at: Option<UnixMillis>,
    ) -> Result<OrderReport, Failure> {
        let now = self.now();
        let (operation, name) = (self.order.operation, &self.order.name);
        if self.order.deadline.is_none_or(|deadline| now >= deadline) {
            let message = format!(
                "the {operation} of {name} has not ended after {}: {reason}; Webex may still end it",
                MAX_PROVISIONING.to_words()
            );
            return self.finish(OrderState::TimedOut, customer, message);
        }
        self.order.message = format!("Webex works on the {operation} of {name}: {reason}");
        self.order.next_check = Some(latest(now + POLL_INTERVAL, retry_at));
        self.commit_progress()
    }

    /// Removes an order that Webex has rejected immediately, and returns the errors by argument.
    fn withdraw(self, error: WebexError) -> Result<OrderReport, Failure> {
        self.remove()?;
        let platform = self.partner.platform;
        match (error.kind, self.order.operation) {
            (ErrorKind::Rejected, _) => {
                log_error(platform, &error.to_string());
                let argument = &self.order.packages_argument;
                Err(Failure::Invalid(field_errors(&error, argument)))
            }
            (ErrorKind::NotFound, Operation::Modify) if error.is_webex => {
                let message = "Webex has no such customer any more";
                Err(Failure::Invalid(vec![FieldError::new("customer", message)]))
            }
            _ => Err(RequestError::Webex(error).into_failure(platform)),
        }
    }

    fn remove(&self) -> Result<(), Failure> {
        let record = &self.partner.record;
        let (check, changes) = self.order.to_removal(record, self.version);
        let checks = vec![record.version_check(), check];
        self.partner.platform.commit(checks, changes)
    }

    fn commit_progress(mut self) -> Result<OrderReport, Failure> {
        self.progress(&self.order.message);
        self.commit(Vec::new())?;
        Ok(self.order.report())
    }

    /// Commits `changes` together with the order.
    pub(super) fn commit(&mut self, mut changes: Vec<Change>) -> Result<(), Failure> {
        let record = &self.partner.record;
        let (check, own) = self.order.to_commit(record, self.version)?;
        changes.extend(own);
        let checks = vec![record.version_check(), check];
        self.partner.platform.commit(checks, changes)?;
        self.version = self.version.saturating_add(1);
        Ok(())
    }

    pub(super) fn progress(&self, message: &str) {
        let done = self.order.state.steps_done();
        self.partner
            .platform
            .progress(done, OrderState::STEPS, message);
    }

    /// Returns why a request failed, and when Webex allows the next one.
    ///
    /// # Errors
    /// A failure that has nothing to do with Webex.
    fn explain(&self, error: RequestError) -> Result<(String, Option<UnixMillis>), Failure> {
        match error {
            RequestError::Failure(failure) if !is_about_webex(&failure) => Err(failure),
            RequestError::Failure(Failure::RateLimited(until)) => {
                Ok(("Webex limits the rate of requests".to_owned(), until))
            }
            RequestError::Failure(failure) => {
                let reason = failure.to_string();
                log_error(self.partner.platform, &reason);
                Ok((reason, None))
            }
            RequestError::Webex(error) => {
                log_error(self.partner.platform, &error.to_string());
                let now = self.now();
                let retry_at = error.retry_after.map(|pause| now + pause);
                Ok((error.reason_with_tracking_id(), retry_at))
            }
        }
    }
}

/// Returns whether Webex has certainly not carried out the request, and never will.
fn is_rejection(error: &WebexError) -> bool {
    match error.kind {
        ErrorKind::Rejected
        | ErrorKind::Forbidden
        | ErrorKind::Unauthorized
        | ErrorKind::NotFound
        | ErrorKind::Refused
        | ErrorKind::Client
        | ErrorKind::Denied
        | ErrorKind::ProxyCredentials => true,
        ErrorKind::Limit => !error.lost,
        ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Malformed => false,
    }
}

/// Returns whether Webex may carry out a request that had this error.
fn may_be_carried_out(error: &RequestError) -> bool {
    match error {
        RequestError::Failure(_) => false,
        RequestError::Webex(error) => {
            !error.is_unsent() && !is_rejection(error) && error.kind != ErrorKind::RateLimited
        }
    }
}

/// Returns whether the failure of a refresh, or of the host's egress, says something about the access to Webex.
fn is_about_webex(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Reauthorize(_)
            | Failure::RateLimited(_)
            | Failure::Unavailable(_)
            | Failure::LimitExceeded(_)
    )
}

fn is_temporary(failure: &Failure) -> bool {
    matches!(failure, Failure::RateLimited(_) | Failure::Unavailable(_))
}
