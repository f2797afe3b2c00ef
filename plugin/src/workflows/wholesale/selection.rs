//! The customer that a caller names.

use super::order::Order;
use super::partner::Partner;
use crate::platform::{Failure, FieldError, MAX_KEY_BYTES};
use crate::webex::wholesale::{Customer, fetch_customer, find_customer};

/// A customer that a caller has named.
pub(super) struct SelectedCustomer {
    /// The partner's own id of the customer; Webex's id if there is none.
    pub name: String,
    /// Webex's id, if it is known.
    pub id: Option<String>,
    customer: Option<Customer>,
}

impl SelectedCustomer {
    /// Returns the customer as Webex has it.
    pub fn fetch(&self, partner: &mut Partner<'_>) -> Result<Option<Customer>, Failure> {
        if let Some(customer) = &self.customer {
            return Ok(Some(customer.clone()));
        }
        match &self.id {
            Some(id) => partner.call(|webex, token| fetch_customer(webex, id, token)),
            None => partner.call(|webex, token| find_customer(webex, &self.name, token)),
        }
    }

    pub fn gone(&self) -> Failure {
        unknown_customer(&self.name, "Webex has no such customer any more")
    }
}

/// Finds a customer by the partner's own id or Webex's id: among the imported ones, the orders, and then at Webex.
pub(super) fn select(
    partner: &mut Partner<'_>,
    selector: &str,
) -> Result<SelectedCustomer, Failure> {
    let selector = selector.trim();
    if selector.is_empty() || selector.len() > MAX_KEY_BYTES {
        return Err(unknown_customer(selector, "names no customer"));
    }
    let from_customer = |customer: &Customer| SelectedCustomer {
        name: name_of(customer),
        id: Some(customer.id().to_owned()),
        customer: None,
    };
    if let Some(imported) = partner.find_imported(selector)? {
        return Ok(from_customer(&imported));
    }
    if let Some(order) = Order::load(partner.platform, &partner.record, selector)?.order {
        return Ok(SelectedCustomer {
            name: order.name,
            id: order.customer,
            customer: None,
        });
    }
    let mut found = partner.call(|webex, token| find_customer(webex, selector, token))?;
    if found.is_none() {
        found = partner.call(|webex, token| fetch_customer(webex, selector, token))?;
    }
    match found {
        Some(found) => Ok(SelectedCustomer {
            customer: Some(found.clone()),
            ..from_customer(&found)
        }),
        None => Err(unknown_customer(
            selector,
            "Webex has no customer with this id, neither the partner's own nor Webex's",
        )),
    }
}

/// Returns the name of a customer in messages and orders.
pub(super) fn name_of(customer: &Customer) -> String {
    let external_id = customer.external_id.clone();
    external_id.unwrap_or_else(|| customer.id().to_owned())
}

fn unknown_customer(name: &str, reason: &str) -> Failure {
    let message = format!("{name:?}: {reason}");
    Failure::Invalid(vec![FieldError::new("customer", message)])
}
