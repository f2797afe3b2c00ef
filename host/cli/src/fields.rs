//! Field values from the command line: options, `--set` and a file.

use std::collections::BTreeSet;

use relation_app::AppError;
use relation_host::reports::{FieldKind, Model};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::secrets::SecretSource;

/// Fields that may contain secrets; proxy URLs may contain passwords. They are always refused as arguments.
const SECRET_FIELDS: [&str; 6] = [
    "token",
    "token_repeat",
    "refresh_token",
    "refresh_token_repeat",
    "http_proxy",
    "https_proxy",
];

/// The options for fields of `add` and `modify`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fields")]
pub struct FieldArgs {
    /// The organization: the UUID that Control Hub shows under Account, or Webex's own id
    #[arg(long, value_name = "ID")]
    account_number: Option<String>,
    /// The e-mail address of the administrator's account; informational
    #[arg(long, value_name = "ADDRESS")]
    account_email: Option<String>,
    /// The customer uses Webex Contact Center; needs --region
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    contact_center: Option<bool>,
    /// The Contact Center region, by its value or its title in `describe`, such as US or "EU (Frankfurt)"
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The name of the customer's shadow
    #[arg(long, value_name = "NAME")]
    shadow: Option<String>,
    /// Users are synchronised from a directory, so their identity fields are read-only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dirsync: Option<bool>,
    /// The organization's e-mail domain
    #[arg(long, value_name = "DOMAIN")]
    email_domain: Option<String>,
    /// The organization's default calling behavior
    #[arg(long, value_name = "BEHAVIOR")]
    calling_behaviour: Option<String>,
    /// The token endpoint's JSON response, from a file or, as -, from stdin or a prompt
    #[arg(long, value_name = "FILE|-")]
    tokens: Option<SecretSource>,
    /// The proxy for http, http(s)://[user:password]@host:port/, from a file, stdin or a prompt
    #[arg(long, value_name = "FILE|-")]
    http_proxy_file: Option<SecretSource>,
    /// The proxy for https, in the same form
    #[arg(long, value_name = "FILE|-")]
    https_proxy_file: Option<SecretSource>,
    /// Any field of `describe` that is not a secret; can be repeated
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// A JSON object of fields, which may include secrets, from a file or stdin
    #[arg(long, value_name = "FILE|-")]
    fields: Option<SecretSource>,
}

/// The field values of the command line.
pub struct FieldInput {
    /// The fields by name.
    pub fields: Map<String, Value>,
    /// The token endpoint's response.
    pub token_response: Option<SecretString>,
    /// The arguments of `--set`, to be parsed by the kinds of the model's fields.
    settings: Vec<(String, String)>,
}

