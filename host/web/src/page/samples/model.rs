//! A model with one field of each kind.

use relation_host::reports::{Choice, Field, FieldKind, Model};

fn field(name: &str, kind: FieldKind) -> Field {
    Field {
        name: name.to_owned(),
        title: format!("Title of {name}"),
        kind,
        required: false,
        max_length: None,
        password: false,
        read_only: false,
        add_only: false,
        choices: Vec::new(),
        help: format!("Help of {name}."),
    }
}

/// Returns a model with one field of each kind. `extra` is a field that the page does not know.
pub(crate) fn sample_model() -> Model {
    Model {
        name: "relation/SparkCustomer".to_owned(),
        record_model: "data/SparkCustomer".to_owned(),
        title: "Webex Organization".to_owned(),
        fields: vec![
            Field {
                required: true,
                max_length: Some(1024),
                ..field("name", FieldKind::Text)
            },
            field("account_email", FieldKind::Email),
            Field {
                password: true,
                ..field("token", FieldKind::Text)
            },
            Field {
                password: true,
                ..field("token_repeat", FieldKind::Text)
            },
            Field {
                read_only: true,
                ..field("access_token_expires", FieldKind::DateTime)
            },
            field("https_proxy", FieldKind::Uri),
            Field {
                add_only: true,
                ..field("wholesale_status", FieldKind::Boolean)
            },
            field("webex_contact_center", FieldKind::Boolean),
            Field {
                choices: vec![Choice {
                    value: "EU".to_owned(),
                    title: "EU (Frankfurt)".to_owned(),
                }],
                ..field("base_url_setting", FieldKind::Text)
            },
            field("shadow", FieldKind::Objects),
            Field {
                required: true,
                ..field("shadow[].name", FieldKind::Text)
            },
            field("extra", FieldKind::Text),
        ],
        actions: Vec::new(),
        settings: Vec::new(),
    }
}
