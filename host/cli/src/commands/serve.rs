//! `serve`: serves the REST API and the page, and runs due wakeups.

use std::net::SocketAddr;

use relation_app::config::RedirectAddress;
use relation_app::{AppError, ErrorKind, check, upgrade_check};
use relation_web::{Server, Web, WebOptions};
use serde_json::json;
use url::Url;

use super::run;
use crate::Context;
use crate::shutdown::Shutdown;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The page is for administrators, the API below /api/ for programs; docs/api.md describes it. Both need a log-in or an
API key. Other machines are served only with TLS (web.tls-certificate, web.tls-key) or behind a proxy that encrypts
(web.trusted-proxies).

The command runs due wakeups too, like `relation-host run`. Several hosts may serve one store.")]
pub struct Args {
    /// The address to listen on, in place of the configured one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Do not run due wakeups: another process does
    #[arg(long)]
    no_dispatch: bool,
}

/// Serves until stopped.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    // Before anything else, so that a signal during the start is not lost.
    let shutdown = Shutdown::listen()?;
    let installation = &context.installation;
    let mut config = installation.config.web.clone();
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    config.check_encryption()?;
    let server = Server::bind(config.listen, config.tls.as_ref())?;
    config.listen = server.address()?;
    let public_url = config.public_url()?;
    let host = installation
        .host_from(installation.open_parts().await?)
        .await?;
    check::warn_at_start(installation);
    let redirect = match &installation.config.redirect {
        Some(redirect) => redirect.clone(),
        None => callback_address(&public_url)?,
    };
    let options = WebOptions {
        session_idle: config.session_idle,
        session_lifetime: config.session_lifetime,
        consent_link_lifetime: config.consent_link_lifetime,
        trusted_proxies: config.trusted_proxies.clone(),
        shutdown: shutdown.token().clone(),
        ..WebOptions::new(public_url.clone(), redirect)
    };
    let model = host.describe().await?;
    let web = Web::new(host.clone(), model, options);
    let event = json!({ "event": "listening", "url": public_url, "address": config.listen });
    context
        .output
        .line(&event, |_| format!("serving {public_url}"))?;
    let serving = server.run(relation_web::router(web), shutdown.token().clone());
    let dispatching = async {
        if args.no_dispatch {
            return;
        }
        let dispatcher = host.dispatcher(run::dispatcher_options(context, None));
        tokio::join!(
            dispatcher.run(shutdown.wait()),
            upgrade_check::run(&host, &installation.config, shutdown.token())
        );
    };
    let (served, ()) = tokio::join!(
        async {
            let served = serving.await;
            // Without a server, nobody can stop the dispatcher.
            shutdown.token().cancel();
            served
        },
        dispatching
    );
    served
}

/// Returns the callback below the public address.
pub(super) fn callback_address(public_url: &Url) -> Result<RedirectAddress, AppError> {
    let callback = public_url.join("callback");
    let callback = callback.map_err(|error| error.to_string());
    callback
        .and_then(|url| RedirectAddress::parse(url.as_str()))
        .map_err(|error| {
            let message = format!("web.public-url cannot be redirected to by Webex: it {error}");
            AppError::new(ErrorKind::Problem, message)
        })
}