impl FieldArgs {
    /// Reads the files, stdin and prompts that the options name. `own` are the fields of the command's own
    /// options.
    pub fn read(self, own: Vec<(&'static str, Option<Value>)>) -> Result<FieldInput, AppError> {
        let settings: Vec<(String, String)> = self
            .set
            .iter()
            .map(|set| parse_setting(set))
            .collect::<Result<_, _>>()?;
        self.check_stdin()?;

        let mut input = FieldCollector::default();
        if let Some(source) = &self.fields {
            input.fields = source.read_object("a JSON object of fields")?;
            input.named = input.fields.keys().cloned().collect();
        }
        for (field, value) in own {
            input.put(field, value)?;
        }
        if let Some(number) = self.account_number {
            // Administrators see a bare UUID. The plugin interprets every other value.
            let field = match uuid::Uuid::try_parse(&number) {
                Ok(_) => "account_number_external",
                Err(_) => "account_number",
            };
            input.put(field, Some(number.into()))?;
        }
        input.put("account_email", self.account_email.map(Value::from))?;
        input.put("webex_contact_center", self.contact_center.map(Value::from))?;
        input.put("base_url_setting", self.region.map(Value::from))?;
        let shadow = self
            .shadow
            .map(|name| serde_json::json!([{ "name": name }]));
        input.put("shadow", shadow)?;
        input.put("dirsync_enabled", self.dirsync.map(Value::from))?;
        input.put("email_domain", self.email_domain.map(Value::from))?;
        let behaviour = self.calling_behaviour.map(Value::from);
        input.put("default_calling_behaviour", behaviour)?;
        for (field, source) in [
            ("http_proxy", self.http_proxy_file),
            ("https_proxy", self.https_proxy_file),
        ] {
            let proxy = match source {
                Some(source) => Some(source.read_line(&format!("the field {field}"))?),
                None => None,
            };
            input.put(field, proxy.map(|proxy| Value::from(proxy.expose_secret())))?;
        }
        let token_response = match &self.tokens {
            Some(source) => Some(source.read_token_response()?),
            None => None,
        };
        for (field, _) in &settings {
            input.claim(field)?;
        }
        Ok(FieldInput {
            fields: input.fields,
            token_response,
            settings,
        })
    }

    fn check_stdin(&self) -> Result<(), AppError> {
        let sources = [
            &self.tokens,
            &self.http_proxy_file,
            &self.https_proxy_file,
            &self.fields,
        ];
        let from_stdin = sources
            .into_iter()
            .filter(|source| **source == Some(SecretSource::Stdin));
        if from_stdin.count() > 1 {
            return Err(
                AppError::usage("`-` is given twice, and there is one stdin").hint(
                    "`--fields -` takes everything in one JSON object, tokens and proxies too",
                ),
            );
        }
        Ok(())
    }
}

impl FieldInput {
    /// Returns all fields. Values of `--set` are parsed by the field kinds of `model`.
    pub fn into_fields(mut self, model: &Model) -> Result<Map<String, Value>, AppError> {
        for (name, text) in self.settings {
            let field = model.fields.iter().find(|field| field.name == name);
            if field.is_some_and(|field| field.password) {
                return Err(secret_argument_error(&name));
            }
            let value = match field.map(|field| field.kind) {
                Some(FieldKind::Boolean) => match text.as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => {
                        return Err(AppError::usage(format!(
                            "--set {name}: expected true or false, found {text:?}"
                        )));
                    }
                },
                Some(FieldKind::Objects) => serde_json::from_str(&text).map_err(|error| {
                    AppError::usage(format!("--set {name}: expected a JSON list: {error}"))
                        .hint(format!("--set '{name}=[{{\"name\": \"…\"}}]'"))
                })?,
                _ => Value::String(text),
            };
            self.fields.insert(name, value);
        }
        Ok(self.fields)
    }

    /// Returns whether no option gave a value.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.settings.is_empty() && self.token_response.is_none()
    }

    /// Clears the named fields. A field that also has a value is an error.
    pub fn clear(&mut self, fields: Vec<String>) -> Result<(), AppError> {
        for field in fields {
            let set = self.settings.iter().any(|(name, _)| *name == field);
            if set || self.fields.contains_key(&field) {
                return Err(AppError::usage(format!(
                    "the field {field} is both given and cleared"
                )));
            }
            self.fields.insert(field, Value::Null);
        }
        Ok(())
    }
}

#[derive(Default)]
struct FieldCollector {
    fields: Map<String, Value>,
    named: BTreeSet<String>,
}

impl FieldCollector {
    fn put(&mut self, field: &str, value: Option<Value>) -> Result<(), AppError> {
        if let Some(value) = value {
            self.claim(field)?;
            self.fields.insert(field.to_owned(), value);
        }
        Ok(())
    }

    fn claim(&mut self, field: &str) -> Result<(), AppError> {
        if self.named.insert(field.to_owned()) {
            Ok(())
        } else {
            Err(AppError::usage(format!("the field {field} is given twice")))
        }
    }
}

fn parse_setting(argument: &str) -> Result<(String, String), AppError> {
    // Do not quote the text in the error: it may be a misplaced secret.
    let (name, value) = argument
        .split_once('=')
        .ok_or_else(|| AppError::usage("--set takes FIELD=VALUE, and one has no `=`"))?;
    if SECRET_FIELDS.contains(&name) {
        return Err(secret_argument_error(name));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn secret_argument_error(field: &str) -> AppError {
    let hint = match field {
        "http_proxy" => "give it by --http-proxy-file FILE, or - for stdin or a prompt",
        "https_proxy" => "give it by --https-proxy-file FILE, or - for stdin or a prompt",
        _ => "give it by --tokens FILE, or in a JSON object by --fields FILE; - is stdin",
    };
    AppError::usage(format!(
        "--set {field}: a secret must not be an argument, which others on this machine can see"
    ))
    .hint(hint)
}

#[cfg(test)]
mod tests;
