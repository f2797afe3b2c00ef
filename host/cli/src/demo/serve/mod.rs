//! `demo --serve`: the administrators' page on an emulated Webex, with organizations in every state.

mod customers;
mod seed;
mod time;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::clock::{Clock as _, SystemClock};
use relation_host::types::Timestamp;
use relation_web::access::users::{self, NewUser};
use relation_web::access::{AccessParts, Authority, RoleGrant};
use relation_web::{Demo, Server, Web, WebOptions};
use serde_json::json;
use url::Url;

use self::customers::{CUSTOMERS, HISTORY, RESELLERS, USER};
use self::time::DemoTime;
use super::environment::{Environment, Setup, days};
use crate::GlobalArgs;
use crate::commands::serve::{callback_address, run_housekeeping};
use crate::output::Output;
use crate::shutdown::Shutdown;
use crate::streams::stderr;

/// A time that no visitor reaches, so that advancing the clock ends no session.
const SESSION_LIFETIME: Duration = days(36_500);
/// The thresholds of expiry alerts, in days. In the last of them, an organization expires soon.
const THRESHOLDS: [u64; 3] = [30, 14, 7];

/// Serves the demo until stopped.
pub async fn run(listen: Option<SocketAddr>, global: &GlobalArgs) -> Result<(), AppError> {
    // Before anything else, so that a signal removes the directory.
    let shutdown = Shutdown::listen()?;
    let server = Server::bind(check_address(listen)?, None)?;
    let address = server.address()?;
    let public_url = to_url(address)?;
    stderr::note(&format!(
        "preparing {} organizations on an emulated Webex …",
        CUSTOMERS.len()
    ));
    let prepared = tokio::select! {
        prepared = prepare(global, &public_url) => Some(prepared?),
        () = shutdown.wait() => None,
    };
    let Some(environment) = prepared else {
        return Ok(());
    };

    let (time, moves) = DemoTime::new();
    let demo = Demo::new(Arc::new(time), USER)?;
    let log_in = demo.log_in_url(&public_url);
    let options = WebOptions {
        session_idle: SESSION_LIFETIME,
        session_lifetime: SESSION_LIFETIME,
        shutdown: shutdown.token().clone(),
        demo: Some(demo),
        notices: Some(environment.notices.clone()),
        ..WebOptions::new(public_url.clone(), callback_address(&public_url)?)
    };
    let host = environment.host.clone();
    let model = host.describe().await?;
    let web = Web::new(host, model, options);
    add_users(web.access()).await?;

    let output = Output { json: global.json };
    let event = json!({
        "event": "listening",
        "url": log_in,
        "address": address,
        "webex": environment.webex.base_url(),
        "organizations": CUSTOMERS.len(),
    });
    output.line(&event, |_| {
        format!(
            "open {log_in}\nThe address logs you in as a provider administrator. Ctrl-C stops the demo, and removes \
             everything."
        )
    })?;
    let parts = web.access().clone();
    let serving = server.run(relation_web::router(web), shutdown.token().clone());
    let (served, (), ()) = tokio::join!(
        async {
            let served = serving.await;
            shutdown.token().cancel();
            served
        },
        time::run(&environment, moves, shutdown.token()),
        run_housekeeping(parts, shutdown.token().clone()),
    );
    served
}

/// Returns the address to listen on. Browsers must also reach the emulated Webex, which listens on the loopback only.
fn check_address(listen: Option<SocketAddr>) -> Result<SocketAddr, AppError> {
    let address = listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
    match address.ip().is_loopback() {
        true => Ok(address),
        false => {
            let message = format!("the demo cannot listen on {address}: it has no encryption");
            let hint = "name an address of this machine alone, such as 127.0.0.1:8400";
            Err(AppError::new(ErrorKind::Problem, message).hint(hint))
        }
    }
}

fn to_url(address: SocketAddr) -> Result<Url, AppError> {
    let url = Url::parse(&format!("http://{address}/"));
    url.map_err(|error| AppError::new(ErrorKind::Failed, error.to_string()))
}

/// Starts the host and Webex in the past, and runs the history of the customers up to the present.
async fn prepare(global: &GlobalArgs, public_url: &Url) -> Result<Environment, AppError> {
    let now = SystemClock::new().now();
    let redirect = callback_address(public_url)?.as_str().to_owned();
    let setup = Setup {
        notices: true,
        at: before(now, HISTORY),
        redirect: redirect.clone(),
        thresholds: &THRESHOLDS,
    };
    let environment = Environment::start(global, &setup).await?;
    seed::run(&environment, &redirect, now).await?;
    Ok(environment)
}

/// Returns the time some days before another.
fn before(now: Timestamp, count: u64) -> Timestamp {
    let span = days(count).as_millis();
    Timestamp(
        now.0
            .saturating_sub(u64::try_from(span).unwrap_or(u64::MAX)),
    )
}

/// Adds the users: the visitor, and one for each other role, who have no password yet.
async fn add_users(parts: &AccessParts) -> Result<(), AppError> {
    let node = |reseller: &str| format!("sys.Provider.{reseller}");
    let mut all = vec![
        (USER.to_owned(), "provider-administrator", "sys".to_owned()),
        (
            "otto.operator".to_owned(),
            "operator",
            "sys.Provider".to_owned(),
        ),
        ("aida.auditor".to_owned(), "auditor", "sys".to_owned()),
    ];
    for reseller in RESELLERS {
        let name = format!("admin@{}.example", reseller.to_lowercase());
        all.push((name, "reseller-administrator", node(reseller)));
    }
    for (name, role, node) in all {
        let hierarchy = seed::parse_node(&node)?;
        let grant = RoleGrant {
            role: role.to_owned(),
            node: hierarchy.clone(),
        };
        let user = NewUser {
            name,
            hierarchy,
            grants: vec![grant],
            language: None,
        };
        let added = users::add(parts, &Authority::Operator, user).await;
        added.map_err(|error| error.error)?;
    }
    Ok(())
}
