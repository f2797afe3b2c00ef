//! The part of a form with roles at nodes.

use relation_host::types::{FieldError, Hierarchy};

use super::form::{Control, FormField, Posted};
use super::parts::clean;
use super::ui::Ui;
use crate::access::roles::{self, CustomRole};
use crate::access::users::field_error;
use crate::access::{Allowed, ROLES, RoleGrant, nodes, permission};
use crate::{Web, WebError};

/// The maximum number of roles of a form.
const MAX_GRANTS: usize = 20;

/// Builds the fields of roles: those that are granted, and empty ones for another. `roles` are the custom roles to offer.
pub(crate) fn grant_fields(
    grants: &[RoleGrant],
    posted: Option<&Posted>,
    roles: &[CustomRole],
    ui: &Ui,
) -> Vec<FormField> {
    let count = match posted {
        Some(posted) => (0..MAX_GRANTS)
            .rfind(|index| is_filled(posted, *index))
            .map_or(1, |last| last + 1),
        None => (grants.len() + 1).min(MAX_GRANTS),
    };
    let mut fields = Vec::new();
    for index in 0..count.max(1) {
        let grant = grants.get(index);
        let stored_role = grant.map(|grant| grant.role.as_str()).unwrap_or_default();
        let stored_node = grant.map(|grant| grant.node.as_str()).unwrap_or_default();
        let (role_name, node_name) = names(index);
        let sent = |name: &str, stored: &str| match posted {
            Some(posted) => posted.get(name).unwrap_or_default().to_owned(),
            None => stored.to_owned(),
        };
        let role = sent(&role_name, stored_role);
        let number = index + 1;
        let mut field = FormField::new(
            &role_name,
            ui.t1("access.role-number", number),
            String::new(),
        );
        let none = (String::new(), ui.t("form.no-choice"), role.is_empty());
        let choices = ROLES.iter().map(|each| {
            (
                each.name.to_owned(),
                each.title.to_owned(),
                each.name == role,
            )
        });
        let own = roles.iter().map(|each| {
            let pkid = each.pkid.to_string();
            let is_chosen = pkid == role;
            // Roles of two nodes may have one name.
            let label = format!("{} ({})", each.name, each.hierarchy);
            (pkid, clean(&label), is_chosen)
        });
        field.control = Control::Choice(std::iter::once(none).chain(choices).chain(own).collect());
        fields.push(field);
        let mut field = FormField::new(
            &node_name,
            ui.t1("access.node-number", number),
            ui.t("access.node-help"),
        );
        field.value = sent(&node_name, stored_node);
        fields.push(field);
    }
    fields
}

fn names(index: usize) -> (String, String) {
    (
        format!("grants[{index}].role"),
        format!("grants[{index}].node"),
    )
}

fn is_filled(posted: &Posted, index: usize) -> bool {
    let (role, _) = names(index);
    posted.get(&role).is_some_and(|role| !role.is_empty())
}

/// The roles of a sent form.
#[derive(Debug, Default)]
pub(crate) struct SentGrants {
    pub(crate) grants: Vec<RoleGrant>,
    /// The position of each role in the form.
    positions: Vec<usize>,
}

/// Reads the roles of a sent form. A role without a node is for `node`, and left out if there is none.
pub(crate) fn read_grants(
    posted: &Posted,
    node: Option<&Hierarchy>,
    errors: &mut Vec<FieldError>,
) -> SentGrants {
    let mut sent = SentGrants::default();
    for index in 0..MAX_GRANTS {
        let (role_name, node_name) = names(index);
        let role = posted.get(&role_name).unwrap_or_default();
        if role.is_empty() {
            continue;
        }
        let at = posted.get(&node_name).map(str::trim);
        let node = match at.filter(|at| !at.is_empty()).map(str::parse) {
            Some(Ok(node)) => node,
            Some(Err(error)) => {
                let error: relation_host::types::InvalidHierarchy = error;
                errors.push(field_error(&node_name, error.to_string()));
                continue;
            }
            None => match node {
                Some(node) => node.clone(),
                None => continue,
            },
        };
        sent.positions.push(index);
        sent.grants.push(RoleGrant {
            role: role.to_owned(),
            node,
        });
    }
    sent
}

