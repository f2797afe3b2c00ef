//! `init`: makes the configuration, the key and the store of a new installation.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use relation_app::config::{
    Config, DEFAULT_BASE_URL, DEFAULT_FILE, DEFAULT_REDIRECT, KeySource, NewConfig,
    RedirectAddress, check_base_url, check_client_id, find_installation_above,
};
use relation_app::{
    AppError, ErrorKind, StoreUrl, check_client_secret, quote_for_shell, secret_text,
};
use relation_host::reports::Model;
use relation_host::store::{create_private_file, parent_directory};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::Url;

use crate::invocation::complete;
use crate::output::{Output, escape_control_chars};
use crate::secrets::{SecretSource, prompt_optional_line};
use crate::table::{Column, Table};
use crate::{GlobalArgs, context};

const SECRET: &str = "the integration's client secret";

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Makes only what is missing: the configuration (relation.toml, or the file of --config), the file with the client
secret, the key and the store. A file that exists is never changed, so the command can be repeated; an empty file for
the client secret counts as missing. All other commands need an existing store.

Below the directory of an installation, a new one is made only with --config, such as --config relation.toml.

The options become part of a new configuration. If the file exists and has another value, the command fails.")]
pub struct Args {
    /// The root of the Webex API, such as that of an emulator [default: https://webexapis.com/v1]
    #[arg(long, value_name = "URL", value_parser = check_base_url)]
    base_url: Option<Url>,
    /// The client id of the integration at Webex
    #[arg(long, value_name = "ID", value_parser = check_client_id)]
    client_id: Option<String>,
    /// The integration's client secret, from a file or, as -, from stdin or a prompt; it is copied to the file
    /// that the configuration names [default: a prompt, at a terminal]
    #[arg(long, value_name = "FILE|-")]
    client_secret: Option<SecretSource>,
    /// The redirect address after a consent [default: http://127.0.0.1:8400/callback]
    #[arg(long, value_name = "URL", value_parser = RedirectAddress::parse)]
    redirect: Option<RedirectAddress>,
}

/// A setting that an option gives: its key, the given value, and the value of the configuration.
type GivenSetting<'a> = (&'static str, Option<&'a str>, Option<&'a str>);

/// The files that `init` has made, and the next steps.
#[derive(Serialize)]
struct InitReport {
    files: Vec<FileReport>,
    redirect: String,
    scopes: Vec<ScopeReport>,
    /// The settings that a person must add before a customer can be connected.
    missing: Vec<String>,
    /// The commands that connect the first customer.
    next: Vec<String>,
}

/// A file of the installation.
#[derive(Serialize)]
struct FileReport {
    kind: &'static str,
    name: String,
    state: FileState,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum FileState {
    Made,
    Existing,
    Missing,
}

impl FileState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Existing => "was there already",
            Self::Missing => "missing",
        }
    }
}

impl From<bool> for FileState {
    fn from(is_made: bool) -> Self {
        match is_made {
            true => Self::Made,
            false => Self::Existing,
        }
    }
}

/// The scopes of a setting.
#[derive(Serialize)]
struct ScopeReport {
    setting: String,
    scopes: String,
}

/// The file with the client secret.
struct SecretFile {
    path: PathBuf,
    state: FileState,
    /// The content to write.
    secret: Option<SecretString>,
}

/// Makes what is missing, and prints what was made and what comes next.
pub async fn run(args: Args, global: &GlobalArgs) -> Result<(), AppError> {
    let output = Output { json: global.json };
    let file = global.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    refuse_nested(global, file)?;
    // Everything that can be refused is read and checked before the first file is made.
    let (config, text) = match file.exists() {
        true => {
            let config = context::load_config(global)?;
            args.refuse_changes(&config, file)?;
            (config, None)
        }
        false => {
            let new = args.new_config(global, file)?;
            (new.parse(file)?, Some(new.render()))
        }
    };
    let secret = args.read_secret(&config, output)?;
    let installation = context::installation(global, config);
    let model = installation.plugin_host().await?.describe().await?;

    let mut files = Vec::new();
    let mut report = |kind, name: String, state| files.push(FileReport { kind, name, state });
    if let Some(text) = &text {
        create(file, "the configuration", text)?;
    }
    report(
        "configuration",
        file.display().to_string(),
        text.is_some().into(),
    );
    if let Some(SecretFile {
        path,
        state,
        secret,
    }) = &secret
    {
        if let Some(secret) = secret {
            if path.exists() {
                remove_blank(path)?;
            }
            let line = zeroize::Zeroizing::new(format!("{}\n", secret.expose_secret()));
            create(path, SECRET, &line)?;
        }
        report("client secret", path.display().to_string(), *state);
    }
    let created = installation.create_store().await?;
    let config = &installation.config;
    let key = match &config.key {
        KeySource::File(path) => path.display().to_string(),
        other => other.to_string(),
    };
    report("key", key, created.key.into());
    report("store", config.store.to_string(), created.store.into());

    let report = InitReport {
        files,
        redirect: redirect(config).to_owned(),
        scopes: scopes(config, &model),
        missing: missing(config, file, secret.as_ref())
            .iter()
            .map(|missing| complete(missing).into_owned())
            .collect(),
        next: next(global, text.is_some()),
    };
    output.print(&report, render_text)
}

