//! Generated groups, whose members are generated people.

use serde_json::{Value, json};

use super::{Blueprint, compact, kind, people};
use crate::api::with_milliseconds;

const NAMES: [&str; 6] = [
    "All Hands",
    "Board",
    "Night Shift",
    "On Call",
    "Reception",
    "Trainees",
];

/// Returns the group with this index, with all its members.
pub(crate) fn group(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::GROUP, index);
    let created = blueprint.created(draw);
    let size = draw.index(1, 20).unwrap_or(0).min(blueprint.people);
    let first = draw.index(2, blueprint.people).unwrap_or(0);
    let members = (0..size).map(|step| (first + step) % blueprint.people.max(1));
    let members: Vec<_> = members
        .map(|person| {
            json!({
                "id": people::id(blueprint, person),
                "type": "user",
                "displayName": people::display_name(blueprint, person),
            })
        })
        .collect();
    let now = blueprint.organization.created;
    compact(json!({
        "id": blueprint.id(kind::GROUP, index),
        "displayName": format!("{} {}", draw.pick(0, &NAMES), index + 1),
        "orgId": blueprint.organization.id,
        "created": with_milliseconds(created),
        "lastModified": with_milliseconds(created + draw.number(3, now - created + 1)),
        "memberSize": size,
        "members": members,
    }))
}
