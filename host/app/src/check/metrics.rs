//! Checks the section `[metrics]`. Its problems are warnings: they stop no refresh.

use super::CheckFinding;
use crate::client_secret::is_open_to_others;
use crate::{Installation, quote_for_shell, secret_text};

const CHECK: &str = "metrics";

/// The name of the token in messages.
pub const METRICS_TOKEN: &str = "the token of the metrics";

/// Checks the address and the token. Without an address, there is no finding.
pub(super) fn check(installation: &Installation) -> Vec<CheckFinding> {
    let config = &installation.config.metrics;
    let Some(listen) = config.listen else {
        return Vec::new();
    };
    let Some(file) = &config.token_file else {
        if listen.ip().is_loopback() {
            return vec![CheckFinding::ok(CHECK, format!("shown at {listen}"))];
        }
        return vec![CheckFinding::warning(
            CHECK,
            format!("everybody who reaches {listen} can read the metrics"),
            "set metrics.token-file, or a loopback address in metrics.listen",
        )];
    };
    if let Err(error) = secret_text::read_line_of_file(file, METRICS_TOKEN) {
        let hint = "write a token to the file, such as from `openssl rand -hex 32`";
        return vec![CheckFinding::warning(CHECK, error.to_string(), hint)];
    }
    if is_open_to_others(file) {
        return vec![CheckFinding::warning(
            CHECK,
            "others on this machine can read the token of the metrics",
            format!("chmod 600 {}", quote_for_shell(&file.to_string_lossy())),
        )];
    }
    let message = format!("shown at {listen}, with a token");
    vec![CheckFinding::ok(CHECK, message)]
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
    fn open_address_and_unreadable_token_are_warnings() {
        let mut installation = Installation {
            config: Config::without_file(Path::new("")),
            clock: Arc::new(SystemClock::new()),
            plugin: PluginFile {
                file: None,
                embedded: None,
            },
        };
        assert!(check(&installation).is_empty());
        for (listen, token, level) in [
            ("127.0.0.1:9464", None, FindingLevel::Ok),
            ("0.0.0.0:9464", None, FindingLevel::Warning),
            (
                "0.0.0.0:9464",
                Some("does/not/exist"),
                FindingLevel::Warning,
            ),
        ] {
            installation.config.metrics.listen = listen.parse().ok();
            installation.config.metrics.token_file = token.map(Into::into);
            let findings = check(&installation);
            assert_eq!(findings[0].finding.level, level, "{listen}");
        }
    }
}
