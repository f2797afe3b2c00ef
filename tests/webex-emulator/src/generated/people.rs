//! Generated people. The first is the organization's administrator.

use serde_json::{Value, json};

use super::{Blueprint, Draw, compact, kind};
use crate::api::{administrator_id, with_milliseconds};
use crate::consent_page;

const FIRST_NAMES: [&str; 20] = [
    "Ada", "Ben", "Chloé", "Dmitri", "Elif", "Femi", "Grace", "Hiro", "Inés", "Jonas", "Kavya",
    "Liam", "Mina", "Noah", "Olga", "Priya", "Quentin", "Rosa", "Sven", "Zoë",
];
const LAST_NAMES: [&str; 20] = [
    "Abe", "Bianchi", "Chen", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova",
    "Jansen", "Kumar", "López", "Müller", "Nguyen", "O'Brien", "Petrov", "Quist", "Rossi", "Smith",
    "Yılmaz",
];
const DEPARTMENTS: [&str; 6] = [
    "Finance",
    "Legal",
    "Logistics",
    "Research",
    "Sales",
    "Support",
];
const TITLES: [&str; 5] = ["Analyst", "Clerk", "Engineer", "Manager", "Technician"];
const TIME_ZONES: [&str; 4] = [
    "America/Chicago",
    "Asia/Tokyo",
    "Europe/Berlin",
    "Europe/London",
];
const STATUSES: [&str; 6] = [
    "active",
    "call",
    "DoNotDisturb",
    "inactive",
    "meeting",
    "OutOfOffice",
];

/// Returns the administrator. A response adds the roles, which can change.
fn administrator(blueprint: &Blueprint) -> Value {
    let organization = &blueprint.organization;
    json!({
        "id": administrator_id(organization),
        "emails": [consent_page::administrator(organization)],
        "displayName": "Emulated Administrator",
        "firstName": "Emulated",
        "lastName": "Administrator",
        "orgId": organization.id,
        "roles": [],
        "licenses": [],
        "created": with_milliseconds(organization.created),
        "lastModified": with_milliseconds(organization.created),
        "status": "active",
        "invitePending": blueprint.flag(false),
        "loginEnabled": blueprint.flag(true),
        "type": "person",
    })
}

/// Returns the display name of the person with this index.
pub(super) fn display_name(blueprint: &Blueprint, index: usize) -> String {
    if index == 0 {
        return "Emulated Administrator".to_owned();
    }
    let draw = blueprint.draw(kind::PERSON, index);
    format!(
        "{} {}",
        draw.pick(0, &FIRST_NAMES),
        draw.pick(1, &LAST_NAMES)
    )
}

/// Returns the id of the person with this index.
pub(super) fn id(blueprint: &Blueprint, index: usize) -> String {
    match index {
        0 => administrator_id(&blueprint.organization),
        _ => blueprint.id(kind::PERSON, index),
    }
}

fn email(blueprint: &Blueprint, index: usize) -> String {
    format!("person{index}@{}.example", blueprint.organization.uuid)
}

/// Returns the index of the location of a person who can be called.
fn location(blueprint: &Blueprint, draw: &Draw) -> Option<usize> {
    blueprint.location(draw).filter(|_| draw.chance(2, 60))
}

/// Returns the fields of the person with this index that filters read.
pub(crate) fn filtered_person(blueprint: &Blueprint, index: usize) -> Value {
    if index == 0 {
        return administrator(blueprint);
    }
    let location = location(blueprint, &blueprint.draw(kind::PERSON, index));
    json!({
        "emails": [email(blueprint, index)],
        "displayName": display_name(blueprint, index),
        "locationId": location.map(|index| blueprint.id(kind::LOCATION, index)),
        "roles": [],
    })
}

