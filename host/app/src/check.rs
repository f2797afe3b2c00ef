//! Checks an installation: configuration, plugin, store, key, stash, egress and, on request, Webex.

mod metrics;
mod notices;
mod oidc;
mod store;
mod traces;

use std::path::Path;

pub use self::metrics::METRICS_TOKEN;

use relation_host::egress::Policy;
use relation_host::reports::{Finding, FindingLevel};
use relation_host::store::stash;
use serde::Serialize;

pub(crate) use self::store::check_key;
use crate::config::{DEFAULT_BASE_URL, DEFAULT_FILE};
use crate::stash_contents::StashContents;
use crate::{AppError, ClientSecretFile, ErrorKind, Installation};

/// The plugin's name of the setting for the base address of Webex.
const BASE_URL: &str = "webex.base-url";
/// The plugin's name of the setting for the addresses of Contact Center's API, each after its region.
pub(crate) const CONTACT_CENTER_URLS: &str = "webex.contact-center-urls";
/// The end of the base address of Webex's API.
const API_VERSION: &str = "/v1";
/// The name of a check, also in the plugin's findings. Its errors mean that Webex could not be asked.
const WEBEX: &str = "webex";

/// A finding with the kind of its error, which decides the exit code of a command.
#[derive(Clone, Debug, Serialize)]
pub struct CheckFinding {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// The kind of the error; `None` if the level is not [`FindingLevel::Error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ErrorKind>,
}

impl CheckFinding {
    fn new(
        check: &str,
        level: FindingLevel,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let finding = Finding {
            check: check.to_owned(),
            level,
            message: message.into(),
            hint: hint.into(),
        };
        Self::with_kind(finding, ErrorKind::Problem)
    }

    /// Creates the finding that a check passed.
    pub fn ok(check: &str, message: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Ok, message, "")
    }

    /// Creates the finding of a problem that does not stop anything.
    pub fn warning(check: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Warning, message, hint)
    }

    pub(crate) fn error(check: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(check, FindingLevel::Error, message, hint)
    }

    /// Creates the finding for an error of an operation.
    pub fn from_error(check: &str, error: AppError) -> Self {
        let kind = error.kind;
        let message = error.to_string();
        let hint = error.hint;
        let hint =
            hint.unwrap_or_else(|| "correct what the finding names, and check again".to_owned());
        let Self { finding, .. } = Self::error(check, message, hint);
        Self::with_kind(finding, kind)
    }

    fn with_kind(finding: Finding, kind: ErrorKind) -> Self {
        let kind = (finding.level == FindingLevel::Error).then_some(kind);
        Self { finding, kind }
    }

    /// Returns the error of a finding of level [`FindingLevel::Error`].
    pub fn to_error(&self) -> Option<AppError> {
        let error = AppError::new(self.kind?, self.finding.message.clone());
        Some(error.hint(self.finding.hint.clone()))
    }

    /// Refuses a finding of level [`FindingLevel::Error`].
    ///
    /// # Errors
    /// The error of the finding.
    pub fn to_result(&self) -> Result<(), AppError> {
        self.to_error().map_or(Ok(()), Err)
    }

    /// Logs the finding as a warning, unless the check passed.
    pub fn log(&self) {
        let Finding {
            check,
            level,
            message,
            hint,
        } = &self.finding;
        if *level != FindingLevel::Ok {
            tracing::warn!(check, hint = %hint, "{message}");
        }
    }
}

/// Checks the parts of an installation, and with `ask_webex` also the integration at Webex, if the parts have no error.
/// Without a configuration and a store, their absence is the only finding. Waiting entries of the stash are applied when
/// Webex is asked, as by every command that opens the host.
pub async fn check(installation: &Installation, ask_webex: bool) -> Vec<CheckFinding> {
    let configuration = check_configuration(installation);
    if configuration.kind.is_some() {
        return vec![configuration];
    }
    let mut findings = vec![configuration, check_plugin(installation).await];
    findings.extend(store::check(installation).await);
    findings.push(check_stash(installation));
    findings.extend(check_prerequisites(installation));
    findings.extend(check_contact_center(installation));
    findings.extend(oidc::check(installation, ask_webex).await);
    findings.extend(notices::check(installation).await);
    findings.extend(metrics::check(installation));
    findings.extend(traces::check(installation));
    // Webex cannot be asked without the store, its key and the allow-list, and their errors are found already.
    let has_errors = findings.iter().any(|finding| finding.kind.is_some());
    match (ask_webex, has_errors) {
        // The plugin checks the base address too.
        (true, false) => findings.extend(check_webex(installation).await),
        (false, _) => findings.push(check_base_url(installation)),
        (true, true) => {
            findings.push(check_base_url(installation));
            findings.push(CheckFinding::warning(
                WEBEX,
                "Webex was not asked",
                "correct the errors above, and check again",
            ));
        }
    }
    findings
}

