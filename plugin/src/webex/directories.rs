//! The table of every list that can be imported. A further model is a row here.

use super::directory::{Api, Directory, Link, PageParameters, Paging, Selection};
use crate::grant::Grant;

/// The number of entries in a page that is requested. Ten times as many would be larger than the response that a host
/// allows.
const PAGE_SIZE: u32 = 250;

const BY_LINK: Directory = Directory {
    model: "",
    plural: "",
    api: Api::Webex,
    path: "",
    grant: Grant::Organization,
    scope: "",
    selection: Selection::Parameter,
    paging: Paging::Link(None),
    items: "items",
    keys: &[],
    links: &[],
    is_deprecated: false,
    has_sites: false,
};

/// The organization itself.
pub const ORGANIZATION: Directory = Directory {
    model: "device/spark/Organization",
    plural: "organizations",
    path: "/organizations",
    scope: "spark-admin:organizations_read",
    selection: Selection::OwnId,
    ..BY_LINK
};

/// The roles that users can have; the same in every organization.
pub const ROLES: Directory = Directory {
    model: "device/spark/Role",
    plural: "roles",
    path: "/roles",
    scope: "spark-admin:roles_read",
    selection: Selection::Whole,
    ..BY_LINK
};

/// The licenses of the organization, with the number of used ones.
pub const LICENSES: Directory = Directory {
    model: "device/spark/License",
    plural: "licenses",
    path: "/licenses",
    scope: "spark-admin:licenses_read",
    ..BY_LINK
};

/// The locations of workspaces, an API whose end Webex announced.
pub const WORKSPACE_LOCATIONS: Directory = Directory {
    model: "device/spark/WorkspaceLocation",
    plural: "workspace locations",
    path: "/workspaceLocations",
    scope: "spark-admin:workspace_locations_read",
    keys: &[("location", "locationId")],
    is_deprecated: true,
    ..BY_LINK
};

/// The locations of the organization.
pub const LOCATIONS: Directory = Directory {
    model: "device/spark/Location",
    plural: "locations",
    path: "/locations",
    scope: "spark-admin:locations_read",
    paging: Paging::Link(Some(PAGE_SIZE)),
    has_sites: true,
    ..BY_LINK
};

/// The users of the organization.
pub const USERS: Directory = Directory {
    model: "device/spark/User",
    plural: "users",
    path: "/people",
    scope: "spark-admin:people_read",
    paging: Paging::Link(Some(PAGE_SIZE)),
    keys: &[("email", "emails"), ("location", "locationId")],
    links: &[Link {
        key: "license",
        member: "licenses",
        model: LICENSES.model,
    }],
    ..BY_LINK
};

/// The workspaces of the organization.
pub const PLACES: Directory = Directory {
    model: "device/spark/Place",
    plural: "workspaces",
    path: "/workspaces",
    scope: "spark-admin:workspaces_read",
    paging: Paging::Position(PageParameters {
        start: "start",
        first: 0,
        size: ("max", PAGE_SIZE),
        total: &[],
    }),
    keys: &[("location", "locationId")],
    ..BY_LINK
};

/// The groups of the organization.
pub const GROUPS: Directory = Directory {
    model: "device/spark/Group",
    plural: "groups",
    path: "/groups",
    scope: "identity:groups_read",
    paging: Paging::Position(PageParameters {
        start: "startIndex",
        first: 1,
        size: ("count", PAGE_SIZE),
        total: &["totalResults"],
    }),
    items: "groups",
    ..BY_LINK
};

/// The sites of the organization's Contact Center.
pub const CONTACT_CENTER_SITES: Directory = Directory {
    model: "device/spark/CXSite",
    plural: "Contact Center sites",
    api: Api::ContactCenter,
    path: "/organization/{organization}/v2/site",
    scope: "cjp:config_read",
    selection: Selection::Whole,
    paging: Paging::Number(PageParameters {
        start: "page",
        first: 0,
        size: ("pageSize", 100),
        total: &["meta", "totalPages"],
    }),
    items: "data",
    ..BY_LINK
};

/// The customers of a wholesale partner.
pub const WHOLESALE_CUSTOMERS: Directory = Directory {
    model: "device/spark/WholesaleCustomer",
    plural: "wholesale customers",
    path: "/wholesale/customers",
    grant: Grant::WholesaleCustomers,
    scope: "spark-admin:wholesale_customers_read",
    selection: Selection::Whole,
    paging: Paging::Position(PageParameters {
        start: "offset",
        first: 0,
        size: ("max", 100),
        total: &[],
    }),
    keys: &[("external_id", "externalId"), ("status", "status")],
    ..BY_LINK
};

/// The users of a wholesale partner's customers.
pub const WHOLESALE_SUBSCRIBERS: Directory = Directory {
    model: "device/spark/WholesaleSubscriber",
    plural: "wholesale subscribers",
    path: "/wholesale/subscribers",
    grant: Grant::WholesaleUsers,
    scope: "spark-admin:wholesale_subscribers_read",
    selection: Selection::Whole,
    paging: Paging::Position(PageParameters {
        start: "offset",
        first: 0,
        size: ("max", 100),
        total: &[],
    }),
    keys: &[
        ("email", "email"),
        ("customer", "customerId"),
        ("status", "status"),
    ],
    ..BY_LINK
};

/// Every list that can be imported, in the platform's order.
pub const DIRECTORIES: &[Directory] = &[
    ORGANIZATION,
    ROLES,
    LICENSES,
    WORKSPACE_LOCATIONS,
    LOCATIONS,
    USERS,
    PLACES,
    GROUPS,
    CONTACT_CENTER_SITES,
    WHOLESALE_CUSTOMERS,
    WHOLESALE_SUBSCRIBERS,
];

/// Finds the list of `model`.
pub fn find_directory(model: &str) -> Option<&'static Directory> {
    DIRECTORIES.iter().find(|each| each.model == model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_one_list() {
        for directory in DIRECTORIES {
            assert_eq!(find_directory(directory.model), Some(directory));
        }
        assert_eq!(find_directory("device/spark/Nothing"), None);
    }
}