/// Returns the person with this index; the first is the administrator.
pub(crate) fn person(blueprint: &Blueprint, index: usize) -> Value {
    let organization = &blueprint.organization;
    if index == 0 {
        return administrator(blueprint);
    }
    let draw = &blueprint.draw(kind::PERSON, index);
    let (first, last) = (draw.pick(0, &FIRST_NAMES), draw.pick(1, &LAST_NAMES));
    let email = email(blueprint, index);
    let location = location(blueprint, draw);
    let extension = location.map(|_| (1000 + index).to_string());
    let is_pending = draw.chance(3, 4);
    let created = blueprint.created(draw);
    let now = organization.created;
    let manager = draw
        .index(4, blueprint.people)
        .filter(|manager| *manager != index && draw.chance(5, 50));
    let status = match is_pending {
        true => "pending",
        false => draw.pick(6, &STATUSES),
    };
    let licenses = draw.index(7, blueprint.licenses.len() + 1).unwrap_or(0);
    let licenses: Vec<_> = blueprint.licenses.iter().take(licenses).collect();
    let named = draw.chance(8, 97);
    compact(json!({
        "id": blueprint.id(kind::PERSON, index),
        "emails": [email],
        "phoneNumbers": phone_numbers(draw, index, extension.as_deref()),
        "extension": extension,
        "locationId": location.map(|index| blueprint.id(kind::LOCATION, index)),
        "displayName": format!("{first} {last}"),
        "nickName": draw.maybe(9, 30, || first),
        "firstName": named.then_some(first),
        "lastName": named.then_some(last),
        "avatar": draw.maybe(10, 20, || format!("https://avatar.example/{index}")),
        "orgId": organization.id,
        "roles": [],
        "licenses": licenses,
        "department": draw.maybe(11, 70, || draw.pick(3, &DEPARTMENTS)),
        "manager": manager.map(|index| display_name(blueprint, index)),
        "managerId": manager.map(|index| id(blueprint, index)),
        "title": draw.maybe(12, 60, || draw.pick(4, &TITLES)),
        "addresses": draw.maybe(13, 30, || address(draw)),
        "created": with_milliseconds(created),
        "lastModified": with_milliseconds(created + draw.number(1, now - created + 1)),
        "timezone": draw.maybe(14, 80, || draw.pick(5, &TIME_ZONES)),
        "lastActivity": (!is_pending).then(|| with_milliseconds(created + draw.number(2, now - created + 1))),
        "siteUrls": draw.maybe(0, 20, || [format!("emulated.webex.com#{}", draw.pick(6, &["attendee", "host"]))]),
        "sipAddresses": draw.maybe(1, 70, || sip_addresses(&email)),
        "xmppFederationJid": draw.maybe(4, 25, || email.clone()),
        "status": status,
        "invitePending": blueprint.flag(is_pending),
        "loginEnabled": blueprint.flag(!is_pending && draw.chance(6, 98)),
        "type": match draw.number(7, 200) { 0 => "bot", 1 => "appuser", _ => "person" },
    }))
}

fn phone_numbers(draw: &Draw, index: usize, extension: Option<&str>) -> Option<Vec<Value>> {
    let mut numbers = Vec::new();
    if let Some(extension) = extension {
        numbers.push(json!({"type": "work_extension", "value": extension, "primary": false}));
        if draw.chance(9, 60) {
            let value = format!("+1408555{:04}", index % 10_000);
            numbers.push(json!({"type": "work", "value": value, "primary": true}));
        }
    }
    if draw.chance(10, 40) {
        let value = format!("+49151{:08}", draw.number(5, 100_000_000));
        numbers.push(json!({"type": "mobile", "value": value}));
    }
    (!numbers.is_empty()).then_some(numbers)
}

fn address(draw: &Draw) -> Vec<Value> {
    vec![json!({
        "type": "work",
        "country": draw.pick(8, &["DE", "GB", "JP", "US"]),
        "locality": draw.pick(9, &["Berlin", "Chicago", "London", "Tokyo"]),
        "streetAddress": format!("{} Main Street", 1 + draw.number(10, 300)),
        "postalCode": format!("{:05}", draw.number(11, 100_000)),
    })]
}

fn sip_addresses(email: &str) -> Vec<Value> {
    vec![
        json!({"type": "personal-room", "value": email.replace('@', "@rooms."), "primary": false}),
        json!({"type": "cloud-calling", "value": email.replace('@', "@calls."), "primary": true}),
    ]
}