/// Checks the prerequisites of every request for tokens: client id, client secret, and the allow-list. Reads only the
/// configuration and the file of the client secret.
pub fn check_prerequisites(installation: &Installation) -> Vec<CheckFinding> {
    vec![check_client(installation), check_egress(installation)]
}

/// Refuses an installation that can request no tokens.
///
/// # Errors
/// The first error of [`check_prerequisites`].
pub fn require_prerequisites(installation: &Installation) -> Result<(), AppError> {
    let findings = check_prerequisites(installation);
    findings.iter().try_for_each(CheckFinding::to_result)
}

/// Logs a warning for each local problem of an installation whose host is open. The plugin, the store and its key are
/// then known to work.
pub fn warn_at_start(installation: &Installation) {
    let findings = [
        check_configuration(installation),
        store::check_disk(installation),
        check_base_url(installation),
    ];
    let findings = findings
        .into_iter()
        .chain(check_prerequisites(installation))
        .chain(check_contact_center(installation))
        .chain(oidc::check_secret(installation))
        .chain(notices::check_channels(installation))
        .chain(metrics::check(installation));
    findings.for_each(|finding| finding.log());
}

/// Returns the finding for a configuration that cannot be used.
pub fn configuration_error(error: AppError) -> CheckFinding {
    CheckFinding::from_error("configuration", error)
}

/// Names the configuration file that was read. Without one, the store must be elsewhere, or exist already.
fn check_configuration(installation: &Installation) -> CheckFinding {
    match &installation.config.file {
        Some(file) => CheckFinding::ok("configuration", format!("{} was read", file.display())),
        None => {
            let directory = std::env::current_dir().unwrap_or_default();
            let message = format!("there is no {DEFAULT_FILE} in {}", directory.display());
            let hint = installation.missing_hint();
            // A database was named on purpose.
            let file = installation.config.store.file();
            match file.is_none_or(Path::exists) {
                true => {
                    let message = format!("{message}, so only defaults apply");
                    CheckFinding::warning("configuration", message, hint)
                }
                false => {
                    let error = AppError::new(ErrorKind::NotFound, message);
                    CheckFinding::from_error("configuration", error.hint(hint))
                }
            }
        }
    }
}

/// Loads the plugin and lets it check its settings.
async fn check_plugin(installation: &Installation) -> CheckFinding {
    let checked = async {
        let host = installation.plugin_host().await?;
        let name = host.plugin().name().to_owned();
        installation.check_settings(host).await?;
        Ok(name)
    };
    match checked.await {
        Ok(name) => CheckFinding::ok("plugin", format!("{name} accepts the settings")),
        Err(error) => CheckFinding::from_error("plugin", error),
    }
}

/// Checks that a client id and a readable client secret are configured.
pub fn check_client(installation: &Installation) -> CheckFinding {
    let mut problems = Vec::new();
    let mut hints = Vec::new();
    if !installation.config.settings.contains_key("webex.client-id") {
        problems.push("webex.client-id is not configured".to_owned());
        hints.push(
            "copy the client id from the integration's page at Webex to webex.client-id".to_owned(),
        );
    }
    let secret = installation.client_secret();
    match secret.as_ref().map(ClientSecretFile::check) {
        Some(Ok(())) => {}
        None => {
            problems.push("webex.client-secret-file is not configured".to_owned());
            hints.push(
                "copy the client secret from the integration's page at Webex to a file, and name it as \
                 webex.client-secret-file"
                    .to_owned(),
            );
        }
        Some(Err(error)) => {
            problems.push(error.to_string());
            hints.extend(error.hint);
        }
    }
    if !problems.is_empty() {
        let message = format!("no tokens can be requested: {}", problems.join("; "));
        return CheckFinding::error("client", message, hints.join("; "));
    }
    match secret.and_then(|file| file.exposure()) {
        Some((message, hint)) => CheckFinding::warning("client", message, hint),
        None => CheckFinding::ok("client", "client id and client secret are configured"),
    }
}

fn check_stash(installation: &Installation) -> CheckFinding {
    let config = &installation.config;
    let directory = config.stash_directory();
    let contents = match StashContents::read(&directory) {
        Ok(contents) => contents,
        Err(error) => {
            let hint = "the user of `relation-host run` must be able to read and write it";
            return CheckFinding::error("stash", error.to_string(), hint);
        }
    };
    if let Some((message, hint)) = contents.problems().next() {
        return CheckFinding::warning("stash", message, hint);
    }
    if stash::reserve_bytes(&directory) < config.stash_reserve {
        return CheckFinding::warning(
            "stash",
            "no disk space is reserved yet: while the disk is full, a response may be lost",
            "`relation-host run` reserves it at its start",
        );
    }
    CheckFinding::ok(
        "stash",
        "the stash is empty, and its disk space is reserved",
    )
}