impl SentGrants {
    /// Replaces the paths of nodes of the administrator's by their stored spelling.
    pub(crate) async fn find_spellings(
        &mut self,
        web: &Web,
        allowed: &Allowed<permission::Administer>,
    ) -> Result<(), WebError> {
        for grant in &mut self.grants {
            let node = nodes::find_spelling(web.store(), &grant.node).await?;
            if allowed.covers(&node) {
                grant.node = node;
            }
        }
        Ok(())
    }

    /// Puts errors of roles beside fields: those of `grants[0]` and of `grants` belong to a role of the form.
    pub(crate) fn place_errors(&self, errors: Vec<FieldError>) -> Vec<FieldError> {
        let place = |error: FieldError| {
            let entry = error.field.strip_prefix("grants[");
            let entry = entry.and_then(|rest| rest.strip_suffix(']')?.parse::<usize>().ok());
            let index = match (error.field.as_str(), entry) {
                ("grants", _) => 0,
                (_, Some(entry)) => self.positions.get(entry).copied().unwrap_or(entry),
                _ => return error,
            };
            let (field, _) = names(index);
            FieldError { field, ..error }
        };
        errors.into_iter().map(place).collect()
    }
}

/// Describes roles for people.
pub(crate) fn describe(grants: &[RoleGrant], roles: &[CustomRole]) -> Vec<(String, String)> {
    let titles = grants.iter().map(|grant| {
        let title = roles::title(grant, roles);
        (clean(title), clean(grant.node.as_str()))
    });
    titles.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::texts::Language;

    fn posted(pairs: &[(&str, &str)]) -> Posted {
        let pairs = pairs.iter();
        Posted(
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn role_without_a_node_is_for_the_node_of_the_form() {
        let mut errors = Vec::new();
        let sent = posted(&[
            ("grants[0].role", "operator"),
            ("grants[1].role", ""),
            ("grants[2].role", "auditor"),
            ("grants[2].node", "sys.A.B"),
            ("grants[3].role", "auditor"),
            ("grants[3].node", ".."),
        ]);
        let node = "sys.A".parse().unwrap();
        let read = read_grants(&sent, Some(&node), &mut errors);
        let found: Vec<_> = read
            .grants
            .iter()
            .map(|grant| (grant.role.as_str(), grant.node.as_str()))
            .collect();
        assert_eq!(found, [("operator", "sys.A"), ("auditor", "sys.A.B")]);
        assert_eq!(errors[0].field, "grants[3].node");
        // An error names the position among the roles, and belongs to a field of the form.
        let errors = ["grants[1]", "grants[3].node", "name", "grants"];
        let errors = errors.map(|field| field_error(field, "wrong"));
        let placed = read.place_errors(errors.to_vec()).into_iter();
        let placed: Vec<String> = placed.map(|error| error.field).collect();
        let expected = ["grants[2].role", "grants[3].node", "name", "grants[0].role"];
        assert_eq!(placed, expected);
        let read = read_grants(&sent, None, &mut Vec::new());
        assert_eq!(read.grants.len(), 1, "only one role has a node of its own");
    }

    #[test]
    fn form_has_the_roles_and_an_empty_one() {
        let ui = Ui::sample(Language::English, "/users", &["provider-administrator"]);
        let grants = [RoleGrant {
            role: "operator".to_owned(),
            node: "sys".parse().unwrap(),
        }];
        assert_eq!(grant_fields(&grants, None, &[], &ui).len(), 4);
        let sent = posted(&[("grants[1].role", "auditor")]);
        assert_eq!(grant_fields(&grants, Some(&sent), &[], &ui).len(), 4);
    }
}
