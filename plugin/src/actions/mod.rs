//! The actions on a record: one table for their description and for `invoke`.
//!
//! A new action is a row of [`ACTIONS`] and the function that it runs. Hosts, their commands and their pages
//! take its arguments and its result from the row's schemas.

mod arguments;
mod wholesale;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::contract;
use crate::grant::Grant;
use crate::owned_documents::{SYNC_ROLES_LICENSES, SYNC_USERS};
use crate::platform::{Failure, FieldError, Platform};
use crate::reports::{Authorization, ExpiryReport, RefreshReport, SyncReport};
use crate::sites::mappings::find_search_error;
use crate::sites::nodes::find_node_error;
use crate::text::find_similar;
use crate::workflows::data_syncs::{self, DeleteReport, SaveReport, member};
use crate::workflows::location_mappings::{MappingReport, add_mapping, remove_mapping};
use crate::workflows::schedules::{self, ScheduleReport, ScheduleRequest, UnscheduleReport};
use crate::workflows::test_connection::{ConnectionTest, test_connection};
use crate::workflows::{connect, expiry, refresh, sync};
use arguments::{Arguments, Parameter, ParameterKind};

/// An action on a record.
pub struct Action {
    /// The name in URLs and commands.
    pub name: &'static str,
    title: &'static str,
    help: &'static str,
    parameters: &'static [Parameter],
    // Returns errors of the arguments together, besides those of their types.
    check: fn(&Arguments) -> Vec<FieldError>,
    result_schema: fn() -> Value,
    run: fn(&dyn Platform, &str, &Arguments) -> Result<Value, Failure>,
}

/// The action of the `refresh` workflow.
pub const REFRESH: &str = "RefreshAccessToken";
/// The action of the `check-expiry` workflow.
pub const CHECK_EXPIRY: &str = "CheckTokenExpiry";

/// The grant of an action that is for one grant.
const GRANT: Parameter = Parameter {
    name: "grant",
    help: "The consent that the action is for.",
    kind: ParameterKind::Choice {
        choices: &[
            Grant::Organization.as_str(),
            Grant::WholesaleCustomers.as_str(),
            Grant::WholesaleUsers.as_str(),
        ],
        default: Some(Grant::Organization.as_str()),
    },
    required: false,
};

/// The consent of an import to the removal of most of what is stored.
const ACCEPT_REMOVALS: Parameter = Parameter {
    name: "accept_removals",
    help: "Whether to remove what has vanished at Webex even if that is most of what is stored.",
    kind: ParameterKind::FLAG,
    required: false,
};

/// The data sync of an action that is for one.
const SYNC: Parameter = Parameter {
    name: "sync",
    help: "The data sync, by name, role or pkid.",
    kind: ParameterKind::Text,
    required: true,
};

/// The parameters of `SaveDataSync`.
const SAVE_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: SYNC.name,
        help: "The data sync to change, by name, role or pkid. By default, a data sync is added.",
        kind: ParameterKind::Text,
        required: false,
    },
    Parameter {
        name: member::NAME,
        help: "The name. Required for an added data sync; those that every customer has keep theirs.",
        kind: ParameterKind::Text,
        required: false,
    },
    Parameter {
        name: member::DESCRIPTION,
        help: "A description for administrators.",
        kind: ParameterKind::Text,
        required: false,
    },
    Parameter {
        name: member::SYNC_TYPE,
        help: "Whether to import from Webex (pull, of an added data sync by default), or to remove the stored \
               documents of the models without asking Webex (purge_local).",
        kind: ParameterKind::Choice {
            choices: member::SYNC_TYPES,
            default: None,
        },
        required: false,
    },
    Parameter {
        name: member::REFRESH_EXISTING_DATA,
        help: "Whether stored documents are replaced by those of Webex; true by default for an added data sync.",
        kind: ParameterKind::Boolean { default: None },
        required: false,
    },
    Parameter {
        name: member::MODELS,
        help: "The models to import, in this order, such as device/spark/User.",
        kind: ParameterKind::Texts(&[]),
        required: false,
    },
    Parameter {
        name: member::FILTER,
        help: "Conditions on the entries: objects with model, attribute, condition (equals, contains or \
               starts-with) and value. An empty list removes them.",
        kind: ParameterKind::Objects,
        required: false,
    },
    Parameter {
        name: member::DISABLED,
        help: "The operations that are not permitted: add, update, remove. An empty list permits all.",
        kind: ParameterKind::Texts(&[]),
        required: false,
    },
];

