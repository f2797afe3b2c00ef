//! Generated sites of Contact Center.

use serde_json::{Value, json};

use super::{Blueprint, compact, kind};

/// Returns the site with this index.
pub(crate) fn site(blueprint: &Blueprint, index: usize) -> Value {
    let draw = &blueprint.draw(kind::SITE, index);
    let created = blueprint.created(draw);
    let now = blueprint.organization.created;
    compact(json!({
        "organizationId": blueprint.organization.uuid,
        "id": blueprint.id(kind::SITE, index),
        "version": draw.number(0, 5),
        "name": format!("Site-{}", index + 1),
        "active": draw.chance(1, 90),
        "multimediaProfileId": blueprint.uuid(kind::PROFILE, index % 3).to_string(),
        "description": draw.maybe(2, 40, || "Agents of one building."),
        "systemDefault": index == 0,
        "createdTime": created,
        "lastUpdatedTime": created + draw.number(3, now - created + 1),
    }))
}
