//! `[webex]`: the emulated Webex, and its actions in steps.
//!
//! Faults, roles and licenses have the emulator's format (tests/webex-emulator/README.md), with `-` in place of
//! `_` in names.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use webex_emulator::{
    ErrorStyle, License, Listing, Mode, Paging, PagingDefect, ProvisioningOutcome, Role,
    WholesaleSettings,
};

use relation_toml::{DeValue, Table, ValueError};

use super::{keys, values};
use crate::scenario::model::{NewGrant, Organization, Violations, Webex, WebexAction};
use crate::scenario::template::Template;

const MODES: [(&str, Mode); 5] = [
    ("extend-same", Mode::ExtendSame),
    ("frozen-clock", Mode::FrozenClock),
    ("omit-refresh-token", Mode::OmitRefreshToken),
    ("rotate", Mode::Rotate),
    ("same-access-token", Mode::SameAccessToken),
];

const DAY: Duration = Duration::from_secs(86_400);

/// Reads `[webex]`.
pub fn read(mut table: Table<'_, '_>) -> Option<Webex> {
    let reader = table.reader();
    let organizations = table.tables("organization", &keys::ORGANIZATION);
    let grants = table.tables("grant", &keys::GRANT);
    let faults = table.take("fault");
    let faults = faults.map_or_else(Vec::new, |item| {
        let faults = reader.items(item, "a list of [[webex.fault]]").into_iter();
        faults
            .filter_map(|item| reader.parse_item(item, from_emulator_json))
            .collect()
    });
    let webex = Webex {
        mode: table.get("mode", mode).unwrap_or_default(),
        reuse_detection: table
            .get("reuse-detection", values::parse_flag)
            .unwrap_or(false),
        // Whole days, so that a scenario can say "in 14 days".
        access_lifetime: table
            .get("access-lifetime", values::parse_duration)
            .unwrap_or(14 * DAY),
        refresh_lifetime: table
            .get("refresh-lifetime", values::parse_duration)
            .unwrap_or(90 * DAY),
        code_lifetime: table.get("code-lifetime", values::parse_duration),
        error_style: table.get("error-style", style).unwrap_or_default(),
        bare_responses: table
            .get("bare-responses", values::parse_flag)
            .unwrap_or(false),
        require_pkce: table
            .get("require-pkce", values::parse_flag)
            .unwrap_or(false),
        code_reuse_revokes: table
            .get("code-reuse-revokes", values::parse_flag)
            .unwrap_or(false),
        revocation_lag: table.get("revocation-lag", values::parse_duration),
        violations: table
            .get("violations", violations)
            .unwrap_or(Violations::Forbidden),
        organizations: read_named(organizations, organization, |one| &one.name),
        grants: read_named(grants, grant, |one| &one.name),
        faults,
    };
    table.close();
    Some(webex)
}

/// Reads items with names, which must be unique.
fn read_named<'s, 'r, T>(
    tables: Vec<Table<'s, 'r>>,
    read: impl Fn(Table<'s, 'r>) -> Option<T>,
    name: impl Fn(&T) -> &String,
) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for table in tables {
        let location = table.location();
        let Some(one) = read(table) else { continue };
        if all.iter().any(|other| name(other) == name(&one)) {
            let error = ValueError::new(format!("there is another one called {:?}", name(&one)));
            location.report(error.hint("give it a `name` of its own"));
        }
        all.push(one);
    }
    all
}

fn organization(mut table: Table<'_, '_>) -> Option<Organization> {
    let name = table.require("name", name);
    let display_name = table.get("display-name", values::parse_text);
    let roles = table.get("roles", json_list::<Role>);
    let licenses = table.get("licenses", json_list::<License>);
    table.close();
    let name = name?;
    Some(Organization {
        display_name: display_name.unwrap_or_else(|| name.clone()),
        name,
        roles,
        licenses,
    })
}

/// Reads `[[webex.grant]]`, or the new grant of a step.
fn grant(mut table: Table<'_, '_>) -> Option<NewGrant> {
    let grant = new_grant(&mut table);
    table.close();
    grant
}

