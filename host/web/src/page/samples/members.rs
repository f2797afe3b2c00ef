//! The samples of the pages of custom roles and API keys.

use askama::Template as _;
use relation_host::types::{FieldError, Timestamp};

use super::data::{DAY, HOSTILE, NOW, long_role, pkid};
use crate::access::api_keys::ApiKey;
use crate::access::roles::{CustomRole, RoleHolders};
use crate::access::users::User;
use crate::access::{Operation, RoleGrant};
use crate::page::texts::Language;
use crate::page::ui::Ui;
use crate::page::{keys, roles, shared};

/// Renders the pages of custom roles.
pub(super) fn role_pages(
    language: Language,
    holder: &User,
    errors: &[FieldError],
    pages: &mut Vec<(&'static str, String)>,
) {
    let ui = Ui::sample(language, "/roles", &["provider-administrator"]);
    let role = CustomRole {
        pkid: pkid(5),
        name: HOSTILE.to_owned(),
        hierarchy: "sys.Provider".parse().unwrap(),
        hierarchy_pkid: pkid(4),
        operations: vec![Operation::Read, Operation::Refresh],
    };
    for (name, rows) in [
        ("roles", vec![roles::RoleRow::new(&role, &ui)]),
        ("roles-empty", Vec::new()),
    ] {
        let page = roles::RolesPage {
            title: ui.t("roles.title"),
            rows,
            above: vec![roles::RoleRow::new(&long_role(), &ui)],
            next: None,
            ui: &ui,
        };
        pages.push((name, page.render().unwrap()));
    }
    let page = roles::new_form(&ui, &[], None, errors);
    pages.push(("role-add", page.render().unwrap()));
    let holders = RoleHolders {
        users: vec![User {
            grants: vec![RoleGrant {
                role: role.pkid.to_string(),
                node: "sys.Provider.Reseller".parse().unwrap(),
            }],
            ..holder.clone()
        }],
        keys: Vec::new(),
        more: true,
    };
    let page = roles::build(&ui, &role, Some(&holders), true, None, &[]);
    pages.push(("role", page.render().unwrap()));
    let page = roles::build(&ui, &role, Some(&holders), true, None, &[]).refused(&ui);
    pages.push(("role-in-use", page.render().unwrap()));
    let page = roles::build(&ui, &role, Some(&RoleHolders::default()), false, None, &[]);
    pages.push(("role-of-others", page.render().unwrap()));
    let page = roles::build(&ui, &long_role(), None, false, None, &[]);
    pages.push(("role-of-node-above", page.render().unwrap()));
    let page = roles::confirm_deletion(&ui, &role);
    pages.push(("role-delete", page.render().unwrap()));
}

/// Renders the pages of API keys.
pub(super) fn key_pages(
    language: Language,
    errors: &[FieldError],
    pages: &mut Vec<(&'static str, String)>,
) {
    let ui = Ui::sample(language, "/keys", &["provider-administrator"]);
    let key = ApiKey {
        pkid: pkid(6),
        name: HOSTILE.to_owned(),
        hierarchy: "sys.Provider.Reseller".parse().unwrap(),
        hierarchy_pkid: pkid(4),
        grants: Vec::new(),
        created: Timestamp(NOW - DAY),
        expires: Some(Timestamp(NOW + DAY)),
        revoked: None,
        former_secret_until: None,
        last_used: Some(Timestamp(NOW - DAY)),
    };
    let page = keys::KeysPage {
        title: ui.t("keys.title"),
        rows: vec![keys::KeyRow::new(&key, &[], &ui)],
        next: None,
        ui: &ui,
    };
    pages.push(("keys", page.render().unwrap()));
    let page = shared::ManageForm::new(&ui, "keys", &[], &[], None, errors);
    pages.push(("key-add", page.render().unwrap()));
    let page = keys::confirm_rotation(&ui, &key, "24h", &[]);
    pages.push(("key-rotate", page.render().unwrap()));
    let page = keys::confirm_revocation(&ui, &key);
    pages.push(("key-revoke", page.render().unwrap()));
}
