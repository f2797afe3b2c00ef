//! `/api/data/ApiCallbackAuth/`: credentials of callbacks. No response has a secret.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::input::Input;
use super::{parse_pkid, resolve_node, with_location};
use crate::WebError;
use crate::access::callback_auth::{self, CallbackAuth, CallbackAuthInput};
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, permission};

type Administer = Allowed<permission::Administer>;
type Read = Allowed<permission::Read>;

const PATH: &str = "/api/data/ApiCallbackAuth/";

/// Takes the values, and reports all of their errors.
fn read(input: &mut Input) -> CallbackAuthInput {
    let values = CallbackAuthInput {
        name: input.text("name"),
        user_name: input.optional_text("user_name"),
        password: input.optional_secret("password"),
        token: input.optional_secret("token"),
        signing_secret: input.optional_secret("signing_secret"),
    };
    let errors = values.find_errors();
    input.report(errors);
    values
}

pub(super) async fn add(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    mut input: Input,
) -> Result<Response, WebError> {
    let hierarchy = input.node("hierarchy");
    let values = read(&mut input);
    input.finish()?;
    let authority = Authority::Principal(&allowed, address);
    let hierarchy = resolve_node(&parts, &authority, hierarchy).await?;
    let added = callback_auth::add(&parts, &authority, hierarchy, values).await?;
    let headers = with_location(HeaderMap::new(), PATH, &added.pkid);
    Ok((StatusCode::CREATED, headers, Json(added)).into_response())
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Read,
    Path(pkid): Path<String>,
) -> Result<Json<CallbackAuth>, WebError> {
    let found = callback_auth::get(&parts, &allowed, &parse_pkid(&pkid)?).await?;
    Ok(Json(found))
}

pub(super) async fn replace(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
    mut input: Input,
) -> Result<Json<CallbackAuth>, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let pkid = parse_pkid(&pkid)?;
    callback_auth::check(&parts, &authority, &pkid).await?;
    let values = read(&mut input);
    input.finish()?;
    let replaced = callback_auth::replace(&parts, &authority, &pkid, values).await?;
    Ok(Json(replaced))
}

pub(super) async fn delete(
    State(parts): State<AccessParts>,
    allowed: Administer,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<StatusCode, WebError> {
    let authority = Authority::Principal(&allowed, address);
    callback_auth::delete(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
