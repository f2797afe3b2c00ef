//! Describes the relation: its fields and the actions on a record.

use crate::actions::ACTIONS;
use crate::contract;
use crate::model::{Choice, FIELDS, Field, RELATION, TITLE};
use crate::platform::RECORD_MODEL;
use crate::settings::{SETTINGS, Setting};

/// Returns the model, as forms, command lines and schemas need it. Needs no storage and no request.
pub fn describe() -> contract::Model {
    contract::Model {
        name: RELATION.to_owned(),
        record_model: RECORD_MODEL.to_owned(),
        title: TITLE.to_owned(),
        fields: FIELDS.iter().map(Into::into).collect(),
        settings: SETTINGS.iter().map(Into::into).collect(),
        actions: ACTIONS.iter().map(Into::into).collect(),
    }
}

impl From<&Setting> for contract::SettingDescription {
    fn from(setting: &Setting) -> Self {
        Self {
            key: setting.key.to_owned(),
            secret: setting.secret,
            format: setting.format.to_owned(),
            default: setting.default.map(str::to_owned),
            help: setting.help.to_owned(),
        }
    }
}

impl From<&Field> for contract::Field {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name.to_owned(),
            title: field.title.to_owned(),
            kind: field.kind,
            required: field.required,
            max_length: field.max_length,
            password: field.password,
            read_only: field.read_only,
            add_only: field.add_only,
            choices: field.choices.iter().map(Into::into).collect(),
            help: field.help.to_owned(),
        }
    }
}

impl From<&Choice> for contract::Choice {
    fn from(choice: &Choice) -> Self {
        Self {
            value: choice.value.to_owned(),
            title: choice.title.to_owned(),
        }
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
            found.unwrap_or_else(|| panic!("no field {name}"))
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
