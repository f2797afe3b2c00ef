//! The customers of a wholesale partner, as they are stored: imported ones, and those that were changed from here.

use std::collections::BTreeMap;

use relation_host::store::Store;
use relation_host::types::{Document, Filter};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::records::StoredRecord;
use crate::{AppError, alerts};

/// The model of imported customers.
const CUSTOMER_MODEL: &str = "device/spark/WholesaleCustomer";
/// The model of requested changes.
const ORDER_MODEL: &str = "data/SparkWholesaleOrder";
/// The number of documents in a read.
const PAGE_SIZE: u32 = 500;

/// A customer of a wholesale partner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WholesaleCustomer {
    /// The partner's own id; Webex's id if there is none.
    pub customer: String,
    /// Webex's id, once it is known.
    pub customer_id: Option<String>,
    /// The customer as it was imported.
    pub imported: Option<Map<String, Value>>,
    /// The change that was requested last from here: its operation, state and message.
    pub order: Option<Map<String, Value>>,
}

impl WholesaleCustomer {
    /// Returns a text of the imported customer, or else of the order.
    pub fn text(&self, name: &str) -> Option<&str> {
        let imported = self.imported.as_ref();
        imported
            .and_then(|imported| read_text(imported, name))
            .or_else(|| self.order_text(name))
    }

    /// Returns a text of the order.
    pub fn order_text(&self, name: &str) -> Option<&str> {
        read_text(self.order.as_ref()?, name)
    }

    /// Returns the names of the packages.
    pub fn packages(&self) -> Vec<&str> {
        let imported = self.imported.as_ref();
        let imported = imported.and_then(|imported| imported.get("packages")?.as_array());
        let ordered = self.order.as_ref().and_then(|order| {
            let packages = order.get("request")?.get("packages")?;
            packages.as_array()
        });
        let packages = imported.or(ordered).into_iter().flatten();
        packages.filter_map(Value::as_str).collect()
    }
}

fn read_text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = fields.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// Lists the stored customers of a wholesale partner by their names.
///
/// # Errors
/// The store cannot be read.
pub async fn list(
    store: &dyn Store,
    record: &StoredRecord,
) -> Result<Vec<WholesaleCustomer>, AppError> {
    let mut orders: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for order in read_all(store, record, ORDER_MODEL).await? {
        if let Some(name) = read_text(&order, "name") {
            orders.insert(name.to_owned(), order);
        }
    }
    let mut customers = Vec::new();
    for imported in read_all(store, record, CUSTOMER_MODEL).await? {
        let Some(id) = read_text(&imported, "id").map(str::to_owned) else {
            continue;
        };
        let name = read_text(&imported, "externalId").unwrap_or(&id).to_owned();
        customers.push(WholesaleCustomer {
            order: orders.remove(&name),
            customer: name,
            customer_id: Some(id),
            imported: Some(imported),
        });
    }
    customers.extend(orders.into_iter().map(|(name, order)| WholesaleCustomer {
        customer: name,
        customer_id: read_text(&order, "customer").map(str::to_owned),
        imported: None,
        order: Some(order),
    }));
    customers.sort_by(|one, other| one.customer.cmp(&other.customer));
    Ok(customers)
}

/// Finds a stored customer by the partner's own id or Webex's id.
///
/// # Errors
/// The store cannot be read.
pub async fn find(
    store: &dyn Store,
    record: &StoredRecord,
    customer: &str,
) -> Result<Option<WholesaleCustomer>, AppError> {
    let customer = customer.trim();
    let mut all = list(store, record).await?.into_iter();
    Ok(all.find(|each| each.customer == customer || each.customer_id.as_deref() == Some(customer)))
}

async fn read_all(
    store: &dyn Store,
    record: &StoredRecord,
    model: &str,
) -> Result<Vec<Map<String, Value>>, AppError> {
    let filter = Filter {
        model: model.to_owned(),
        ..alerts::filter_by_owner(record.pkid.as_str())
    };
    let mut bodies = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.find(&filter, cursor.as_deref(), PAGE_SIZE).await?;
        let parse = |document: &Document| serde_json::from_str(&document.body).ok();
        bodies.extend(page.items.iter().filter_map(parse));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(bodies),
        }
    }
}
