//! The roles and licenses of an organization, as its administrators would see them in Control Hub.

use serde::{Deserialize, Serialize};

use crate::ids;

/// The role that every administrator has by default.
pub(crate) const FULL_ADMINISTRATOR: &str = "Full Administrator";

/// The role that does not permit its holder to list or revoke tokens.
pub(crate) const READ_ONLY_ADMINISTRATOR: &str = "Read-only Administrator";

/// An administrator role. The real ones are the same in every organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// The `/v1` id; derived from the name if empty.
    #[serde(default)]
    pub id: String,
    /// The name, such as "Full Administrator".
    pub name: String,
}

impl Role {
    /// Creates a role with an id derived from its name.
    pub fn new(name: &str) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
        }
    }
}

/// A license of an organization. Fields that do not apply to it are absent from the response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct License {
    /// The `/v1` id; derived from the organization and the name if empty.
    #[serde(default)]
    pub id: String,
    /// The name, such as "Webex Calling - Professional".
    pub name: String,
    /// Number of purchased units.
    #[serde(default)]
    pub total_units: u64,
    /// Number of assigned units.
    #[serde(default)]
    pub consumed_units: u64,
    /// Number of units assigned to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed_by_users: Option<u64>,
    /// Number of units assigned to workspaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed_by_workspaces: Option<u64>,
    /// Its subscription; free licenses have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<String>,
    /// Its meeting site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_url: Option<String>,
    /// The management of that site, such as "Control Hub managed site".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_type: Option<String>,
}

impl License {
    /// Creates a license with this many units, none of them assigned, and an id derived from
    /// organization and name.
    pub fn new(name: &str, total_units: u64) -> Self {
        Self {
            name: name.to_owned(),
            total_units,
            ..Self::default()
        }
    }
}

/// An entry of a listing with its own id.
pub(crate) trait Entry: Clone + Serialize {
    fn id(&self) -> &str;

    /// Returns the entry with an id, derived for this organization if empty.
    fn in_organization(self, organization_uuid: &str) -> Self;
}

impl Entry for Role {
    fn id(&self) -> &str {
        &self.id
    }

    fn in_organization(mut self, _organization_uuid: &str) -> Self {
        if self.id.is_empty() {
            self.id = ids::encode("ROLE", &format!("id_{}", slug(&self.name)));
        }
        self
    }
}

impl Entry for License {
    fn id(&self) -> &str {
        &self.id
    }

    fn in_organization(mut self, organization_uuid: &str) -> Self {
        if self.id.is_empty() {
            let own = format!("{organization_uuid}:{}", slug(&self.name));
            self.id = ids::encode("LICENSE", &own);
        }
        self
    }
}

/// Converts to lower case letters and digits, with `_` for each run of anything else.
fn slug(name: &str) -> String {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("_")
}

/// The roles and licenses of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) roles: Vec<Role>,
    pub(crate) licenses: Vec<License>,
}

impl Default for Directory {
    fn default() -> Self {
        let roles = [
            FULL_ADMINISTRATOR,
            READ_ONLY_ADMINISTRATOR,
            "User and Device Administrator",
            "Device Administrator",
            "Support Administrator",
            "Compliance Officer",
        ];
        let subscription_id = Some("Sub-emulated-1".to_owned());
        Self {
            roles: roles.map(Role::new).to_vec(),
            licenses: vec![
                License {
                    consumed_units: 4,
                    consumed_by_users: Some(4),
                    ..License::new("Messaging", 25)
                },
                License {
                    consumed_units: 7,
                    consumed_by_users: Some(7),
                    subscription_id: subscription_id.clone(),
                    site_url: Some("emulated.webex.com".to_owned()),
                    site_type: Some("Control Hub managed site".to_owned()),
                    ..License::new("Webex Meetings Suite", 100)
                },
                License {
                    consumed_units: 12,
                    consumed_by_users: Some(10),
                    consumed_by_workspaces: Some(2),
                    subscription_id,
                    ..License::new("Webex Calling - Professional", 50)
                },
            ],
        }
    }
}

impl Directory {
    /// Fills in every empty id for this organization.
    pub(crate) fn in_organization(self, uuid: &str) -> Self {
        fn all<T: Entry>(entries: Vec<T>, uuid: &str) -> Vec<T> {
            let entries = entries.into_iter();
            entries.map(|entry| entry.in_organization(uuid)).collect()
        }
        Self {
            roles: all(self.roles, uuid),
            licenses: all(self.licenses, uuid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_id_is_filled_and_a_given_one_kept() {
        let license = License::new("Webex Calling - Professional", 1).in_organization("u");
        assert_eq!(
            license.id,
            ids::encode("LICENSE", "u:webex_calling_professional")
        );
        let given = Role {
            id: "not base64 at all".to_owned(),
            name: "Odd".to_owned(),
        };
        assert_eq!(given.clone().in_organization("u"), given);
    }
}
