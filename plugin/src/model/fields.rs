//! The table of fields, which `describe` returns and validation uses.

use std::fmt;

pub use crate::contract::FieldKind;
use crate::text::find_similar;

/// The syntax that a text must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Free,
    Organization,
    Email,
    Proxy,
    Token,
}

/// An allowed value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The stored value.
    pub value: &'static str,
    /// The label for a person.
    pub title: &'static str,
}

/// One field of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in JSON input.
    pub name: &'static str,
    /// The label in the form.
    pub title: &'static str,
    /// The kind of the field's value.
    pub kind: FieldKind,
    /// Whether every record must have a value.
    pub required: bool,
    /// The maximum length of a text in characters (Unicode scalar values).
    pub max_length: Option<u32>,
    /// Whether the field is write-only: its value is never returned, shown or logged.
    pub password: bool,
    /// Whether only the plugin sets the field; it is refused as input.
    pub read_only: bool,
    /// Whether the field is accepted only when the record is added, and cannot be changed afterwards.
    pub add_only: bool,
    /// The allowed values; empty allows any value.
    pub choices: &'static [Choice],
    /// One sentence for the person who fills in the form.
    pub help: &'static str,
    pub(super) syntax: Syntax,
}

impl Field {
    const fn new(
        name: &'static str,
        title: &'static str,
        kind: FieldKind,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            kind,
            required: false,
            max_length: None,
            password: false,
            read_only: false,
            add_only: false,
            choices: &[],
            help,
            syntax: Syntax::Free,
        }
    }

    const fn text(name: &'static str, title: &'static str, help: &'static str) -> Self {
        let mut field = Self::new(name, title, FieldKind::Text, help);
        field.max_length = Some(TEXT_LIMIT);
        field
    }

    const fn token(name: &'static str, title: &'static str, help: &'static str) -> Self {
        let mut field = Self::new(name, title, FieldKind::Text, help).syntax(Syntax::Token);
        field.max_length = Some(TOKEN_LIMIT);
        field.password = true;
        field
    }

    const fn proxy(name: &'static str, title: &'static str, help: &'static str) -> Self {
        let mut field = Self::new(name, title, FieldKind::Uri, help).syntax(Syntax::Proxy);
        field.max_length = Some(TEXT_LIMIT);
        field
    }

    const fn boolean(name: &'static str, title: &'static str, help: &'static str) -> Self {
        Self::new(name, title, FieldKind::Boolean, help)
    }

    const fn syntax(mut self, syntax: Syntax) -> Self {
        self.syntax = syntax;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    const fn add_only(mut self) -> Self {
        self.add_only = true;
        self
    }
}

/// The platform limits names to this length; other texts have no documented limit and share it.
pub const TEXT_LIMIT: u32 = 1024;
/// Webex documents no maximum length of a token. A token that is a JWT with many scopes has a few thousand
/// characters.
const TOKEN_LIMIT: u32 = 8192;

/// The name of the field with the list of shadows.
pub const SHADOW: &str = "shadow";

/// The regions of Contact Center.
pub const REGIONS: &[Choice] = &[
    choice("US", "US"),
    choice("ANZ", "ANZ"),
    choice("UK", "UK"),
    choice("EU", "EU (Frankfurt)"),
    choice("Japan", "Japan"),
    choice("Canada", "Canada"),
    choice("Singapore", "Singapore"),
];

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.value)?;
        match self.title == self.value {
            true => Ok(()),
            false => write!(f, " ({:?})", self.title),
        }
    }
}

impl Field {
    /// Finds the choice with this value or title, in any case.
    pub fn find_choice(&self, text: &str) -> Option<&Choice> {
        let mut choices = self.choices.iter();
        choices.find(|choice| {
            choice.value.eq_ignore_ascii_case(text) || choice.title.eq_ignore_ascii_case(text)
        })
    }
}

const fn choice(value: &'static str, title: &'static str) -> Choice {
    Choice { value, title }
}