fn new_grant(table: &mut Table<'_, '_>) -> Option<NewGrant> {
    let organization = table.require("organization", name);
    let name = table.get("name", name);
    let scopes = table.get("scopes", values::parse_texts);
    let organization = organization?;
    Some(NewGrant {
        position: table.position(),
        name: name.unwrap_or_else(|| organization.clone()),
        organization,
        scopes,
    })
}

/// Reads a step with `webex = "…"`. The action determines the allowed keys.
pub fn action(table: &mut Table<'_, '_>) -> Option<WebexAction> {
    let sections = [
        ("consent", &keys::CONSENT),
        ("decline", &keys::DECLINE),
        ("fail-consent", &keys::FAIL_CONSENT),
        ("grant", &keys::NEW_GRANT),
        ("revoke", &keys::REVOKE),
        ("mode", &keys::MODE),
        ("fault", &keys::FAULT),
        ("clear-faults", &keys::CLEAR_FAULTS),
        ("roles", &keys::ROLES),
        ("licenses", &keys::LICENSES),
        ("entries", &keys::ENTRIES),
        ("generate", &keys::GENERATE),
        ("wholesale", &keys::WHOLESALE),
        ("paging", &keys::PAGING),
    ];
    let section = table.get("webex", |value| {
        let names = sections.map(|(name, _)| (name, name));
        values::parse_word(value, "action at Webex", &names)
    });
    let Some(named) = section else {
        table.allow_unknown_keys();
        return None;
    };
    if let Some((_, section)) = sections.iter().find(|(name, _)| *name == named) {
        table.switch_section(section);
    }
    match named {
        "consent" => {
            let organization = table.require("organization", name);
            let link = link(table);
            let only = table.get("scopes", values::parse_texts);
            let without = table
                .get("without", values::parse_texts)
                .unwrap_or_default();
            Some(WebexAction::Consent {
                organization: organization?,
                link,
                only,
                without,
            })
        }
        "decline" => Some(WebexAction::Decline { link: link(table) }),
        "fail-consent" => Some(WebexAction::FailConsent {
            link: link(table),
            error: table
                .get("error", values::parse_text)
                .unwrap_or_else(|| "server_error".to_owned()),
            description: table
                .get("description", values::parse_any_text)
                .unwrap_or_default(),
        }),
        "grant" => new_grant(table).map(WebexAction::Grant),
        "revoke" => match table.choose_one(&["organization", "token"])? {
            "token" => table
                .get("token", values::parse_template)
                .map(WebexAction::RevokeToken),
            _ => table
                .get("organization", name)
                .map(WebexAction::RevokeOrganization),
        },
        "mode" => Some(WebexAction::Mode {
            mode: table.get("mode", mode),
            reuse_detection: table.get("reuse-detection", values::parse_flag),
        }),
        "fault" => table
            .require("fault", from_emulator_json)
            .map(WebexAction::Fault),
        "clear-faults" => Some(WebexAction::ClearFaults),
        "roles" => {
            let organization = table.require("organization", name);
            let roles = table.require("roles", json_list);
            Some(WebexAction::Roles {
                organization: organization?,
                roles: roles?,
            })
        }
        "licenses" => {
            let organization = table.require("organization", name);
            let licenses = table.require("licenses", json_list);
            Some(WebexAction::Licenses {
                organization: organization?,
                licenses: licenses?,
            })
        }
        "entries" => {
            let organization = table.require("organization", name);
            let listing = table.require("listing", listing);
            let entries = table.require("entries", json_list);
            Some(WebexAction::Entries {
                organization: organization?,
                listing: listing?,
                entries: entries?,
            })
        }
        "generate" => {
            let organization = table.require("organization", name);
            let listing = table.require("listing", listing);
            let count = table.require("count", values::parse_count::<usize>);
            Some(WebexAction::Generate {
                organization: organization?,
                listing: listing?,
                count: count?,
            })
        }
        "wholesale" => {
            let mut settings = WholesaleSettings::default();
            if let Some(outcome) = table.get("outcome", outcome) {
                settings.outcome = outcome;
            }
            if let Some(duration) = table.get("duration", values::parse_duration) {
                settings.duration = duration;
            }
            if let Some(locks) = table.get("locks-new-organizations", values::parse_flag) {
                settings.locks_new_organizations = locks;
            }
            Some(WebexAction::Wholesale(settings))
        }
        _ => paging(table),
    }
}

