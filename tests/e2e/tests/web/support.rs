//! A client of the API, with a principal of the test's choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relation_app::config::{Config, RedirectAddress};
use relation_app::notices::Notices;
use relation_app::oidc::Provider;
use relation_e2e::world::World;
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use relation_host::types::{Hierarchy, Pkid};
use relation_web::access::{Principal, PrincipalKind, RoleGrant};
use relation_web::{Web, WebOptions};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::documented;

/// The address under which the page is reached.
pub const PUBLIC_URL: &str = "http://127.0.0.1:8400/";

/// A hold on the next commit of a call, and so on the lease of its record.
#[derive(Default)]
pub struct Gate {
    /// Whether the next commit waits.
    pub is_closed: AtomicBool,
    /// A commit waits.
    pub reached: Notify,
    /// The commit may continue.
    pub opened: Notify,
    /// The import that waits in place of the commit.
    pub import: Option<Import>,
}

#[async_trait]
impl Interceptor for Gate {
    async fn before(&self, call: &ImportCall) -> Intervention {
        let import = self.import.unwrap_or(Import::StorageCommit);
        if call.import == import && self.is_closed.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.opened.notified().await;
        }
        Intervention::Proceed
    }
}

/// A client that sends requests to the router of a world's host.
pub struct Client {
    router: Router,
    /// The OpenAPI document, which responses of the API are compared with.
    document: Arc<Value>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Response {
    /// Returns the body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the status, and returns the body as JSON.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }

    /// Returns the fields of an error, in order.
    #[track_caller]
    pub fn error_fields(&self) -> Vec<String> {
        let errors = self.json()["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let fields = errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned());
        fields.collect()
    }
}

/// Creates the notices of a world, whose webhooks may be at these origins.
pub fn notices(world: &World, origins: &[String]) -> Notices {
    let mut config = Config::without_file(world.directory());
    config.web.public_url = Some(PUBLIC_URL.parse().unwrap());
    config.notices.webhook_origins = origins.to_vec();
    let (store, sealer) = (world.host().store(), world.host().sealer());
    Notices::new(&config, Arc::clone(store), Arc::clone(sealer))
}

/// Creates a principal with one role at one node.
pub fn principal(role: &str, node: &str) -> Principal {
    Principal {
        custom_roles: Vec::new(),
        kind: PrincipalKind::User,
        pkid: Pkid::random(),
        name: format!("{role}@{node}"),
        grants: vec![RoleGrant {
            role: role.to_owned(),
            node: node.parse::<Hierarchy>().unwrap(),
        }],
    }
}

impl Client {
    /// Creates a client without a principal.
    pub async fn anonymous(world: &World) -> Self {
        Self::with_options(world, |_| {}).await
    }

    /// Creates a client without a principal, of a page with a log-in at an OpenID provider.
    pub async fn with_provider(world: &World, oidc: Option<Provider>) -> Self {
        Self::with_options(world, |options| options.oidc = oidc).await
    }

    /// Creates a client without a principal, of a page with other options.
    pub async fn with_options(world: &World, change: impl FnOnce(&mut WebOptions)) -> Self {
        let host = world.host().clone();
        let model = host.describe().await.unwrap();
        let redirect = RedirectAddress::parse("http://127.0.0.1:8400/callback").unwrap();
        let mut options = WebOptions::new(PUBLIC_URL.parse().unwrap(), redirect);
        options.notices = Some(notices(world, &[]));
        change(&mut options);
        let router = relation_web::router(Web::new(host, model, options));
        let client = Self {
            router,
            document: Arc::default(),
        };
        let document = client.get("/api/openapi.json").await.expect(200);
        Self {
            document: Arc::new(document),
            ..client
        }
    }

    /// Returns a client of the same router with a principal.
    pub fn with(&self, principal: Principal) -> Self {
        Self {
            router: self.router.clone().layer(Extension(Arc::new(principal))),
            document: Arc::clone(&self.document),
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: Request<Body>) -> Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let response = Response {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        };
        if path.starts_with("/api/") && self.document.is_object() {
            documented::check(&self.document, &method, &path, &response);
        }
        response
    }

    /// Sends a request without a body.
    pub async fn get(&self, path: impl AsRef<str>) -> Response {
        let request = Request::get(path.as_ref()).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Sends a request with JSON.
    pub async fn json(&self, method: Method, path: &str, body: &Value) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// Adds a record, and returns its pkid and the transaction.
    pub async fn add(&self, node: &str, name: &str) -> (String, String) {
        let path = format!("/api/relation/SparkCustomer/?hierarchy={node}");
        let added = self
            .json(Method::POST, &path, &json!({ "name": name }))
            .await;
        let added = added.expect(201);
        let text = |name: &str| added[name].as_str().unwrap().to_owned();
        (text("pkid"), text("transaction_id"))
    }
}

/// Sends a form.
pub async fn post(client: &Client, path: &str, fields: &[(&str, &str)]) -> Response {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = fields.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let request =
        Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    client
        .send(request.body(Body::from(pairs.join("&"))).unwrap())
        .await
}

/// Returns the address of a redirect.
#[track_caller]
pub fn location(response: &Response) -> String {
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{response:?}");
    response.headers[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}