/// Refuses to create an installation below another one, unless --config names the new configuration. The user
/// probably means the existing installation.
fn refuse_nested(global: &GlobalArgs, file: &Path) -> Result<(), AppError> {
    if global.config.is_some() || file.exists() {
        return Ok(());
    }
    match find_installation_above() {
        None => Ok(()),
        Some(directory) => Err(AppError::usage(format!(
            "an installation exists above this directory, in {}",
            directory.display()
        ))
        .hint(format!(
            "run the command there; `relation-host init --config {DEFAULT_FILE}` makes another installation here"
        ))),
    }
}

impl Args {
    /// Returns the configuration to write.
    fn new_config(&self, global: &GlobalArgs, file: &Path) -> Result<NewConfig, AppError> {
        let store = global.store.as_deref();
        Ok(NewConfig {
            store: store.map(|store| store_for(store, file)).transpose()?,
            base_url: self.base_url.clone(),
            client_id: self.client_id.clone(),
            redirect: self
                .redirect
                .as_ref()
                .map(|redirect| redirect.as_str().to_owned()),
        })
    }

    /// Refuses options that differ from the existing configuration.
    fn refuse_changes(&self, config: &Config, file: &Path) -> Result<(), AppError> {
        let setting = |key: &str| config.settings.get(key).map(String::as_str);
        let base_url = self.base_url.as_ref().map(Url::as_str);
        let wanted = [
            (
                "webex.base-url",
                base_url.map(|url| url.trim_end_matches('/')),
                setting("webex.base-url").or(Some(DEFAULT_BASE_URL)),
            ),
            (
                "webex.client-id",
                self.client_id.as_deref(),
                setting("webex.client-id"),
            ),
            (
                "connect.redirect",
                self.redirect.as_ref().map(RedirectAddress::as_str),
                Some(redirect(config)),
            ),
        ];
        let differing = wanted
            .into_iter()
            .filter(|(_, wanted, found)| wanted.is_some() && wanted != found);
        let (absent, differing): (Vec<GivenSetting<'_>>, Vec<GivenSetting<'_>>) =
            differing.partition(|(.., found)| found.is_none());
        if differing.is_empty() && absent.is_empty() {
            return Ok(());
        }
        let mut message = format!(
            "the configuration {} exists, is never changed,",
            file.display()
        );
        for (verb, settings) in [("has no", &absent), ("has another", &differing)] {
            if !settings.is_empty() {
                let keys: Vec<&str> = settings.iter().map(|(key, ..)| *key).collect();
                message.push_str(&format!(" and {verb} {}", keys.join(", ")));
            }
        }
        let lines = absent.iter().filter_map(|(key, wanted, _)| {
            let (section, key) = key.split_once('.')?;
            Some(format!(
                "add the line {key} = {:?} below [{section}]",
                (*wanted)?
            ))
        });
        let change = "edit the file, or leave the options out".to_owned();
        let change = (!differing.is_empty()).then_some(change);
        let hints: Vec<String> = lines.chain(change).collect();
        Err(AppError::usage(message).hint(hints.join("; ")))
    }

    /// Reads the client secret if its file is missing. Returns `None` if the configuration names no file.
    fn read_secret(&self, config: &Config, output: Output) -> Result<Option<SecretFile>, AppError> {
        let given = self.client_secret.as_ref();
        let Some(path) = config.client_secret_file.clone() else {
            return match given {
                None => Ok(None),
                Some(_) => Err(AppError::usage(
                    "the configuration has no webex.client-secret-file for the client secret",
                )
                .hint("add the line client-secret-file = \"client-secret\" below [webex]")),
            };
        };
        let given = given.map(|source| source.read_line(SECRET)).transpose();
        let given = given.map_err(|error| {
            error.or_hint(
                "--client-secret takes the secret alone, on one line; without the option, write the secret later",
            )
        })?;
        if path.exists() && !is_blank(&path) {
            if let Some(given) = given {
                let found = secret_text::read_line_of_file(&path, SECRET)?;
                if found.expose_secret() != given.expose_secret() {
                    return Err(AppError::usage(format!(
                        "the file {} exists, is never changed, and has another client secret",
                        path.display()
                    ))
                    .hint(
                        "write the new secret to the file yourself, or leave --client-secret out",
                    ));
                }
            }
            return Ok(Some(SecretFile {
                path,
                state: FileState::Existing,
                secret: None,
            }));
        }
        let is_typed = given.is_none() && io::stdin().is_terminal() && !output.json;
        let secret = match is_typed {
            true => prompt_optional_line(SECRET)?,
            false => given,
        };
        if let Some(secret) = &secret {
            let source: &dyn std::fmt::Display = match &self.client_secret {
                Some(source) => source,
                None => &"the typed text",
            };
            check_client_secret(secret, SECRET, source)?;
        }
        Ok(Some(SecretFile {
            path,
            state: match secret {
                Some(_) => FileState::Made,
                None => FileState::Missing,
            },
            secret,
        }))
    }
}