/// The parameters of `ScheduleDataSync`.
const SCHEDULE_PARAMETERS: &[Parameter] = &[
    SYNC,
    Parameter {
        name: "start",
        help: "The local date and time of the first run, such as 2026-12-01T03:00.",
        kind: ParameterKind::Text,
        required: true,
    },
    Parameter {
        name: "time_zone",
        help: "The time zone of the IANA database, such as Europe/Zurich; UTC by default.",
        kind: ParameterKind::Text,
        required: false,
    },
    Parameter {
        name: "every",
        help: "The time between two runs: a number and m, h, d, w or mo, such as 12h or 1d. By default, there is \
               one run.",
        kind: ParameterKind::Text,
        required: false,
    },
    Parameter {
        name: "until",
        help: "The local date and time after which there are no more runs; by default, there is no end.",
        kind: ParameterKind::Text,
        required: false,
    },
];

/// All actions, in the order of a menu.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "Connect",
        title: "Connect to Webex Control Hub",
        help: "Begins a consent: returns the link that the customer's Webex administrator opens.",
        parameters: &[
            Parameter {
                name: "redirect_uri",
                help: "The URL to which Webex sends the browser after the consent, as registered \
                       at Webex.",
                kind: ParameterKind::Text,
                required: true,
            },
            GRANT,
        ],
        check: no_check,
        result_schema: schema::<Authorization>,
        run: |platform, pkid, arguments| {
            let redirect_uri = arguments.text("redirect_uri").unwrap_or_default();
            let grant = parse_grant(arguments);
            to_json(&connect::connect(platform, pkid, grant, redirect_uri)?)
        },
    },
    Action {
        name: REFRESH,
        title: "Refresh Access Token",
        help: "Gets a fresh access token from Webex now.",
        parameters: &[
            GRANT,
            Parameter {
                name: "requested_at",
                help: "The time of the request, in milliseconds since 1970. The action joins an \
                       attempt that began at or after this time. By default, the present time.",
                kind: ParameterKind::Timestamp,
                required: false,
            },
        ],
        check: no_check,
        result_schema: schema::<RefreshReport>,
        run: |platform, pkid, arguments| {
            let requested_at = arguments.timestamp("requested_at");
            let requested_at = requested_at.unwrap_or_else(|| platform.now());
            let report = refresh::refresh(platform, pkid, parse_grant(arguments), requested_at)?;
            to_json(&report.require_tokens()?)
        },
    },
    Action {
        name: CHECK_EXPIRY,
        title: "Check Token Expiry",
        help: "Checks both expiries and the scopes now, and updates the alerts.",
        parameters: &[GRANT],
        check: no_check,
        result_schema: schema::<ExpiryReport>,
        run: |platform, pkid, arguments| {
            to_json(&expiry::check_expiry(
                platform,
                pkid,
                parse_grant(arguments),
            )?)
        },
    },
    Action {
        name: "TestConnection",
        title: "Test Connection",
        help: "Asks Webex whether the access token works, and for which organization.",
        parameters: &[GRANT],
        check: no_check,
        result_schema: schema::<ConnectionTest>,
        run: |platform, pkid, arguments| {
            to_json(&test_connection(platform, pkid, parse_grant(arguments))?)
        },
    },
    Action {
        name: "SyncUsers",
        title: "Sync Webex App Users",
        help: "Imports the organization's users from Webex.",
        parameters: &[ACCEPT_REMOVALS],
        check: no_check,
        result_schema: schema::<SyncReport>,
        run: |platform, pkid, arguments| run_sync(platform, pkid, SYNC_USERS, arguments),
    },
    Action {
        name: "SyncRolesLicenses",
        title: "Sync Webex App Roles Licenses",
        help: "Imports the organization's roles and licenses from Webex.",
        parameters: &[ACCEPT_REMOVALS],
        check: no_check,
        result_schema: schema::<SyncReport>,
        run: |platform, pkid, arguments| run_sync(platform, pkid, SYNC_ROLES_LICENSES, arguments),
    },
    Action {
        name: "ExecuteDataSync",
        title: "Execute Data Sync",
        help: "Executes one of the customer's data syncs.",
        parameters: &[SYNC, ACCEPT_REMOVALS],
        check: no_check,
        result_schema: schema::<SyncReport>,
        run: |platform, pkid, arguments| {
            let sync = arguments.text(SYNC.name).unwrap_or_default();
            run_sync(platform, pkid, sync, arguments)
        },
    },
    Action {
        name: "SaveDataSync",
        title: "Save Data Sync",
        help: "Changes one of the customer's data syncs, or adds one. Members that are not given stay unchanged.",
        parameters: SAVE_PARAMETERS,
        check: no_check,
        result_schema: schema::<SaveReport>,
        run: |platform, pkid, arguments| {
            let members = member::ALL.into_iter();
            let members = members.filter_map(|name| {
                let value = arguments.value(name)?;
                Some((name.to_owned(), value.clone()))
            });
            let sync = arguments.text(SYNC.name);
            to_json(&data_syncs::save_data_sync(
                platform,
                pkid,
                sync,
                &members.collect(),
            )?)
        },
    },
    Action {
        name: "DeleteDataSync",
        title: "Delete Data Sync",
        help: "Deletes a data sync that was added to the customer, with its schedule. What it imported stays.",
        parameters: &[SYNC],
        check: no_check,
        result_schema: schema::<DeleteReport>,
        run: |platform, pkid, arguments| {
            let sync = arguments.text(SYNC.name).unwrap_or_default();
            to_json(&data_syncs::delete_data_sync(platform, pkid, sync)?)
        },
    },
    Action {
        name: "ScheduleDataSync",
        title: "Schedule Data Sync",
        help: "Executes one of the customer's data syncs once or repeatedly. Replaces its earlier schedule.",
        parameters: SCHEDULE_PARAMETERS,
        check: no_check,
        result_schema: schema::<ScheduleReport>,
        run: |platform, pkid, arguments| {
            let sync = arguments.text(SYNC.name).unwrap_or_default();
            let request = ScheduleRequest {
                start: arguments.text("start").unwrap_or_default(),
                time_zone: arguments.text("time_zone"),
                every: arguments.text("every"),
                until: arguments.text("until"),
            };
            to_json(&schedules::schedule_data_sync(
                platform, pkid, sync, request,
            )?)
        },
    },
    Action {
        name: "UnscheduleDataSync",
        title: "Unschedule Data Sync",
        help: "Removes the schedule of one of the customer's data syncs.",
        parameters: &[SYNC],
        check: no_check,
        result_schema: schema::<UnscheduleReport>,
        run: |platform, pkid, arguments| {
            let sync = arguments.text(SYNC.name).unwrap_or_default();
            to_json(&schedules::unschedule_data_sync(platform, pkid, sync)?)
        },
    },
    Action {
        name: "AddLocationMapping",
        title: "Add Location Mapping",
        help: "Places the sites of new locations whose name contains a text below an intermediate node.",
        parameters: &[
            Parameter {
                name: "intermediate_node",
                help: "The name of a node directly below the customer.",
                kind: ParameterKind::Text,
                required: true,
            },
            Parameter {
                name: "search_string",
                help: "A part of the names of locations; case does not matter.",
                kind: ParameterKind::Text,
                required: true,
            },
        ],
        check: check_mapping,
        result_schema: schema::<MappingReport>,
        run: |platform, pkid, arguments| {
            let (node, search) = parse_mapping(arguments);
            to_json(&add_mapping(platform, pkid, node, search)?)
        },
    },
    Action {
        name: "RemoveLocationMapping",
        title: "Remove Location Mapping",
        help: "Removes a location mapping; sites that exist stay where they are.",
        parameters: &[
            Parameter {
                name: "intermediate_node",
                help: "The node of the mapping.",
                kind: ParameterKind::Text,
                required: true,
            },
            Parameter {
                name: "search_string",
                help: "The text of the mapping; case does not matter.",
                kind: ParameterKind::Text,
                required: true,
            },
        ],
        check: no_check,
        result_schema: schema::<MappingReport>,
        run: |platform, pkid, arguments| {
            let (node, search) = parse_mapping(arguments);
            to_json(&remove_mapping(platform, pkid, node, search)?)
        },
    },
    wholesale::ADD_CUSTOMER,
    wholesale::MODIFY_CUSTOMER,
    wholesale::DELETE_CUSTOMER,
    wholesale::CHECK_CUSTOMER,
];

