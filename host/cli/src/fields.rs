//! Fields on the command line: what the options, `--set` and a file say together.

use std::collections::BTreeSet;

use relation_host::reports::{FieldKind, Model};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::failure::Failed;
use super::secrets::Source;

/// Fields that hold secrets or may: proxy strings carry passwords. They are refused as arguments
/// whatever the plugin says of them.
const SECRET: [&str; 6] = [
    "token",
    "token_repeat",
    "refresh_token",
    "refresh_token_repeat",
    "http_proxy",
    "https_proxy",
];

/// The options that give fields, for `add` and `modify`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fields")]
pub struct FieldArgs {
    /// The organisation: the UUID that Control Hub shows under Account, or Webex's own id
    #[arg(long, value_name = "ID")]
    account_number: Option<String>,
    /// The e-mail address of the administrator's account; informational
    #[arg(long, value_name = "ADDRESS")]
    account_email: Option<String>,
    /// The customer uses Webex Contact Center; needs --region
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    contact_center: Option<bool>,
    /// The Contact Center region, such as US or EU
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The name of the customer's shadow
    #[arg(long, value_name = "NAME")]
    shadow: Option<String>,
    /// Users come from a directory: their identity fields are read-only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dirsync: Option<bool>,
    /// The organisation's e-mail domain
    #[arg(long, value_name = "DOMAIN")]
    email_domain: Option<String>,
    /// The organisation's default calling behaviour
    #[arg(long, value_name = "BEHAVIOUR")]
    calling_behaviour: Option<String>,
    /// The token endpoint's JSON answer, from a file or, as -, from stdin or a prompt
    #[arg(long, value_name = "FILE|-")]
    tokens: Option<Source>,
    /// The proxy for http, http(s)://[user:password]@host:port/, from a file, stdin or a prompt
    #[arg(long, value_name = "FILE|-")]
    http_proxy_file: Option<Source>,
    /// The proxy for https, in the same way
    #[arg(long, value_name = "FILE|-")]
    https_proxy_file: Option<Source>,
    /// Any field of `describe` that holds no secret; can be repeated
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// One JSON object of fields, secrets among them, from a file or stdin
    #[arg(long, value_name = "FILE|-")]
    fields: Option<Source>,
}

/// What the options say.
pub struct Given {
    /// The fields by name.
    pub fields: Map<String, Value>,
    /// The token endpoint's answer.
    pub token_response: Option<SecretString>,
    /// `--set`, still to be read by the kinds of the model's fields.
    settings: Vec<(String, String)>,
}

