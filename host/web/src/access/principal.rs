//! Principals: people and programs with roles at nodes.

use relation_host::types::{Hierarchy, Pkid};
use serde::{Deserialize, Serialize};

use super::Operation;
use super::roles::{self, CustomRole};

/// A role that is granted at a node. It covers the node and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleGrant {
    /// The name of the role.
    pub role: String,
    /// The node.
    pub node: Hierarchy,
}

/// The kind of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrincipalKind {
    /// A person with a session.
    User,
    /// A program with an API key.
    ApiKey,
}

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The kind.
    pub kind: PrincipalKind,
    /// The pkid of the user or the API key.
    pub pkid: Pkid,
    /// The name of the user or the API key.
    pub name: String,
    /// The granted roles.
    pub grants: Vec<RoleGrant>,
    /// The custom roles among them.
    pub custom_roles: Vec<CustomRole>,
}

impl Principal {
    /// Returns the nodes at and below which the principal may perform the operation. No node contains another.
    pub fn nodes(&self, operation: Operation) -> Vec<Hierarchy> {
        let permits = |grant: &&RoleGrant| self.operations(grant).contains(&operation);
        let mut nodes: Vec<Hierarchy> = Vec::new();
        for grant in self.grants.iter().filter(permits) {
            if nodes.iter().any(|node| node.contains(&grant.node)) {
                continue;
            }
            nodes.retain(|node| !grant.node.contains(node));
            nodes.push(grant.node.clone());
        }
        nodes.sort();
        nodes
    }

    /// Returns the operations that a grant of the principal permits.
    pub fn operations(&self, grant: &RoleGrant) -> &[Operation] {
        roles::operations(grant, &self.custom_roles)
    }

    /// Returns whether the principal may perform the operation at this node.
    pub fn may(&self, operation: Operation, node: &Hierarchy) -> bool {
        self.nodes(operation)
            .iter()
            .any(|granted| granted.contains(node))
    }
}