/// Every field of `relation/SparkCustomer`, in the order of the form.
pub const FIELDS: &[Field] = &[
    Field::text(
        "name",
        "Customer Name",
        "The customer's name, unique at its node; defaults to the node's name.",
    )
    .required(),
    Field::text(
        "account_number_external",
        "Organization Account Number",
        "The id that Control Hub shows under Account; filled in from Webex when tokens are given.",
    )
    .syntax(Syntax::Organization),
    Field::text(
        "account_number",
        "Organization Account Number (Internal)",
        "The id of the same organization in the Webex API; older records were added with it alone.",
    )
    .syntax(Syntax::Organization),
    {
        // RFC 5321, section 4.5.3.1.3, allows a path of 256 octets with its angle brackets.
        let mut field = Field::new(
            "account_email",
            "Admin Account Email",
            FieldKind::Email,
            "The account that authorized the connection; for information only.",
        )
        .syntax(Syntax::Email);
        field.max_length = Some(254);
        field
    },
    Field::token(
        "token",
        "Admin Access Token",
        "An access token fetched elsewhere; needs the refresh token too.",
    ),
    Field::token(
        "token_repeat",
        "Repeat Admin Access Token",
        "The access token again.",
    ),
    Field::token(
        "refresh_token",
        "Refresh Token",
        "The refresh token that belongs to the access token.",
    ),
    Field::token(
        "refresh_token_repeat",
        "Repeat Refresh Token",
        "The refresh token again.",
    ),
    Field::new(
        "access_token_expires",
        "Access Token Expires At",
        FieldKind::DateTime,
        "When the access token expires unless it is refreshed before.",
    )
    .read_only(),
    Field::new(
        "refresh_token_expires",
        "Refresh Token Expires At",
        FieldKind::DateTime,
        "When the customer must be connected again at the latest.",
    )
    .read_only(),
    Field::proxy(
        "http_proxy",
        "HTTP Proxy String",
        "The proxy for http: addresses: http(s)://[user:password@]host:port/, special characters \
         percent-encoded; shown without the password.",
    ),
    Field::proxy(
        "https_proxy",
        "HTTPS Proxy String",
        "The proxy for https: addresses, including Webex: http(s)://[user:password@]host:port/, \
         special characters percent-encoded; shown without the password.",
    ),
    Field::boolean(
        "wholesale_status",
        "Wholesale Customer",
        "Whether this is a wholesale customer; cannot be changed later.",
    )
    .add_only(),
    Field::boolean(
        "webex_contact_center",
        "Contact Center Customer",
        "Whether the organization uses Webex Contact Center.",
    ),
    {
        let mut field = Field::new(
            "base_url_setting",
            "Contact Center Region",
            FieldKind::Text,
            "The region of its Contact Center; required for Contact Center customers only.",
        );
        field.choices = REGIONS;
        field
    },
    Field::new(
        "token_link",
        "Connect to Webex Control Hub",
        FieldKind::Uri,
        "The link to connect this customer, on platforms that offer it.",
    )
    .read_only(),
    Field::new(
        "notes",
        "Please Note",
        FieldKind::Text,
        "Advice for the administrator.",
    )
    .read_only(),
    Field::new(
        SHADOW,
        "Shadow",
        FieldKind::Objects,
        "The customer's shadow on the platform; at most one.",
    ),
    Field::text("shadow[].name", "Name", "The shadow's name.").required(),
    Field::boolean(
        "dirsync_enabled",
        "Directory Synchronization",
        "Whether a directory manages the identity fields of users, which are then read-only.",
    ),
    Field::text(
        "email_domain",
        "Email Domain",
        "The domain of the organization's e-mail addresses.",
    ),
    Field::text(
        "default_calling_behaviour",
        "Default Calling Behaviour",
        "How the organization's apps place calls.",
    ),
];

/// Finds the field called `name`. Fields of list entries have names such as `shadow[].name`.
pub fn find_field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Returns the writable field with the name most similar to `name`, if any is similar.
pub(super) fn find_nearest(name: &str) -> Option<&'static str> {
    let writable = FIELDS
        .iter()
        .filter(|field| !field.read_only && !field.name.contains('['));
    find_similar(name, writable.map(|field| field.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_has_one_name_a_title_and_a_help() {
        let names: BTreeSet<&str> = FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), FIELDS.len());
        for field in FIELDS {
            assert!(
                !field.title.is_empty() && field.help.ends_with('.'),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn misspelt_field_name_suggests_the_nearest() {
        for (typed, meant) in [
            ("htpp_proxy", Some("http_proxy")),
            ("acount_number", Some("account_number")),
            ("Name", Some("name")),
            ("zzz", None),
        ] {
            assert_eq!(find_nearest(typed), meant, "{typed}");
        }
    }
}
