//! Checks where traces are sent. An unreadable file is a warning: it stops no refresh.

use relation_host::egress::{Origin, Scheme};

use super::CheckFinding;
use crate::client_secret::is_open_to_others;
use crate::traces::{TracesHeaders, TracesTarget, traces_target};
use crate::{AppError, Installation, quote_for_shell};

const CHECK: &str = "traces";

/// Checks the address and the header fields. Without an address, there is no finding.
pub(super) fn check(installation: &Installation) -> Vec<CheckFinding> {
    let target = match traces_target(&installation.config) {
        Ok(Some(target)) => target,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![CheckFinding::from_error(CHECK, error)],
    };
    let finding = check_target(&target);
    vec![finding.unwrap_or_else(|error| CheckFinding::from_error(CHECK, error))]
}

fn check_target(target: &TracesTarget) -> Result<CheckFinding, AppError> {
    target.client()?;
    let origin = target.endpoint.origin().ascii_serialization();
    if let Err(error) = target.headers.read() {
        let hint = "write `Name: value` on each line of the file";
        return Ok(CheckFinding::warning(CHECK, error.to_string(), hint));
    }
    if let TracesHeaders::File(file) = &target.headers
        && is_open_to_others(file)
    {
        return Ok(CheckFinding::warning(
            CHECK,
            "others on this machine can read the header fields for the collector of traces",
            format!("chmod 600 {}", quote_for_shell(&file.to_string_lossy())),
        ));
    }
    let has_headers = !matches!(target.headers, TracesHeaders::None);
    if has_headers && Origin::from_uri(&target.uri()?).is_ok_and(|origin| is_open(&origin)) {
        return Ok(CheckFinding::warning(
            CHECK,
            format!(
                "the header fields for the collector of traces are sent to {origin} without TLS"
            ),
            "use an https address, or a collector on this machine",
        ));
    }
    let percent = target.sample * 100.0;
    let message = format!("the spans of {percent} % of the calls are sent to {origin}");
    Ok(CheckFinding::ok(CHECK, message))
}

/// Returns whether others in the network can read requests to this origin.
fn is_open(origin: &Origin) -> bool {
    let is_loopback = origin
        .literal()
        .is_some_and(|address| address.is_loopback());
    origin.scheme() == Scheme::Http && !is_loopback && origin.host().to_string() != "localhost"
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use relation_host::clock::SystemClock;
    use relation_host::reports::FindingLevel;

    use super::*;
    use crate::PluginFile;
    use crate::config::Config;

    #[test]
    fn unreadable_or_unprotected_header_fields_are_warnings() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("headers");
        std::fs::write(&file, "Authorization: Bearer canary\n").unwrap();
        let mut installation = Installation {
            config: Config::without_file(Path::new("")),
            clock: Arc::new(SystemClock::new()),
            plugin: PluginFile {
                file: None,
                embedded: None,
            },
        };
        let mut check_with = |endpoint: &str, headers: Option<&Path>| {
            let traces = &mut installation.config.traces;
            traces.endpoint = endpoint.parse().ok();
            traces.headers_file = headers.map(Into::into);
            let findings = check(&installation);
            let message = findings[0].finding.message.clone();
            assert!(!message.contains("canary"), "{message}");
            findings[0].finding.level
        };
        assert_eq!(check_with("http://127.0.0.1:4318", None), FindingLevel::Ok);
        let missing = Path::new("does/not/exist");
        assert_eq!(
            check_with("http://127.0.0.1:4318", Some(missing)),
            FindingLevel::Warning
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&file, private).unwrap();
        }
        assert_eq!(
            check_with("http://collector.example.com:4318", Some(&file)),
            FindingLevel::Warning
        );
        assert_eq!(
            check_with("https://collector.example.com:4318", Some(&file)),
            FindingLevel::Ok
        );
    }
}
