//! Checks an installation: configuration, plugin, store, key, stash, egress and, on request, Webex.

use std::path::Path;

use relation_host::egress::Policy;
use relation_host::reports::{Finding, FindingLevel};
use relation_host::store::seal::Sealer;
use relation_host::store::stash;

use crate::stash_contents::StashContents;
use crate::{AppError, Installation};

/// The plugin's name of the setting for the base address of Webex.
const BASE_URL: &str = "webex.base-url";
/// The number of bytes written to find out whether a disk has room.
const PROBE_BYTES: usize = 64 << 10;

/// Checks the parts of an installation, and with `ask_webex` also the integration at Webex. Waiting entries of the
/// stash are applied when Webex is asked, as by every command that opens the host.
pub async fn check(installation: &Installation, ask_webex: bool) -> Vec<Finding> {
    let mut findings = vec![
        check_plugin(installation).await,
        check_client(installation),
        check_store(installation).await,
        check_stash(installation),
    ];
    findings.extend(check_egress(installation).await);
    if ask_webex {
        findings.extend(check_webex(installation).await);
    }
    findings
}

/// Returns the finding for a configuration that cannot be used.
pub fn configuration_error(error: AppError) -> Finding {
    from_error("configuration", error)
}

fn ok(check: &str, message: impl Into<String>) -> Finding {
    Finding {
        check: check.to_owned(),
        level: FindingLevel::Ok,
        message: message.into(),
        hint: String::new(),
    }
}

fn problem(
    check: &str,
    level: FindingLevel,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        level,
        hint: hint.into(),
        ..ok(check, message)
    }
}

/// Returns the finding for an error of an operation.
pub fn from_error(check: &str, error: AppError) -> Finding {
    let hint = error.hint.clone();
    let hint = hint.unwrap_or_else(|| "correct what the finding names, and check again".to_owned());
    let message = error.to_string();
    problem(check, FindingLevel::Error, message, hint)
}

/// Loads the plugin and lets it check its settings.
async fn check_plugin(installation: &Installation) -> Finding {
    let checked = async {
        let host = installation.plugin_host().await?;
        let name = host.plugin().name().to_owned();
        installation.check_settings(host).await?;
        Ok(name)
    };
    match checked.await {
        Ok(name) => ok("plugin", format!("{name} accepts the settings")),
        Err(error) => from_error("plugin", error),
    }
}

/// Checks that a client id and a readable client secret are configured.
fn check_client(installation: &Installation) -> Finding {
    let config = &installation.config;
    let hint = "copy both from the integration's page at Webex to webex.client-id and to the file that \
                webex.client-secret-file names";
    if !config.settings.contains_key("webex.client-id") {
        let message = "webex.client-id is not configured, so no tokens can be requested";
        return problem("client", FindingLevel::Error, message, hint);
    }
    match installation.read_client_secret() {
        Ok(Some(_)) => ok("client", "client id and client secret are configured"),
        Ok(None) => {
            let message =
                "webex.client-secret-file is not configured, so no tokens can be requested";
            problem("client", FindingLevel::Error, message, hint)
        }
        Err(error) => from_error("client", error),
    }
}

/// Opens the store and its keys, and checks that its disk has room.
async fn check_store(installation: &Installation) -> Finding {
    let config = &installation.config;
    if let Some(file) = config.store.file().filter(|file| file.exists())
        && let Err(error) = probe(directory_of(file))
    {
        return problem(
            "store",
            FindingLevel::Error,
            format!("cannot write a file beside {}: {error}", file.display()),
            "make room on the disk, and let the user of `relation-host run` write there",
        );
    }
    let opened = async {
        let store = installation.store_with_keys().await?;
        Sealer::open(store.as_ref(), config.key.clone(), installation.now()).await?;
        Ok::<_, AppError>(())
    };
    if let Err(error) = opened.await {
        return from_error("store", error);
    }
    ok(
        "store",
        "the store opens with its key, and its disk has room",
    )
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Writes and removes a file.
fn probe(directory: &Path) -> std::io::Result<()> {
    let file = directory.join(format!(".relation-check-{}", std::process::id()));
    let written = std::fs::write(&file, vec![0x5a; PROBE_BYTES])
        .and_then(|()| std::fs::File::open(&file)?.sync_all());
    let removed = std::fs::remove_file(&file);
    written.and(removed)
}

fn check_stash(installation: &Installation) -> Finding {
    let config = &installation.config;
    let directory = config.stash_directory();
    let contents = match StashContents::read(&directory) {
        Ok(contents) => contents,
        Err(error) => {
            let hint = "the user of `relation-host run` must be able to read and write it";
            return problem("stash", FindingLevel::Error, error.to_string(), hint);
        }
    };
    if let Some((message, hint)) = contents.problems().next() {
        return problem("stash", FindingLevel::Warning, message, hint);
    }
    if stash::reserve_bytes(&directory) < config.stash_reserve {
        return problem(
            "stash",
            FindingLevel::Warning,
            "no disk space is reserved yet: while the disk is full, a response may be lost",
            "`relation-host run` reserves it at its start",
        );
    }
    ok(
        "stash",
        "the stash is empty, and its disk space is reserved",
    )
}

/// Checks that the allow-list has the base address.
async fn check_egress(installation: &Installation) -> Vec<Finding> {
    let config = &installation.config;
    let hint = "add the address's origin to egress.allow";
    if config.egress.allow.is_empty() {
        let message = "egress.allow is empty, so Webex cannot be reached";
        return vec![problem("egress", FindingLevel::Error, message, hint)];
    }
    let policy = match Policy::parse(&config.egress.allow) {
        Ok(policy) => policy,
        Err(error) => {
            return vec![problem(
                "egress",
                FindingLevel::Error,
                error.to_string(),
                hint,
            )];
        }
    };
    // The finding about the plugin has the reason if the base address is unknown or cannot be parsed.
    let Some(base_url) = base_url(installation).await else {
        return Vec::new();
    };
    let Ok(uri) = base_url.parse() else {
        return Vec::new();
    };
    vec![match policy.check_target(&uri) {
        Ok(_) => ok("egress", format!("egress.allow has {base_url}")),
        Err(denial) => problem(
            "egress",
            FindingLevel::Error,
            format!("{BASE_URL} is {base_url}: {denial}"),
            hint,
        ),
    }]
}

/// Returns the base address in effect: the configured one, or the plugin's default.
async fn base_url(installation: &Installation) -> Option<String> {
    if let Some(configured) = installation.config.settings.get(BASE_URL) {
        return Some(configured.clone());
    }
    let host = installation.plugin_host().await.ok()?;
    let mut settings = host.describe().await.ok()?.settings.into_iter();
    settings.find(|setting| setting.key == BASE_URL)?.default
}

async fn check_webex(installation: &Installation) -> Vec<Finding> {
    let asked = async {
        let host = installation.unchecked_host().await?;
        Ok::<_, AppError>(host.check_integration().await?)
    };
    match asked.await {
        Ok(findings) => findings,
        Err(error) => vec![from_error("webex", error)],
    }
}
