//! Describes the relation: its fields and the actions on a record.

use crate::model::{FIELDS, Field, RELATION, TITLE};
use crate::platform::RECORD_MODEL;
use crate::settings::{SETTINGS, Setting};

/// An action on a record besides add, modify, delete, get and list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The name in URLs and commands.
    pub name: &'static str,
    /// The label for a person.
    pub title: &'static str,
    /// One sentence about the effect.
    pub help: &'static str,
}

/// The model, as forms, command lines and schemas need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name of the relation.
    pub name: &'static str,
    /// The model of the stored record.
    pub record_model: &'static str,
    /// The label for a person.
    pub title: &'static str,
    /// All fields, in the order of the form.
    pub fields: &'static [Field],
    /// All actions.
    pub actions: &'static [Action],
    /// Every setting.
    pub settings: &'static [Setting],
}

/// The action of the `refresh` workflow.
pub const REFRESH_ACTION: &str = "RefreshAccessToken";
/// The action of the `check-expiry` workflow.
pub const EXPIRY_ACTION: &str = "CheckTokenExpiry";

/// Returns the model. Needs no storage and no request.
pub const fn describe() -> Model {
    Model {
        name: RELATION,
        record_model: RECORD_MODEL,
        title: TITLE,
        fields: FIELDS,
        settings: SETTINGS,
        actions: &[
            Action {
                name: REFRESH_ACTION,
                title: "Refresh Access Token",
                help: "Gets a fresh access token from Webex now.",
            },
            Action {
                name: EXPIRY_ACTION,
                title: "Check Token Expiry",
                help: "Checks both expiries now and updates the alerts.",
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use crate::model::FieldKind;

    use super::*;

    #[test]
    fn description_has_all_known_fields() {
        let model = describe();
        assert_eq!(model.name, "relation/SparkCustomer");
        assert_eq!(model.record_model, "data/SparkCustomer");
        let field = |name: &str| {
            let found = model.fields.iter().find(|field| field.name == name);
            *found.unwrap_or_else(|| panic!("no field {name}"))
        };
        let name = field("name");
        assert!(name.required && name.max_length == Some(1024));
        for token in [
            "token",
            "token_repeat",
            "refresh_token",
            "refresh_token_repeat",
        ] {
            assert!(field(token).password, "{token}");
        }
        for set in [
            "access_token_expires",
            "refresh_token_expires",
            "token_link",
            "notes",
        ] {
            assert!(field(set).read_only, "{set}");
        }
        assert!(field("wholesale_status").add_only);
        assert_eq!(field("base_url_setting").choices.len(), 7);
        assert_eq!(field("shadow").kind, FieldKind::Objects);
        assert!(field("shadow[].name").required);
    }
}
