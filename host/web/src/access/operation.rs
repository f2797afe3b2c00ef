//! Operations and roles. A role is data: a name and the operations that it permits.

use serde::{Deserialize, Serialize};

/// Something that a principal may be permitted to do at a node and below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// See records, what belongs to them, and their transactions.
    Read,
    /// Add records.
    Add,
    /// Change records.
    Modify,
    /// Delete records.
    Delete,
    /// Begin and complete consents.
    Connect,
    /// Refresh tokens and check their expiry.
    Refresh,
    /// Import data, and change data syncs and schedules.
    Sync,
    /// Run the other actions of a record, such as changes of wholesale customers.
    Act,
    /// Change notice settings, test recipients, and send notices again.
    Notices,
    /// Manage users and API keys.
    Administer,
    /// See the audit log.
    Audit,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 11] = [
        Self::Read,
        Self::Add,
        Self::Modify,
        Self::Delete,
        Self::Connect,
        Self::Refresh,
        Self::Sync,
        Self::Act,
        Self::Notices,
        Self::Administer,
        Self::Audit,
    ];

    /// Returns the operation's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Add => "add",
            Self::Modify => "modify",
            Self::Delete => "delete",
            Self::Connect => "connect",
            Self::Refresh => "refresh",
            Self::Sync => "sync",
            Self::Act => "act",
            Self::Notices => "notices",
            Self::Administer => "administer",
            Self::Audit => "audit",
        }
    }

    /// Returns a sentence about the operation.
    pub fn description(self) -> &'static str {
        match self {
            Self::Read => "See organizations, what belongs to them, and their transactions",
            Self::Add => "Add organizations and nodes",
            Self::Modify => "Change organizations",
            Self::Delete => "Delete organizations and nodes",
            Self::Connect => "Connect organizations to Webex",
            Self::Refresh => "Refresh tokens, and check their expiry",
            Self::Sync => "Import data, and change data syncs and schedules",
            Self::Act => "Run the other actions, such as changes of wholesale customers",
            Self::Notices => "Change notice settings, test recipients, and send notices again",
            Self::Administer => "Manage users, API keys and roles",
            Self::Audit => "See the audit log",
        }
    }
}

/// Finds an operation by its name.
pub fn find_operation(name: &str) -> Option<Operation> {
    let mut operations = Operation::ALL.into_iter();
    operations.find(|operation| operation.as_str() == name)
}

/// A role: a name and the operations that it permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Role {
    /// The role's name, which is stored.
    pub name: &'static str,
    /// The role's title.
    pub title: &'static str,
    /// The permitted operations.
    pub operations: &'static [Operation],
}

use Operation::{
    Act, Add, Administer, Audit, Connect, Delete, Modify, Notices, Read, Refresh, Sync,
};

/// The built-in roles.
pub const ROLES: &[Role] = &[
    Role {
        name: "provider-administrator",
        title: "Provider administrator",
        operations: &[
            Read, Add, Modify, Delete, Connect, Refresh, Sync, Act, Notices, Administer, Audit,
        ],
    },
    Role {
        name: "reseller-administrator",
        title: "Reseller administrator",
        operations: &[
            Read, Add, Modify, Delete, Connect, Refresh, Sync, Act, Notices, Administer, Audit,
        ],
    },
    Role {
        name: "customer-administrator",
        title: "Customer administrator",
        operations: &[
            Read, Modify, Connect, Refresh, Sync, Act, Notices, Administer,
        ],
    },
    Role {
        name: "operator",
        title: "Operator",
        operations: &[Read, Refresh, Sync],
    },
    Role {
        name: "auditor",
        title: "Auditor",
        operations: &[Read, Audit],
    },
    Role {
        name: "machine",
        title: "Machine",
        operations: &[Read, Add, Modify, Delete, Connect, Refresh, Sync, Act],
    },
];

/// Finds a role by its name.
pub fn find_role(name: &str) -> Option<&'static Role> {
    ROLES.iter().find(|role| role.name == name)
}
