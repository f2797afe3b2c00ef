//! Checks the store: that it opens with its key, and its disk or its server.

use std::path::Path;

use relation_host::store::seal::Sealer;
use relation_host::store::{Store, parent_directory};
use relation_host::text::format_count;

use super::CheckFinding;
use crate::client_secret::is_open_to_others;
use crate::{AppError, Installation, quote_for_shell};

const STORE: &str = "store";
const KEY: &str = "key";
/// The size of the file that is written to find out whether a disk has room.
const PROBE_BYTES: usize = 64 << 10;

/// Opens the store and its keys, and checks its disk or its server.
pub(super) async fn check(installation: &Installation) -> Vec<CheckFinding> {
    let disk = check_disk(installation);
    if disk.kind.is_some() {
        return vec![disk];
    }
    let store = match installation.store_with_keys().await {
        Ok(store) => store,
        Err(error) => return vec![CheckFinding::from_error(STORE, error)],
    };
    let location = &installation.config.store;
    let message = match location.file() {
        Some(_) => "the store opens, and its disk has room".to_owned(),
        None => format!("the store {location} opens"),
    };
    let mut findings = vec![CheckFinding::ok(STORE, message)];
    match location.check_server().await {
        Ok(server) => findings.extend(server),
        Err(error) => findings.push(CheckFinding::from_error(STORE, error)),
    }
    findings.extend(check_password(installation));
    findings.push(match describe_key(installation, store.as_ref()).await {
        Ok(message) => CheckFinding::ok(KEY, message),
        Err(error) => CheckFinding::from_error(KEY, error),
    });
    findings
}

/// Checks that the configured key opens the store, which must have keys.
pub(crate) async fn check_key(
    installation: &Installation,
    store: &dyn Store,
) -> Result<(), AppError> {
    let key = installation.config.key.clone();
    Sealer::open(store, key, installation.now()).await?;
    Ok(())
}

async fn describe_key(installation: &Installation, store: &dyn Store) -> Result<String, AppError> {
    check_key(installation, store).await?;
    let keys = store.data_keys().await?;
    let count = format_count(keys.len() as u64, "data key", "data keys");
    let wrapped_by = keys.last().map(|key| key.kek_id.as_str());
    Ok(format!(
        "key {} opens {count} of the store",
        wrapped_by.unwrap_or_default()
    ))
}

/// Warns of a password that others can read in the configuration.
fn check_password(installation: &Installation) -> Option<CheckFinding> {
    let config = &installation.config;
    let file = config
        .file
        .as_ref()
        .filter(|_| config.store.has_password())?;
    is_open_to_others(file).then(|| {
        let message = "others on this machine can read the password of the store";
        let file = quote_for_shell(&file.to_string_lossy());
        CheckFinding::warning(STORE, message, format!("chmod 600 {file}"))
    })
}

/// Checks that a file can be written beside the store.
pub(super) fn check_disk(installation: &Installation) -> CheckFinding {
    let file = installation.config.store.file();
    let file = file.filter(|file| file.exists());
    match file.map(|file| (file, probe(parent_directory(file)))) {
        Some((file, Err(error))) => CheckFinding::error(
            STORE,
            format!("cannot write a file beside {}: {error}", file.display()),
            "make room on the disk, and let the user of `relation-host run` write there",
        ),
        _ => CheckFinding::ok(STORE, "the disk of the store has room"),
    }
}

/// Writes and removes a file of [`PROBE_BYTES`].
fn probe(directory: &Path) -> std::io::Result<()> {
    let file = directory.join(format!(".relation-check-{}", std::process::id()));
    let written = std::fs::write(&file, vec![0x5a; PROBE_BYTES])
        .and_then(|()| std::fs::File::open(&file)?.sync_all());
    let removed = std::fs::remove_file(&file);
    written.and(removed)
}