/// Checks that the base address looks like the one of Webex's API. Other addresses may work, behind a gateway.
pub(crate) fn check_base_url(installation: &Installation) -> CheckFinding {
    let base_url = base_url(installation).trim_end_matches('/');
    match base_url.ends_with(API_VERSION) {
        true => CheckFinding::ok(
            "base-url",
            format!("{base_url} ends with {API_VERSION}, as the address of Webex's API does"),
        ),
        false => CheckFinding::warning(
            "base-url",
            format!(
                "{BASE_URL} is {base_url}, which does not end with {API_VERSION}, as the address of Webex's API does"
            ),
            format!("correct {BASE_URL}; Webex's own is {DEFAULT_BASE_URL}"),
        ),
    }
}

fn base_url(installation: &Installation) -> &str {
    let base_url = installation.config.settings.get(BASE_URL);
    base_url.map_or(DEFAULT_BASE_URL, String::as_str)
}

/// Checks that the allow-list has the base address, below which is the token endpoint.
pub fn check_egress(installation: &Installation) -> CheckFinding {
    let config = &installation.config;
    let base_url = base_url(installation);
    let hint = match url::Url::parse(base_url) {
        Ok(url) => format!(
            "add {:?} to egress.allow",
            url.origin().ascii_serialization()
        ),
        Err(_) => format!("correct {BASE_URL}"),
    };
    if config.egress.allow.is_empty() {
        let message = "egress.allow is empty, so Webex cannot be reached";
        return CheckFinding::error("egress", message, hint);
    }
    let policy = match Policy::parse(&config.egress.allow) {
        Ok(policy) => policy,
        Err(error) => return CheckFinding::error("egress", error.to_string(), hint),
    };
    match find_denial(&policy, base_url) {
        None => CheckFinding::ok("egress", format!("egress.allow has {base_url}")),
        Some(denial) => CheckFinding::error(
            "egress",
            format!("{BASE_URL} is {base_url}: {denial}"),
            hint,
        ),
    }
}

/// Checks that the allow-list has the configured addresses of Contact Center's API. Without them, only the import of its
/// sites fails. `None` if no address is configured, or [`check_egress`] refuses the allow-list.
fn check_contact_center(installation: &Installation) -> Option<CheckFinding> {
    const CHECK: &str = "contact-center";
    let config = &installation.config;
    let urls = config.settings.get(CONTACT_CENTER_URLS)?;
    let policy = Policy::parse(&config.egress.allow).ok()?;
    let mut denials = Vec::new();
    let mut missing = Vec::new();
    for (region, url) in urls
        .split_whitespace()
        .filter_map(|each| each.split_once('='))
    {
        if let Some(denial) = find_denial(&policy, url) {
            denials.push(format!("{region} is {url}: {denial}"));
            let origin = url::Url::parse(url).map(|url| url.origin().ascii_serialization());
            missing.push(format!("{:?}", origin.unwrap_or_else(|_| url.to_owned())));
        }
    }
    if denials.is_empty() {
        let message = format!("egress.allow has the addresses in {CONTACT_CENTER_URLS}");
        return Some(CheckFinding::ok(CHECK, message));
    }
    Some(CheckFinding::warning(
        CHECK,
        format!("{CONTACT_CENTER_URLS}: {}", denials.join("; ")),
        format!(
            "add {} to egress.allow; without it, Contact Center's sites cannot be imported",
            missing.join(" and ")
        ),
    ))
}

/// Returns why `policy` denies requests to `url`.
fn find_denial(policy: &Policy, url: &str) -> Option<String> {
    match url.parse() {
        Ok(uri) => policy
            .check_target(&uri)
            .err()
            .map(|denial| denial.to_string()),
        Err(_) => Some("not a valid URL".to_owned()),
    }
}

/// Asks Webex about the integration.
async fn check_webex(installation: &Installation) -> Vec<CheckFinding> {
    let asked = async {
        let host = installation.unchecked_host().await?;
        Ok::<_, AppError>(host.check_integration().await?)
    };
    let with_kind = |finding: Finding| {
        let kind = match finding.check.as_str() {
            WEBEX => ErrorKind::Unavailable,
            _ => ErrorKind::Problem,
        };
        CheckFinding::with_kind(finding, kind)
    };
    match asked.await {
        Ok(findings) => findings.into_iter().map(with_kind).collect(),
        Err(error) => vec![CheckFinding::from_error(WEBEX, error)],
    }
}