/// Runs `action` on the record `pkid`. `arguments` is the text of one JSON object.
///
/// # Errors
/// `invalid` for an unknown action (field `action`) and for all errors in the arguments; errors of the
/// workflow. A failed refresh is an error too: see [`RefreshReport::require_tokens`].
pub fn invoke(
    platform: &dyn Platform,
    action: &str,
    pkid: &str,
    arguments: &str,
) -> Result<String, Failure> {
    let Some(found) = ACTIONS.iter().find(|each| each.name == action) else {
        let names = ACTIONS.iter().map(|action| action.name);
        let hint = match find_similar(action, names.clone()) {
            Some(name) => format!("; did you mean {name}?"),
            None => format!("; the actions are {}", names.collect::<Vec<_>>().join(", ")),
        };
        let error = format!("{action:?} is not an action{hint}");
        return Err(Failure::Invalid(vec![FieldError::new("action", error)]));
    };
    let arguments = Arguments::parse(arguments, found.parameters, found.check)?;
    Ok((found.run)(platform, pkid, &arguments)?.to_string())
}

impl From<&Action> for contract::Action {
    fn from(action: &Action) -> Self {
        Self {
            name: action.name.to_owned(),
            title: action.title.to_owned(),
            help: action.help.to_owned(),
            arguments_schema: arguments::schema(action.parameters).to_string(),
            result_schema: (action.result_schema)().to_string(),
        }
    }
}

