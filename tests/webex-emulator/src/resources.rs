//! The lists of the API as a table: path, scopes, pages, filters and generated entries of each.

mod filters;
mod views;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::filters::Filter;
use self::filters::Rule;
pub(crate) use self::views::View;
use crate::directory::{Entry, License, Role};
use crate::generated::{self, Blueprint, kind};
use crate::ids;
use crate::paging::{Links, Listing, PagingStyle};

/// One list of the API.
pub(crate) struct Resource {
    pub(crate) listing: Listing,
    pub(crate) path: &'static str,
    /// Each of these permits the request.
    pub(crate) scopes: &'static [&'static str],
    /// The field of the response that has the entries.
    pub(crate) field: &'static str,
    pub(crate) paging: PagingStyle,
    pub(crate) filters: &'static [Filter],
    /// Values of `sortBy`; an empty list ignores it.
    pub(crate) sort_keys: &'static [&'static str],
    /// Kind of the generated UUIDs.
    kind: &'static str,
    /// Number of generated entries by default.
    pub(crate) default_count: usize,
    pub(crate) generate: fn(&Blueprint, usize) -> Value,
    /// Generates only the fields of an entry that filters read, if that is faster.
    pub(crate) generate_filtered: Option<fn(&Blueprint, usize) -> Value>,
    /// Adapts an entry to the request.
    pub(crate) view: fn(&mut Value, &View<'_>),
    /// Checks an entry from the control plane.
    check: fn(Value, &Blueprint) -> Result<Value, String>,
}

const LOCATIONS_READ: &[&str] = &[
    "spark-admin:locations_read",
    "spark-admin:people_read",
    "spark-admin:device_read",
];

/// A list without pages and filters, whose entries are JSON objects.
const PLAIN: Resource = Resource {
    listing: Listing::Roles,
    path: "",
    scopes: &[],
    field: "items",
    paging: PagingStyle::Whole,
    filters: &[],
    sort_keys: &[],
    kind: "",
    default_count: 0,
    generate: |_, _| Value::Null,
    generate_filtered: None,
    view: |_, _| {},
    check: |entry, _| Ok(entry),
};

