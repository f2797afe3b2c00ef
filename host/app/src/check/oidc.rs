//! Checks the OpenID provider, if one is configured. Its problems are warnings: passwords work without it.

use super::CheckFinding;
use crate::config::OidcConfig;
use crate::oidc::Provider;
use crate::{AppError, Installation};

const CHECK: &str = "oidc";

/// Checks the client secret and, with `ask_provider`, that the provider can be reached and used.
pub(super) async fn check(installation: &Installation, ask_provider: bool) -> Option<CheckFinding> {
    let config = installation.config.web.oidc.as_ref()?;
    let problem = check_secret(installation);
    if problem.is_some() || !ask_provider {
        return Some(problem.unwrap_or_else(|| {
            CheckFinding::ok(CHECK, format!("{} is configured", config.issuer))
        }));
    }
    Some(match ask(installation, config).await {
        Ok(()) => CheckFinding::ok(CHECK, format!("{} can be used to log in", config.issuer)),
        Err(message) => CheckFinding::warning(
            CHECK,
            format!("nobody can log in at {}: {message}", config.issuer),
            "correct the section web.oidc or the provider; local users log in with their passwords",
        ),
    })
}

async fn ask(installation: &Installation, config: &OidcConfig) -> Result<(), String> {
    let extra_ca = installation.config.egress.extra_ca.clone();
    let provider = Provider::new(config.clone(), extra_ca);
    let provider = provider.map_err(|error: AppError| error.message)?;
    provider.check().await.map_err(|error| error.to_string())
}

/// Returns the warning about a client secret that cannot be read.
pub(super) fn check_secret(installation: &Installation) -> Option<CheckFinding> {
    let config = installation.config.web.oidc.as_ref()?;
    let error = config.client_secret.read().err()?;
    let hint = "copy the client secret from the provider to the file; local users log in with their passwords";
    Some(CheckFinding::warning(CHECK, error.message, hint))
}
