//! Generated customers, subscribers and sub-partners of a wholesale partner.

use serde_json::{Value, json};

use super::{Blueprint, compact, kind};
use crate::api::{with_microseconds, with_milliseconds};
use crate::ids;

const BUNDLES: [&[&str]; 4] = [
    &["webex_calling"],
    &["webex_calling", "webex_meetings"],
    &["common_area_calling", "webex_suite"],
    &["webex_calling", "cisco_calling_plan"],
];
const STATUSES: [&str; 12] = [
    "provisioned",
    "provisioned",
    "provisioned",
    "provisioned",
    "provisioned",
    "provisioned",
    "provisioned",
    "provisioned",
    "provisioned_with_errors",
    "provisioned",
    "error",
    "pending_rpl_review",
];

fn packages(blueprint: &Blueprint, customer: usize) -> &'static [&'static str] {
    let draw = blueprint.draw(kind::CUSTOMER, customer);
    draw.index(0, BUNDLES.len())
        .and_then(|bundle| BUNDLES.get(bundle))
        .copied()
        .unwrap_or_default()
}

/// Returns the customer with this index. The first is provisioned.
pub(crate) fn customer(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::CUSTOMER, index);
    let status = match index {
        0 => "provisioned",
        _ => draw.pick(1, &STATUSES),
    };
    let has_organization = !matches!(status, "error" | "pending_rpl_review");
    let packages = packages(blueprint, index);
    let organization = blueprint
        .uuid(kind::CUSTOMER_ORGANIZATION, index)
        .to_string();
    let details: Vec<_> = packages
        .iter()
        .enumerate()
        .map(|(at, name)| match status {
            "provisioned_with_errors" if at == 0 => json!({
                "name": name,
                "status": "error",
                "errors": [{"errorCode": 2560, "description": "Calling is under maintenance."}],
            }),
            "error" | "pending_rpl_review" => json!({"name": name, "status": "error"}),
            _ => json!({
                "name": name,
                "status": "provisioned",
                "licenseIds": [ids::encode("LICENSE", &format!("{organization}:{name}"))],
            }),
        })
        .collect();
    compact(json!({
        "id": blueprint.id(kind::CUSTOMER, index),
        "orgId": has_organization.then(|| ids::encode("Organization", &organization)),
        "externalId": format!("customer-{}", index + 1),
        "address": compact(json!({
            "addressLine1": format!("{} Main Street", 1 + draw.number(2, 300)),
            "addressLine2": draw.maybe(3, 30, || "2nd floor"),
            "city": draw.pick(4, &["Austin", "Boston", "Denver"]),
            "stateOrProvince": draw.maybe(5, 80, || draw.pick(4, &["TX", "MA", "CO"])),
            "zipOrPostalCode": format!("{:05}", draw.number(6, 100_000)),
            "country": "US",
        })),
        "status": status,
        "packages": packages,
        "resourceDetails": {"packages": details},
        "errors": (status == "error").then(|| json!([
            {"errorCode": 10022, "description": "The e-mail address is already in use."}
        ])),
    }))
}

/// Returns the subscriber with this index.
pub(crate) fn subscriber(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::SUBSCRIBER, index);
    let customer = draw.index(0, blueprint.customers).unwrap_or(0);
    let package = packages(blueprint, customer)
        .first()
        .copied()
        .unwrap_or("webex_calling");
    let is_provisioned = draw.chance(1, 95);
    let created = blueprint.created(draw);
    let now = blueprint.organization.created;
    compact(json!({
        "id": blueprint.id(kind::SUBSCRIBER, index),
        "personId": is_provisioned.then(|| {
            let uuid = draw.uuid_bytes();
            ids::encode(kind::PERSON, &uuid::Builder::from_random_bytes(uuid).into_uuid().to_string())
        }),
        "email": format!("subscriber{index}@customer-{}.example", customer + 1),
        "customerId": blueprint.id(kind::CUSTOMER, customer),
        "externalCustomerId": format!("customer-{}", customer + 1),
        "package": package,
        "packages": [package],
        "status": if is_provisioned { "provisioned" } else { "pending_user_migration" },
        "errors": [],
        "created": with_milliseconds(created),
        "lastStatusChange": with_microseconds(created + draw.number(3, now - created + 1)),
    }))
}

/// Returns the sub-partner with this index.
pub(crate) fn sub_partner(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::SUB_PARTNER, index);
    let created = blueprint.created(draw);
    compact(json!({
        "orgId": blueprint.id(kind::SUB_PARTNER, index),
        "subscriptionId": format!("Sub-emulated-{}", index + 1),
        "provisioningState": if draw.chance(0, 90) { "active" } else { "suspended" },
        "created": with_milliseconds(created),
        "billingStartDate": draw.maybe(1, 80, || with_milliseconds(created)),
    }))
}
