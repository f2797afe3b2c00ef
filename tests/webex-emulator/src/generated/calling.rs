//! Generated locations and workspaces.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use super::{Blueprint, compact, kind};
use crate::api::with_milliseconds;
use crate::ids;

/// City, state, postal code, country, time zone, language, latitude and longitude.
const CITIES: [[&str; 8]; 6] = [
    [
        "Berlin",
        "BE",
        "10115",
        "DE",
        "Europe/Berlin",
        "de_de",
        "52.5323",
        "13.3846",
    ],
    [
        "Chicago",
        "IL",
        "60601",
        "US",
        "America/Chicago",
        "en_us",
        "41.8858",
        "-87.6181",
    ],
    [
        "London",
        "London",
        "EC1A 1BB",
        "GB",
        "Europe/London",
        "en_gb",
        "51.5204",
        "-0.0985",
    ],
    [
        "Lyon",
        "Rhône",
        "69001",
        "FR",
        "Europe/Paris",
        "fr_fr",
        "45.7676",
        "4.8344",
    ],
    [
        "San José",
        "CA",
        "95110",
        "US",
        "America/Los_Angeles",
        "en_us",
        "37.3422",
        "-121.9053",
    ],
    [
        "Tokyo",
        "Tokyo",
        "100-0001",
        "JP",
        "Asia/Tokyo",
        "ja_jp",
        "35.6855",
        "139.7528",
    ],
];
const TYPES: [&str; 7] = [
    "notSet",
    "focus",
    "huddle",
    "meetingRoom",
    "open",
    "desk",
    "other",
];
const CALLINGS: [&str; 6] = [
    "freeCalling",
    "hybridCalling",
    "webexCalling",
    "webexEdgeForDevices",
    "thirdPartySipCalling",
    "none",
];
const LEVELS: [&str; 4] = ["ok", "info", "warning", "error"];

/// Returns the location with this index.
pub(crate) fn location(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::LOCATION, index);
    let city = draw
        .index(0, CITIES.len())
        .and_then(|city| CITIES.get(city));
    let [
        city,
        state,
        code,
        country,
        zone,
        language,
        latitude,
        longitude,
    ] = city.copied().unwrap_or_default();
    let has_place = draw.chance(1, 85);
    compact(json!({
        "id": blueprint.id(kind::LOCATION, index),
        "name": format!("{city} {}", index + 1),
        "orgId": blueprint.organization.id,
        "address": compact(json!({
            "address1": format!("{} Main Street", 1 + draw.number(2, 300)),
            "address2": draw.maybe(3, 30, || format!("Floor {}", 1 + draw.number(4, 20))),
            "city": city,
            "state": state,
            "postalCode": code,
            "country": country,
        })),
        "timeZone": zone,
        "preferredLanguage": draw.maybe(5, 85, || language),
        "announcementLanguage": draw.maybe(6, 70, || language),
        "latitude": has_place.then_some(latitude),
        "longitude": has_place.then_some(longitude),
        "notes": draw.maybe(7, 20, || "Visitors register at the reception."),
    }))
}