static RESOURCES: [Resource; 11] = [
    Resource {
        listing: Listing::Roles,
        path: "/v1/roles",
        scopes: &["spark-admin:roles_read"],
        check: typed::<Role>,
        ..PLAIN
    },
    Resource {
        listing: Listing::Licenses,
        path: "/v1/licenses",
        scopes: &["spark-admin:licenses_read"],
        check: typed::<License>,
        ..PLAIN
    },
    Resource {
        listing: Listing::People,
        path: "/v1/people",
        scopes: &["spark-admin:people_read", "spark:people_read"],
        paging: PagingStyle::Cursor {
            default: 100,
            limit: 1000,
            lower_limits: &[("callingData", Some("true"), 100), ("locationId", None, 50)],
        },
        filters: &[
            Filter::new("email", &["/emails"], Rule::IgnoreCase),
            Filter::new("displayName", &["/displayName"], Rule::Prefix),
            Filter::new("roles", &["/roles"], Rule::AnyOf),
            Filter::new("locationId", &["/locationId"], Rule::Equals),
        ],
        kind: kind::PERSON,
        default_count: 5,
        generate: generated::person,
        generate_filtered: Some(generated::filtered_person),
        view: views::person,
        ..PLAIN
    },
    Resource {
        listing: Listing::Locations,
        path: "/v1/locations",
        scopes: LOCATIONS_READ,
        paging: PagingStyle::Cursor {
            default: 500,
            limit: 1000,
            lower_limits: &[],
        },
        filters: &[
            Filter::new("name", &["/name"], Rule::Contains),
            Filter::new("id", &["/id"], Rule::Equals),
        ],
        kind: kind::LOCATION,
        default_count: 2,
        generate: generated::location,
        view: views::location,
        ..PLAIN
    },
    Resource {
        listing: Listing::Workspaces,
        path: "/v1/workspaces",
        scopes: &["spark-admin:workspaces_read"],
        paging: PagingStyle::Numbered {
            start: "start",
            size: "max",
            first: 0,
            counts_pages: false,
            default: 1000,
            limit: 1000,
            links: Links::None,
        },
        filters: &[
            Filter::new("locationId", &["/locationId"], Rule::Equals),
            Filter::new(
                "workspaceLocationId",
                &["/workspaceLocationId", "/locationId"],
                Rule::Equals,
            ),
            Filter::new("floorId", &["/floorId"], Rule::Equals),
            Filter::new("displayName", &["/displayName"], Rule::Contains),
            Filter::new("capacity", &["/capacity"], Rule::Equals).or_absent("-1"),
            Filter::new("type", &["/type"], Rule::Equals).or_absent("notSet"),
            Filter::new("calling", &["/calling/type"], Rule::Equals).or_absent("none"),
            Filter::new("calendar", &["/calendar/type"], Rule::Equals).or_absent("none"),
            Filter::new("supportedDevices", &["/supportedDevices"], Rule::Equals),
            Filter::new("devicePlatform", &["/devicePlatform"], Rule::Equals),
            Filter::new("healthLevel", &["/health/level"], Rule::Equals),
            Filter::new(
                "plannedMaintenance",
                &["/plannedMaintenance/mode"],
                Rule::Equals,
            ),
            Filter::new(
                "deviceHostedMeetingsEnabled",
                &["/deviceHostedMeetings/enabled"],
                Rule::Equals,
            )
            .or_absent("false"),
        ],
        kind: kind::WORKSPACE,
        default_count: 3,
        generate: generated::workspace,
        view: views::workspace,
        ..PLAIN
    },
    Resource {
        listing: Listing::WorkspaceLocations,
        path: "/v1/workspaceLocations",
        scopes: &["spark-admin:workspace_locations_read"],
        filters: &[
            Filter::new("displayName", &["/displayName"], Rule::Contains),
            Filter::new("address", &["/address"], Rule::Contains),
            Filter::new("countryCode", &["/countryCode"], Rule::IgnoreCase),
            Filter::new("cityName", &["/cityName"], Rule::Contains),
        ],
        // The same locations, in another format.
        kind: kind::LOCATION,
        generate: generated::location,
        view: views::workspace_location,
        check: |_, _| Err("workspace locations follow the locations; change those".to_owned()),
        ..PLAIN
    },
    Resource {
        listing: Listing::Groups,
        path: "/v1/groups",
        scopes: &["identity:groups_read", "identity:groups_rw"],
        field: "groups",
        paging: PagingStyle::Numbered {
            start: "startIndex",
            size: "count",
            first: 1,
            counts_pages: false,
            default: 100,
            limit: 500,
            links: Links::Next,
        },
        filters: &[Filter::new("filter", &["/displayName"], Rule::Scim)],
        sort_keys: &["id", "displayName"],
        kind: kind::GROUP,
        default_count: 2,
        generate: generated::group,
        view: views::group,
        ..PLAIN
    },
    Resource {
        listing: Listing::Sites,
        path: "/organization/{organization}/v2/site",
        scopes: &["cjp:config_read"],
        field: "data",
        paging: PagingStyle::Numbered {
            start: "page",
            size: "pageSize",
            first: 0,
            counts_pages: true,
            default: 100,
            limit: 100,
            links: Links::None,
        },
        kind: kind::SITE,
        default_count: 1,
        generate: generated::site,
        ..PLAIN
    },
    Resource {
        listing: Listing::Customers,
        path: "/v1/wholesale/customers",
        scopes: &["spark-admin:wholesale_customers_read"],
        paging: PagingStyle::offset(100, 1000),
        filters: &[
            Filter::new("externalId", &["/externalId"], Rule::Equals),
            Filter::new("orgId", &["/orgId"], Rule::SameUuid),
            Filter::new("status", &["/status"], Rule::AnyOf),
        ],
        kind: kind::CUSTOMER,
        default_count: 2,
        generate: generated::customer,
        view: views::customer,
        ..PLAIN
    },
    Resource {
        listing: Listing::Subscribers,
        path: "/v1/wholesale/subscribers",
        scopes: &["spark-admin:wholesale_subscribers_read"],
        paging: PagingStyle::offset(50, 100),
        filters: &[
            Filter::new("customerId", &["/customerId"], Rule::Equals),
            Filter::new("externalCustomerId", &["/externalCustomerId"], Rule::Equals),
            Filter::new("personId", &["/personId"], Rule::Equals),
            Filter::new("email", &["/email"], Rule::IgnoreCase),
            Filter::new("status", &["/status"], Rule::Equals),
            Filter::new("after", &["/created"], Rule::NotBefore),
            Filter::new("lastStatusChange", &["/lastStatusChange"], Rule::NotBefore),
        ],
        sort_keys: &["created", "lastStatusChange"],
        kind: kind::SUBSCRIBER,
        default_count: 4,
        generate: generated::subscriber,
        ..PLAIN
    },
    Resource {
        listing: Listing::SubPartners,
        path: "/v1/wholesale/subPartners",
        scopes: &["spark-admin:wholesale_customers_read"],
        paging: PagingStyle::offset(100, 1000),
        filters: &[Filter::new(
            "provisioningState",
            &["/provisioningState"],
            Rule::Equals,
        )],
        kind: kind::SUB_PARTNER,
        default_count: 1,
        generate: generated::sub_partner,
        ..PLAIN
    },
];