impl FieldArgs {
    /// Reads the files, stdin and prompts that the options name. `own` are fields that the command
    /// has options of its own for.
    pub fn read(self, own: Vec<(&'static str, Option<Value>)>) -> Result<Given, Failed> {
        let settings: Vec<(String, String)> = self
            .set
            .iter()
            .map(|set| setting(set))
            .collect::<Result<_, _>>()?;
        self.check_stdin()?;

        let mut given = Collected::default();
        if let Some(source) = &self.fields {
            given.fields = source.read_object("a JSON object of fields")?;
            given.named = given.fields.keys().cloned().collect();
        }
        for (field, value) in own {
            given.put(field, value)?;
        }
        if let Some(number) = self.account_number {
            // A bare UUID is what administrators see; everything else is left to the plugin.
            let field = match uuid::Uuid::try_parse(&number) {
                Ok(_) => "account_number_external",
                Err(_) => "account_number",
            };
            given.put(field, Some(number.into()))?;
        }
        given.put("account_email", self.account_email.map(Value::from))?;
        given.put("webex_contact_center", self.contact_center.map(Value::from))?;
        given.put("base_url_setting", self.region.map(Value::from))?;
        let shadow = self
            .shadow
            .map(|name| serde_json::json!([{ "name": name }]));
        given.put("shadow", shadow)?;
        given.put("dirsync_enabled", self.dirsync.map(Value::from))?;
        given.put("email_domain", self.email_domain.map(Value::from))?;
        let behaviour = self.calling_behaviour.map(Value::from);
        given.put("default_calling_behaviour", behaviour)?;
        for (field, source) in [
            ("http_proxy", self.http_proxy_file),
            ("https_proxy", self.https_proxy_file),
        ] {
            let proxy = match source {
                Some(source) => Some(source.read_line(&format!("the field {field}"))?),
                None => None,
            };
            given.put(field, proxy.map(|proxy| Value::from(proxy.expose_secret())))?;
        }
        let token_response = match &self.tokens {
            Some(source) => Some(source.read_token_response()?),
            None => None,
        };
        for (field, _) in &settings {
            given.name(field)?;
        }
        Ok(Given {
            fields: given.fields,
            token_response,
            settings,
        })
    }

    fn check_stdin(&self) -> Result<(), Failed> {
        let sources = [
            &self.tokens,
            &self.http_proxy_file,
            &self.https_proxy_file,
            &self.fields,
        ];
        let from_stdin = sources
            .into_iter()
            .filter(|source| **source == Some(Source::Stdin));
        if from_stdin.count() > 1 {
            return Err(Failed::usage("`-` is given twice, and there is one stdin")
                .hint("`--fields -` takes everything in one JSON object, tokens and proxies too"));
        }
        Ok(())
    }
}

impl Given {
    /// All fields; the values of `--set` become what `model` says their fields take.
    pub fn into_fields(mut self, model: &Model) -> Result<Map<String, Value>, Failed> {
        for (name, text) in self.settings {
            let field = model.fields.iter().find(|field| field.name == name);
            if field.is_some_and(|field| field.password) {
                return Err(secret(&name));
            }
            let value = match field.map(|field| field.kind) {
                Some(FieldKind::Boolean) => match text.as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => {
                        return Err(Failed::usage(format!(
                            "--set {name}: expected true or false, found {text:?}"
                        )));
                    }
                },
                Some(FieldKind::Objects) => serde_json::from_str(&text).map_err(|error| {
                    Failed::usage(format!("--set {name}: expected a JSON list: {error}"))
                        .hint(format!("--set '{name}=[{{\"name\": \"…\"}}]'"))
                })?,
                _ => Value::String(text),
            };
            self.fields.insert(name, value);
        }
        Ok(self.fields)
    }

    /// Whether nothing was given at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.settings.is_empty() && self.token_response.is_none()
    }

    /// Clears these fields, which must not be given a value besides.
    pub fn clear(&mut self, fields: Vec<String>) -> Result<(), Failed> {
        for field in fields {
            let set = self.settings.iter().any(|(name, _)| *name == field);
            if set || self.fields.contains_key(&field) {
                return Err(Failed::usage(format!(
                    "the field {field} is both given and cleared"
                )));
            }
            self.fields.insert(field, Value::Null);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Collected {
    fields: Map<String, Value>,
    named: BTreeSet<String>,
}

impl Collected {
    fn put(&mut self, field: &str, value: Option<Value>) -> Result<(), Failed> {
        if let Some(value) = value {
            self.name(field)?;
            self.fields.insert(field.to_owned(), value);
        }
        Ok(())
    }

    fn name(&mut self, field: &str) -> Result<(), Failed> {
        if self.named.insert(field.to_owned()) {
            Ok(())
        } else {
            Err(Failed::usage(format!("the field {field} is given twice")))
        }
    }
}

fn setting(argument: &str) -> Result<(String, String), Failed> {
    // The text is not quoted in the error: it may be a secret in the wrong place.
    let (name, value) = argument
        .split_once('=')
        .ok_or_else(|| Failed::usage("--set takes FIELD=VALUE, and one has no `=`"))?;
    if SECRET.contains(&name) {
        return Err(secret(name));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn secret(field: &str) -> Failed {
    let hint = match field {
        "http_proxy" => "give it by --http-proxy-file FILE, or - for stdin or a prompt",
        "https_proxy" => "give it by --https-proxy-file FILE, or - for stdin or a prompt",
        _ => "give it by --tokens FILE, or in a JSON object by --fields FILE; - is stdin",
    };
    Failed::usage(format!(
        "--set {field}: a secret must not be an argument, which others on this machine can see"
    ))
    .hint(hint)
}

#[cfg(test)]
mod tests;