fn run_sync(
    platform: &dyn Platform,
    pkid: &str,
    sync: &str,
    arguments: &Arguments,
) -> Result<Value, Failure> {
    let accepts_removals = arguments.flag(ACCEPT_REMOVALS.name);
    to_json(&sync::sync(platform, pkid, sync, accepts_removals)?)
}

/// Returns the node and the text of a location mapping.
fn parse_mapping(arguments: &Arguments) -> (&str, &str) {
    let text = |name| arguments.text(name).unwrap_or_default();
    (text("intermediate_node"), text("search_string"))
}

fn check_mapping(arguments: &Arguments) -> Vec<FieldError> {
    let check = |name: &str, find_error: fn(&str) -> Option<String>| {
        let error = find_error(arguments.text(name)?)?;
        Some(FieldError::new(name, error))
    };
    let errors = [
        check("intermediate_node", find_node_error),
        check("search_string", find_search_error),
    ];
    errors.into_iter().flatten().collect()
}

fn no_check(_: &Arguments) -> Vec<FieldError> {
    Vec::new()
}

fn parse_grant(arguments: &Arguments) -> Grant {
    let name = arguments.text(GRANT.name);
    let mut all = Grant::ALL.into_iter();
    all.find(|grant| Some(grant.as_str()) == name)
        .unwrap_or_default()
}

fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

fn to_json(report: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(report).map_err(|error| {
        Failure::Internal(format!("the result cannot be converted to JSON: {error}"))
    })
}

#[cfg(test)]
mod tests;