impl Listing {
    /// Returns the description of the list.
    pub(crate) fn resource(self) -> &'static Resource {
        let found = RESOURCES.iter().find(|resource| resource.listing == self);
        // Every listing has a row; a test checks this.
        found.unwrap_or(&RESOURCES[0])
    }

    /// Returns the list that stores the entries.
    pub(crate) fn stored(self) -> Self {
        match self {
            Self::WorkspaceLocations => Self::Locations,
            listing => listing,
        }
    }
}

impl Resource {
    /// Returns all lists.
    pub(crate) fn all() -> &'static [Self] {
        &RESOURCES
    }

    /// Returns the id of an entry.
    pub(crate) fn id_of<'a>(&self, entry: &'a Value) -> &'a str {
        entry
            .get(self.id_field())
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn id_field(&self) -> &'static str {
        match self.listing {
            // A sub-partner has no other id.
            Listing::SubPartners => "orgId",
            _ => "id",
        }
    }

    /// Returns the index of the generated entry with this id.
    pub(crate) fn generated_index(&self, blueprint: &Blueprint, id: &str) -> Option<usize> {
        let uuid = ids::uuid_in(id)?;
        let is_administrator =
            || uuid.to_string() == ids::administrator(&blueprint.organization.uuid);
        match self.listing {
            Listing::Roles | Listing::Licenses => None,
            Listing::People if is_administrator() => Some(0),
            _ => blueprint.index(self.kind, uuid),
        }
    }

    /// Checks an entry before it is stored, and adds an id with this UUID if it has none.
    ///
    /// # Errors
    /// The reason why the list cannot have the entry.
    pub(crate) fn prepare(
        &self,
        entry: Value,
        blueprint: &Blueprint,
        uuid: &str,
    ) -> Result<Value, String> {
        let mut entry = (self.check)(entry, blueprint)?;
        let Some(fields) = entry.as_object_mut() else {
            return Err("an entry is a JSON object".to_owned());
        };
        fields.retain(|_, value| !value.is_null());
        let id = fields.entry(self.id_field()).or_insert(Value::Null);
        if id.as_str().is_none_or(str::is_empty) {
            *id = Value::String(blueprint.id_with(self.kind, uuid));
        }
        Ok(entry)
    }
}

/// Checks the fields, and derives an empty id from the name.
fn typed<T: Entry + DeserializeOwned>(
    entry: Value,
    blueprint: &Blueprint,
) -> Result<Value, String> {
    let entry: T = serde_json::from_value(entry).map_err(|error| error.to_string())?;
    let entry = entry.in_organization(&blueprint.organization.uuid);
    serde_json::to_value(entry).map_err(|error| error.to_string())
}