/// Returns the location as the older API for locations of workspaces shows it.
pub(crate) fn to_workspace_location(blueprint: &Blueprint, location: &Value) -> Value {
    let text = |pointer: &str| location.pointer(pointer).and_then(Value::as_str);
    let number = |pointer: &str| {
        text(pointer)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let id = text("/id").unwrap_or_default();
    let address = ["address1", "address2", "city", "postalCode"];
    let address: Vec<_> = address
        .iter()
        .filter_map(|field| text(&format!("/address/{field}")))
        .collect();
    compact(json!({
        "id": workspace_location_id(blueprint, id),
        "locationId": id,
        "displayName": text("/name"),
        "address": address.join(", "),
        "countryCode": text("/address/country").unwrap_or_default(),
        "cityName": text("/address/city"),
        "latitude": number("/latitude"),
        "longitude": number("/longitude"),
        "notes": text("/notes"),
    }))
}

/// Returns the id in the older API: padded base64 of two UUIDs.
fn workspace_location_id(blueprint: &Blueprint, location_id: &str) -> String {
    let own = match ids::uuid_in(location_id) {
        Some(uuid) => uuid.to_string(),
        None => location_id.to_owned(),
    };
    let organization = &blueprint.organization.uuid;
    let kind = kind::WORKSPACE_LOCATION;
    URL_SAFE.encode(format!("ciscospark://us/{kind}/{organization}#{own}"))
}

/// Returns the workspace with this index.
pub(crate) fn workspace(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::WORKSPACE, index);
    let location = blueprint.location(draw).filter(|_| draw.chance(1, 80));
    let location = location.map(|index| blueprint.id(kind::LOCATION, index));
    let is_in_old_api = draw.chance(2, 50);
    let email = format!("room{index}@{}.example", blueprint.organization.uuid);
    let calling = match draw.pick(3, &CALLINGS) {
        "hybridCalling" => {
            json!({"type": "hybridCalling", "hybridCalling": {"emailAddress": email}})
        }
        "webexCalling" => {
            let licenses: Vec<_> = blueprint.licenses.iter().rev().take(1).collect();
            json!({"type": "webexCalling", "webexCalling": {"licenses": licenses}})
        }
        kind => json!({"type": kind}),
    };
    let calendar = match draw.pick(4, &["google", "microsoft", "none"]) {
        "none" => json!({"type": "none"}),
        kind => json!({"type": kind, "emailAddress": email}),
    };
    let devices = draw.pick(5, &["collaborationDevices", "phones"]);
    let has_devices = devices == "collaborationDevices";
    compact(json!({
        "id": blueprint.id(kind::WORKSPACE, index),
        "orgId": blueprint.organization.id,
        "workspaceLocationId": location.as_ref().filter(|_| is_in_old_api)
            .map(|id| workspace_location_id(blueprint, id)),
        "floorId": location.as_ref().filter(|_| draw.chance(6, 40))
            .map(|_| blueprint.id(kind::FLOOR, index % 7)),
        "locationId": location,
        "displayName": format!("Room {}", index + 1),
        "capacity": draw.maybe(7, 70, || 1 + draw.number(8, 20)),
        "type": draw.maybe(9, 90, || draw.pick(10, &TYPES)),
        "sipAddress": email.replace('@', "@rooms."),
        "created": with_milliseconds(blueprint.created(draw)),
        "calling": calling,
        "calendar": calendar,
        "notes": draw.maybe(11, 20, || "The door code is at the reception."),
        "hotdeskingStatus": draw.pick(12, &["off", "on"]),
        "supportedDevices": devices,
        "deviceHostedMeetings": draw.maybe(13, 60, || json!({"enabled": false})),
        "devicePlatform": has_devices.then(|| draw.pick(14, &["cisco", "microsoftTeamsRoom"])),
        "indoorNavigation": draw.maybe(0, 10, || json!({"url": format!("https://maps.example/{index}")})),
        "health": has_devices.then(|| health(draw.pick(2, &LEVELS), index)),
        "plannedMaintenance": {"mode": "off"},
    }))
}

fn health(level: &str, index: usize) -> Value {
    match level {
        "ok" => json!({"level": "ok"}),
        _ => json!({"level": level, "issues": [{
            "id": format!("issue-{index}"),
            "createdAt": "2023-11-01T08:00:00.000Z",
            "title": "Not connected",
            "description": "The device has not connected for a day.",
            "recommendedAction": "Check the network.",
            "level": level,
        }]}),
    }
}

/// Returns the devices of a workspace, which a request can ask for.
pub(crate) fn devices(workspace: &Value) -> Value {
    match workspace.get("health") {
        Some(_) => json!([{"id": workspace.get("id"), "product": "Cisco Room Bar"}]),
        None => json!([]),
    }
}
