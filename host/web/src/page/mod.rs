//! The page for administrators, rendered by the server.
//!
//! Every page works without JavaScript; one module adds count-downs, live progress and conveniences in forms. Forms come
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
mod deliveries;
mod demo;
mod edit;
mod form;
mod grants;
mod keys;
mod layer;
mod links;
mod live;
mod needs;
mod notice_form;
mod notice_preview;
mod notice_recipient_form;
mod notice_recipients;
mod notice_secrets;
mod notice_words;
mod notices;
mod oidc;
mod organization;
mod organizations;
mod parts;
mod query;
mod roles;
mod route;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod session;
mod shared;
mod texts;
mod transaction_changes;
mod transaction_support;
mod transactions;
mod ui;
mod users;

pub(crate) use self::live::Live;
pub use self::route::PageRoute;

use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

use self::texts::Language;
use self::ui::{LANGUAGE_COOKIE, Ui};
use crate::access::{ClientAddress, refuse_cross_site};
use crate::{Web, WebError};

/// Returns the routes of the page.
pub(crate) fn routes(web: &Web) -> Router<Web> {
    let is_demo = web.options().demo.is_some();
    let routes = PageRoute::ALL.iter();
    let routes = routes.filter(|route| is_demo || !route.is_demo());
    routes
        .fold(Router::new(), |router, route| {
            router.route(route.path(), route.handler())
        })
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
    client: ClientAddress,
    uri: Uri,
    query: RawQuery,
) -> Result<Response, WebError> {
    let redirect = url::Url::parse(state.options().redirect.as_str()).ok();
    match redirect.is_some_and(|redirect| redirect.path() == uri.path()) {
        true => callback::complete(state, ui, client, query).await,
        false => Err(WebError::not_found()),
    }
}
