//! The page for administrators, rendered by the server.
//!
//! Every page works without JavaScript; one module adds count-downs, live progress and comfort in forms. Forms come
//! from the model and the actions that the plugin describes, so a new field needs no change here.

mod action_form;
mod actions;
mod alerts;
mod assets;
mod audit;
mod bulk;
mod callback;
mod calls;
mod connect;
mod consent;
mod data;
mod demo;
mod edit;
mod form;
mod grants;
mod keys;
mod layer;
mod links;
mod live;
mod needs;
mod oidc;
mod organization;
mod organizations;
mod parts;
mod roles;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod session;
mod shared;
mod texts;
mod transaction_changes;
mod transactions;
mod ui;
mod users;

pub(crate) use self::live::Live;

use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use self::texts::Language;
use self::ui::{LANGUAGE_COOKIE, Ui};
use crate::access::refuse_cross_site;
use crate::{Web, WebError};

/// Returns the routes of the page.
pub(crate) fn routes(web: &Web) -> Router<Web> {
    let demo_routes = match web.options().demo {
        Some(_) => demo::routes(),
        None => Router::new(),
    };
    Router::new()
        .route("/", get(needs::show))
        .route("/organizations", get(organizations::list))
        .route("/organizations/new", get(edit::show_new).post(edit::add))
        .route("/organizations/refresh", post(bulk::refresh))
        .route("/organizations/delete", post(bulk::delete))
        .route("/organizations/{pkid}", get(organization::show))
        .route(
            "/organizations/{pkid}/edit",
            get(edit::show).post(edit::modify),
        )
        .route("/organizations/{pkid}/delete", post(actions::delete))
        .route(
            "/organizations/{pkid}/connect",
            get(connect::show).post(connect::begin),
        )
        .route(
            "/organizations/{pkid}/actions/{action}",
            get(actions::show).post(actions::run),
        )
        .route("/organizations/{pkid}/data", get(data::list))
        .route("/organizations/{pkid}/connect-link", post(consent::create))
        .route("/consent/{token}", get(consent::show).post(consent::begin))
        .route("/callback", get(callback::complete))
        .route("/transactions", get(transactions::list))
        .route("/transactions/{id}", get(transactions::show))
        .route("/transactions/{id}/progress", get(transactions::progress))
        .route("/transactions/{id}/support", get(transactions::support))
        .route(
            "/transactions/{id}/replay",
            post(transaction_changes::replay),
        )
        .route(
            "/transactions/{id}/cancel",
            post(transaction_changes::cancel),
        )
        .route("/events", get(live::events))
        .route("/alerts", get(alerts::list))
        .route("/login", get(session::show_log_in).post(session::log_in))
        .route("/login/oidc", post(oidc::begin))
        .route("/login/oidc/callback", get(oidc::complete))
        .route("/logout", post(session::log_out))
        .route("/session", get(session::keep_alive))
        .route(
            "/set-up/{token}",
            get(session::show_set_up).post(session::set_up),
        )
        .route("/users", get(users::list))
        .route("/users/new", get(users::show_new).post(users::add))
        .route("/users/{pkid}", get(users::show))
        .route("/users/{pkid}/grants", post(users::set_grants))
        .route("/users/{pkid}/link", post(users::create_link))
        .route("/users/{pkid}/disable", post(users::disable))
        .route("/users/{pkid}/enable", post(users::enable))
        .route("/roles", get(roles::list))
        .route("/roles/new", get(roles::show_new).post(roles::add))
        .route("/roles/{pkid}", get(roles::show))
        .route("/roles/{pkid}/operations", post(roles::set_operations))
        .route("/roles/{pkid}/delete", post(roles::delete))
        .route("/keys", get(keys::list))
        .route("/keys/new", get(keys::show_new).post(keys::add))
        .route("/keys/{pkid}/rotate", post(keys::rotate))
        .route("/keys/{pkid}/revoke", post(keys::revoke))
        .route("/audit", get(audit::list))
        .route("/language/{code}", get(choose_language))
        .merge(demo_routes)
        .fallback(fallback)
        .layer(from_fn_with_state(web.clone(), refuse_cross_site))
        .layer(from_fn_with_state(web.clone(), layer::finish))
        .route("/assets/{name}", get(assets::get))
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// Stores the language in a cookie and returns to the page.
async fn choose_language(
    Path(code): Path<String>,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let language = Language::from_code(&code).ok_or_else(WebError::not_found)?;
    let cookie = format!(
        "{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax",
        language.code()
    );
    let redirect = Redirect::to(links::local(&query.next));
    Ok(([(header::SET_COOKIE, cookie)], redirect).into_response())
}

/// Completes a consent at the redirect address, if its path is not `/callback`. Every other address is not found.
async fn fallback(
    state: State<Web>,
    ui: Ui,
    uri: Uri,
    query: RawQuery,
) -> Result<Response, WebError> {
    let redirect = url::Url::parse(state.options().redirect.as_str()).ok();
    match redirect.is_some_and(|redirect| redirect.path() == uri.path()) {
        true => callback::complete(state, ui, query).await,
        false => Err(WebError::not_found()),
    }
}