/// Returns the URL of `store` for a configuration in `file`, to which relative paths are relative.
fn store_for(store: &str, file: &Path) -> Result<String, AppError> {
    let url = context::parse_store(store, "--store", Path::new(""))?;
    if parent_directory(file) == Path::new(".") {
        return Ok(store.to_owned());
    }
    let here = std::env::current_dir().unwrap_or_default();
    Ok(StoreUrl::parse(store, &here).unwrap_or(url).to_string())
}

/// Returns whether a file holds only white space. Such a file counts as missing.
fn is_blank(path: &Path) -> bool {
    secret_text::read_file(path).is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

fn remove_blank(path: &Path) -> Result<(), AppError> {
    std::fs::remove_file(path).map_err(|error| {
        let path = path.display();
        AppError::new(
            ErrorKind::Failed,
            format!("cannot replace the empty file {path} for {SECRET}: {error}"),
        )
    })
}

fn create(path: &Path, what: &str, content: &str) -> Result<(), AppError> {
    create_private_file(path, content.as_bytes()).map_err(|error| {
        let path = path.display();
        let failed = AppError::new(
            ErrorKind::Failed,
            format!("cannot write {what} to {path}: {error}"),
        );
        match error.kind() {
            io::ErrorKind::NotFound => failed.hint("create the directory, or name another file"),
            _ => failed,
        }
    })
}

fn redirect(config: &Config) -> &str {
    let redirect = config.redirect.as_ref();
    redirect.map_or(DEFAULT_REDIRECT, RedirectAddress::as_str)
}

fn scopes(config: &Config, model: &Model) -> Vec<ScopeReport> {
    let settings = model.settings.iter();
    let settings = settings.filter(|setting| setting.key.ends_with("scopes"));
    let scopes = settings.map(|setting| ScopeReport {
        setting: setting.key.clone(),
        scopes: config
            .settings
            .get(&setting.key)
            .or(setting.default.as_ref())
            .cloned()
            .unwrap_or_default(),
    });
    scopes.collect()
}

/// Names what a person must add before a customer can be connected.
fn missing(config: &Config, file: &Path, secret: Option<&SecretFile>) -> Vec<String> {
    let mut missing = Vec::new();
    let file = file.display();
    if !config.settings.contains_key("webex.client-id") {
        missing.push(format!("set webex.client-id in {file}"));
    }
    match secret {
        None => missing.push(format!("set webex.client-secret-file in {file}")),
        Some(SecretFile {
            path,
            state: FileState::Missing,
            ..
        }) => missing.push(format!(
            "write the integration's client secret to {}, or run `relation-host init --client-secret -`",
            path.display()
        )),
        Some(_) => {}
    }
    if config.egress.allow.is_empty() {
        missing.push(format!("set egress.allow in {file}"));
    }
    missing
}

/// Returns the commands that connect the first customer and keep it connected.
fn next(global: &GlobalArgs, is_new: bool) -> Vec<String> {
    let mut host = "relation-host".to_owned();
    let config = global.config.as_deref().map(|file| file.to_string_lossy());
    // A new configuration names the store of --store itself.
    let store = global.store.as_deref().filter(|_| !is_new);
    for (option, value) in [("--config", config.as_deref()), ("--store", store)] {
        if let Some(value) = value {
            host.push_str(&format!(" {option} {}", quote_for_shell(value)));
        }
    }
    vec![
        format!("{host} check --webex"),
        format!("{host} add --hierarchy sys.Provider.Reseller.Contoso --name Contoso"),
        format!("{host} connect Contoso"),
        format!("{host} run"),
    ]
}

fn render_text(report: &InitReport) -> String {
    let mut files = Table::with_columns(&[
        Column::new("file"),
        Column::new("name"),
        Column::new("state"),
    ]);
    for file in &report.files {
        files.add([file.kind, &file.name, file.state.as_str()]);
    }
    let mut text = format!(
        "{files}\n\nRegister for the integration at https://developer.webex.com/my-apps:\n  redirect address: {}",
        report.redirect
    );
    for ScopeReport { setting, scopes } in &report.scopes {
        let customers = match setting.as_str() {
            "webex.contact-center-scopes" => " (for Contact Center customers only)",
            "webex.wholesale-customers-scopes" | "webex.wholesale-users-scopes" => {
                " (for wholesale customers only)"
            }
            _ => "",
        };
        let scopes = escape_control_chars(scopes);
        text.push_str(&format!("\n  {setting}{customers}: {scopes}"));
    }
    if !report.missing.is_empty() {
        text.push_str("\n\nMissing:");
    }
    for missing in &report.missing {
        text.push_str(&format!("\n  {}", escape_control_chars(missing)));
    }
    text.push_str("\n\nNext:");
    for command in &report.next {
        text.push_str(&format!("\n  {}", escape_control_chars(command)));
    }
    text
}