fn outcome(value: DeValue<'_>) -> Result<ProvisioningOutcome, ValueError> {
    let outcomes = [
        ("provisioned", ProvisioningOutcome::Provisioned),
        (
            "provisioned-with-errors",
            ProvisioningOutcome::ProvisionedWithErrors,
        ),
        ("error", ProvisioningOutcome::Error),
        ("pending-rpl-review", ProvisioningOutcome::PendingRplReview),
    ];
    values::parse_word(value, "outcome", &outcomes)
}

/// The names of the lists.
const LISTINGS: [(&str, Listing); 11] = [
    ("roles", Listing::Roles),
    ("licenses", Listing::Licenses),
    ("people", Listing::People),
    ("locations", Listing::Locations),
    ("workspaces", Listing::Workspaces),
    ("workspace-locations", Listing::WorkspaceLocations),
    ("groups", Listing::Groups),
    ("sites", Listing::Sites),
    ("customers", Listing::Customers),
    ("subscribers", Listing::Subscribers),
    ("sub-partners", Listing::SubPartners),
];

fn listing(value: DeValue<'_>) -> Result<Listing, ValueError> {
    values::parse_word(value, "listing", &LISTINGS)
}

fn paging(table: &mut Table<'_, '_>) -> Option<WebexAction> {
    let listing = table.require("listing", listing);
    let page_size = table.get("page-size", values::parse_count::<usize>);
    let defect: Option<PagingDefect> = table.get("defect", from_emulator_json);
    let paging = page_size.map(|size| {
        let paging = Paging::with_size(size.max(1));
        match defect {
            Some(defect) => paging.with_defect(defect),
            None => paging,
        }
    });
    Some(WebexAction::Paging {
        listing: listing?,
        paging,
    })
}

/// Returns the link of the step; by default the link of the latest `connect`.
fn link(table: &mut Table<'_, '_>) -> Template {
    let link = table.get("link", values::parse_template);
    link.unwrap_or_else(|| Template::parse("{link}"))
}

fn mode(value: DeValue<'_>) -> Result<Mode, ValueError> {
    values::parse_word(value, "mode", &MODES)
}

fn style(value: DeValue<'_>) -> Result<ErrorStyle, ValueError> {
    let styles = [("oauth", ErrorStyle::Oauth), ("webex", ErrorStyle::Webex)];
    values::parse_word(value, "error style", &styles)
}

fn violations(value: DeValue<'_>) -> Result<Violations, ValueError> {
    let words = [
        ("forbidden", Violations::Forbidden),
        ("allowed", Violations::Allowed),
    ];
    values::parse_word(value, "rule for violations", &words)
}

/// Parses a name that can be used in braces.
pub fn name(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = values::parse_text(value)?;
    let whole = format!("{{{text}}}");
    let is_name = Template::parse(&whole).names().next() == Some(text.as_str());
    if is_name && !text.contains('.') {
        return Ok(text);
    }
    Err(ValueError::new(format!("{text:?} is not a name")).hint(
        "a name begins with a lower-case letter and continues with letters, digits, - and _, so that it can be written in braces",
    ))
}

fn json_list<T: DeserializeOwned>(value: DeValue<'_>) -> Result<Vec<T>, ValueError> {
    values::parse_list(value, "a list of tables", |item| {
        from_json(values::parse_json(item)?)
    })
}

/// Parses the emulator's JSON format, with `-` in place of `_` in names.
fn from_emulator_json<T: DeserializeOwned>(value: DeValue<'_>) -> Result<T, ValueError> {
    let fields = values::parse_object(value)?;
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.replace('-', "_"), value));
    from_json(Value::Object(fields.collect::<Map<_, _>>()))
}

fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    serde_json::from_value(value).map_err(|error| {
        ValueError::new(error.to_string())
            .hint("the fields are those of tests/webex-emulator/README.md")
    })
}
