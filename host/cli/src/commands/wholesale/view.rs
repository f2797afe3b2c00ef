//! Renders wholesale customers for people.

use relation_app::wholesale::WholesaleCustomer;
use relation_host::types::Timestamp;
use serde_json::{Map, Value};

use crate::output::escape_control_chars;
use crate::table::{Column, MAX_NAME_WIDTH, Table, pair_table};
use crate::time;

/// Renders a list: a row for each customer.
pub fn render_list(customers: &[WholesaleCustomer]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("customer")
            .shortened(12)
            .at_most(MAX_NAME_WIDTH),
        Column::new("status").shortened(12),
        Column::new("packages").wrapped(24),
        Column::new("last change"),
        Column::new("Webex's id").droppable(1),
    ]);
    for customer in customers {
        rows.add([
            customer.customer.as_str(),
            customer.text("status").unwrap_or("-"),
            &customer.packages().join(", "),
            &last_change(customer.order.as_ref()),
            customer.customer_id.as_deref().unwrap_or("-"),
        ]);
    }
    rows.to_string()
}

fn last_change(order: Option<&Map<String, Value>>) -> String {
    let text = |name: &str| order.and_then(|order| order.get(name)?.as_str());
    match (text("operation"), text("state")) {
        (Some(operation), Some(state)) => format!("{operation}: {}", name_state(state)),
        _ => "-".to_owned(),
    }
}

/// Returns the name of an order's state for a person.
fn name_state(state: &str) -> &str {
    match state {
        "sending" => "not accepted yet",
        "working" => "in progress",
        "provisioned-with-errors" => "provisioned with errors",
        "timed-out" => "timed out",
        state => state,
    }
}

/// Renders a stored customer.
pub fn render_stored(customer: &WholesaleCustomer) -> String {
    let mut lines = vec![("customer", customer.customer.clone())];
    let mut add = |name, text: Option<&str>| {
        if let Some(text) = text {
            lines.push((name, text.to_owned()));
        }
    };
    add("Webex's id", customer.customer_id.as_deref());
    let organization = customer.order_text("organization");
    add("organization", organization.or(customer.text("orgId")));
    add("status", customer.text("status"));
    let imported = customer.imported.as_ref();
    let address = imported.and_then(|imported| imported.get("address")?.as_object());
    let address = address.map(join_address);
    add("address", address.as_deref());
    add(
        "last change",
        Some(last_change(customer.order.as_ref())).as_deref(),
    );
    add("message", customer.order_text("message"));
    let mut blocks = vec![pair_table(lines).to_string()];
    let details = imported.and_then(|imported| imported.get("resourceDetails")?.get("packages"));
    let packages = match details.and_then(Value::as_array) {
        Some(packages) => render_packages(packages),
        None => {
            let named = |name: &str| serde_json::json!({ "name": name });
            let names: Vec<Value> = customer.packages().into_iter().map(named).collect();
            render_packages(&names)
        }
    };
    blocks.extend(packages);
    blocks.join("\n\n")
}

fn join_address(address: &Map<String, Value>) -> String {
    let parts = [
        "addressLine1",
        "addressLine2",
        "city",
        "stateOrProvince",
        "zipOrPostalCode",
        "country",
    ];
    let texts = parts.iter().filter_map(|part| address.get(*part)?.as_str());
    texts.collect::<Vec<_>>().join(", ")
}

/// Renders the report of an action on a customer.
pub fn render_report(report: &Value) -> String {
    let text = |name: &str| {
        let text = report.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let at = |name: &str| {
        let at = report.get(name).and_then(Value::as_u64);
        at.map(|at| time::format_utc(Timestamp(at)))
    };
    let mut lines = Vec::new();
    let mut add = |name, text: Option<String>| {
        if let Some(text) = text {
            lines.push((name, text));
        }
    };
    add("customer", text("customer").map(str::to_owned));
    add("Webex's id", text("customer_id").map(str::to_owned));
    add("organization", text("organization").map(str::to_owned));
    add("status", text("status").map(str::to_owned));
    let change = report.as_object().map(|report| last_change(Some(report)));
    add("change", change.filter(|change| change != "-"));
    add("begun", at("begun"));
    add("ended", at("ended"));
    let mut blocks = vec![pair_table(lines).to_string()];
    let packages = report.get("packages").and_then(Value::as_array);
    blocks.extend(packages.and_then(|packages| render_packages(packages)));
    let message = text("message").unwrap_or_default();
    blocks.push(escape_control_chars(message));
    blocks.join("\n\n")
}

/// Renders packages; none: there are none.
fn render_packages(packages: &[Value]) -> Option<String> {
    if packages.is_empty() {
        return None;
    }
    let mut rows = Table::with_columns(&[
        Column::new("package"),
        Column::new("status"),
        Column::new("errors").wrapped(24),
    ]);
    for package in packages {
        let text = |name: &str| {
            let text = package.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).unwrap_or("-")
        };
        let errors = package.get("errors").and_then(Value::as_array);
        let errors = errors.into_iter().flatten();
        let errors = errors.filter_map(|error| error.get("description")?.as_str());
        let errors: Vec<&str> = errors.collect();
        rows.add([text("name"), text("status"), &errors.join("; ")]);
    }
    Some(rows.to_string())
}
