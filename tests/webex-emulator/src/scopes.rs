//! The scopes of the published table, in the groups in which a connection requests them.

/// The default scopes of a grant: the published table without those of Contact Center (`cjp:…`) and
/// of wholesale, and the one for groups.
pub const DEFAULT_SCOPES: [&str; 12] = [
    "spark-admin:organizations_read",
    "spark-admin:licenses_read",
    "spark-admin:roles_read",
    "spark-admin:people_read",
    "spark-admin:locations_read",
    "spark-admin:workspaces_read",
    "spark-admin:workspace_locations_read",
    "spark-admin:telephony_config_read",
    "spark-admin:telephony_config_write",
    "identity:groups_read",
    "identity:tokens_read",
    "identity:tokens_write",
];

/// Additional scopes for the customers and subscribers of a wholesale partner.
pub const WHOLESALE_SCOPES: [&str; 4] = [
    "spark-admin:wholesale_customers_read",
    "spark-admin:wholesale_customers_write",
    "spark-admin:wholesale_subscribers_read",
    "spark-admin:wholesale_subscribers_write",
];

/// Additional scopes for a person's own record.
pub const PERSONAL_SCOPES: [&str; 1] = ["spark:people_read"];

/// Additional scopes for Contact Center.
pub const CONTACT_CENTER_SCOPES: [&str; 2] = ["cjp:config_read", "cjp:config_write"];

/// Additional scopes for changing groups, and for a partner's first access to a customer's organization.
pub const IDENTITY_SCOPES: [&str; 3] = [
    "identity:groups_rw",
    "identity:organizations_read",
    "identity:organizations_rw",
];
