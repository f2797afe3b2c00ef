//! `serve`: serves the REST API and the page, and runs due wakeups.

use std::net::SocketAddr;
use std::time::Duration;

use relation_app::config::RedirectAddress;
use relation_app::oidc::Provider;
use relation_app::{AppError, ErrorKind, check, upgrade_check};
use relation_web::access::users::OneTimeLink;
use relation_web::access::{self, AccessParts};
use relation_web::{Server, Web, WebError, WebOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{access_parts, run};
use crate::Context;
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;

/// The interval between two removals of ended sessions and links.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(3600);

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
    /// The address of metrics and health, in place of metrics.listen
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
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
    let telemetry = Telemetry::start(context, shutdown.token(), args.metrics)?;
    let mut parts = installation.open_parts().await?;
    telemetry.equip(&mut parts);
    let notices = parts.notices.clone();
    let host = installation.host_from(parts).await?;
    telemetry.attach(&host);
    check::warn_at_start(installation);
    if let Some(finding) = access_parts::check_oidc_roles(installation).await {
        finding.log();
    }
    let redirect = match &installation.config.redirect {
        Some(redirect) => redirect.clone(),
        None => callback_address(&public_url)?,
    };
    let oidc = config.oidc.clone();
    let extra_ca = installation.config.egress.extra_ca.clone();
    let oidc = oidc.map(|oidc| Provider::new(oidc, extra_ca)).transpose()?;
    let closing = CancellationToken::new();
    let options = WebOptions {
        oidc,
        notices: Some(notices),
        session_idle: config.session_idle,
        session_lifetime: config.session_lifetime,
        consent_link_lifetime: config.consent_link_lifetime,
        audit_retention: config.audit_retention,
        requests_per_minute: config.requests_per_minute,
        trusted_proxies: config.trusted_proxies.clone(),
        shutdown: closing.clone(),
        ..WebOptions::new(public_url.clone(), redirect)
    };
    let model = host.describe().await?;
    let web = Web::new(host.clone(), model, options);
    let event = json!({ "event": "listening", "url": public_url, "address": config.listen });
    context
        .output
        .line(&event, |_| format!("serving {public_url}"))?;
    if let Some(link) = first_link(&web).await? {
        let event =
            json!({ "event": "first-administrator", "url": link.url, "expires": link.expires });
        context.output.line(&event, |_| {
            format!(
                "nobody can log in yet: open {} to create the first administrator; the address works once, until {}",
                link.url, link.expires
            )
        })?;
    }
    let housekeeping = run_housekeeping(web.access().clone(), shutdown.token().clone());
    let router = telemetry.observe_router(relation_web::router(web));
    let serving = server.run(router, closing.clone());
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
    let (served, (), (), ()) = tokio::join!(
        async {
            let served = serving.await;
            // Without a server, nobody can stop the dispatcher.
            shutdown.token().cancel();
            closing.cancel();
            served
        },
        drain(&shutdown, config.drain, &closing),
        dispatching,
        housekeeping
    );
    telemetry.close().await;
    served
}

/// Closes the server when a stop was requested, after the time in which load balancers notice that this host is not ready
/// any more.
async fn drain(shutdown: &Shutdown, time: Duration, closing: &CancellationToken) {
    shutdown.wait().await;
    if !time.is_zero() && !closing.is_cancelled() {
        tracing::info!("requests are accepted for {} s more", time.as_secs_f64());
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = closing.cancelled() => {}
        }
    }
    closing.cancel();
}

async fn first_link(web: &Web) -> Result<Option<OneTimeLink>, AppError> {
    let link = access::first_administrator_link(web.access()).await;
    link.map_err(|WebError { error, .. }| error)
}

/// Removes sessions, links and audit events that have ended, once an hour.
pub(crate) async fn run_housekeeping(parts: AccessParts, stop: CancellationToken) {
    loop {
        let removed = tokio::select! {
            removed = access::remove_expired(&parts) => removed,
            () = stop.cancelled() => return,
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "sessions and links that have ended could not be removed");
        }
        let next = parts.clock().now().after(HOUSEKEEPING_INTERVAL);
        tokio::select! {
            () = parts.clock().sleep_until(next) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Returns the callback below the public address.
pub(crate) fn callback_address(public_url: &Url) -> Result<RedirectAddress, AppError> {
    let callback = public_url.join("callback");
    let callback = callback.map_err(|error| error.to_string());
    callback
        .and_then(|url| RedirectAddress::parse(url.as_str()))
        .map_err(|error| {
            let message = format!("Webex cannot redirect a browser to web.public-url: it {error}");
            AppError::new(ErrorKind::Problem, message)
        })
}
