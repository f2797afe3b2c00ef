//! Requests that are not quite right: every route refuses them, and names what is wrong by the names of the document.

mod fields;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use relation_e2e::world::{World, WorldBuilder};
use relation_host::types::Filter;
use serde_json::{Value, json};

use crate::support::{Client, Response, principal};

const RECORDS: &str = "/api/relation/SparkCustomer/";
const UNKNOWN: &str = "0123456789abcdef01234567";

/// A route of the document, with a path that its router accepts.
struct Documented {
    method: Method,
    path: String,
    /// The names of the parameters of the query.
    query: BTreeSet<String>,
    /// Whether a body is required; `None`: there is none.
    body: Option<bool>,
}

impl Documented {
    fn request(&self, query: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(self.method.clone())
            .uri(format!("{}{query}", self.path))
    }

    /// Sends a request with a query, and a body that can be read.
    async fn send(&self, client: &Client, query: &str) -> Response {
        let request = self
            .request(query)
            .header(header::CONTENT_TYPE, "application/json");
        let body = json!({ "hrefs": [UNKNOWN] }).to_string();
        client.send(request.body(Body::from(body)).unwrap()).await
    }
}

fn routes(document: &Value) -> Vec<Documented> {
    let mut routes = Vec::new();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let mut path = template.clone();
            let mut query = BTreeSet::new();
            for parameter in operation["parameters"].as_array().unwrap() {
                let name = parameter["name"].as_str().unwrap();
                if parameter["in"] == "query" {
                    query.insert(name.to_owned());
                }
                let choice = parameter["schema"]["enum"][0].as_str();
                path = path.replace(&format!("{{{name}}}"), choice.unwrap_or(UNKNOWN));
            }
            routes.push(Documented {
                method: method.to_ascii_uppercase().parse().unwrap(),
                path,
                query,
                body: operation["requestBody"]["required"].as_bool(),
            });
        }
    }
    assert!(routes.len() > 45, "{}", routes.len());
    routes
}

async fn world() -> (World, Client, Vec<Documented>) {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let document = client.get("/api/openapi.json").await.expect(200);
    (world, client, routes(&document))
}

#[track_caller]
fn hint(response: &Response) -> String {
    let problem = response.expect(400);
    problem["hint"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_get_the_documented_ones() {
    let (_world, client, routes) = world().await;
    for route in routes {
        let label = format!("{} {}", route.method, route.path);
        let response = route.send(&client, "?zz=1&zz=2").await;
        let hint = hint(&response);
        let fields = response.error_fields();
        assert_eq!(fields.iter().filter(|field| *field == "zz").count(), 1);
        let known = hint.rsplit("the parameters are ").next().unwrap();
        let known: BTreeSet<String> = match hint.contains("takes no parameters") {
            true => BTreeSet::new(),
            false => known.split(", ").map(str::to_owned).collect(),
        };
        assert_eq!(known, route.query, "{label}: {hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_and_repeated_parameters_are_refused() {
    let (_world, client, routes) = world().await;
    for route in routes {
        for name in &route.query {
            for query in [format!("?{name}="), format!("?{name}=1&{name}=1")] {
                let response = route.send(&client, &query).await;
                response.expect(400);
                let fields = response.error_fields();
                assert!(fields.contains(name), "{query}: {response:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_filter_field_gets_the_search_keys() {
    let (world, client, _) = world().await;
    let customer = world.add_customer("Contoso").await;
    for action in ["+SyncRolesLicenses", "+SyncUsers"] {
        let path = format!("{RECORDS}{}/{action}/", customer.pkid);
        client
            .json(Method::POST, &path, &json!({}))
            .await
            .expect(200);
    }
    let document = client.get("/api/openapi.json").await.expect(200);
    let mut seen = BTreeSet::new();
    for place in ["/api/data/", "/api/device/spark/"] {
        let parameters = &document["paths"][format!("{place}{{model}}/")]["get"]["parameters"];
        let model = parameters.as_array().unwrap().iter();
        let mut model = model.filter(|each| each["name"] == "model");
        let models = model.next().unwrap()["schema"]["enum"].as_array().unwrap();
        for model in models {
            let path = format!("{place}{}/", model.as_str().unwrap());
            let refused = client
                .get(format!("{path}?filter_field=zz&filter_text=1"))
                .await;
            let hint = hint(&refused);
            assert_eq!(refused.error_fields(), ["filter_field"]);
            let (_, known) = hint.split_once("search keys ").unwrap();
            let known: Vec<&str> = known.split(", ").collect();
            for key in &known {
                let query = format!("{path}?filter_field={key}&filter_text=1");
                client.get(query).await.expect(200);
            }
            let filter = Filter {
                model: path.trim_matches('/').replacen("api/", "", 1),
                hierarchy: None,
                equals: Vec::new(),
            };
            let page = world.host().store().find(&filter, None, 100).await.unwrap();
            for key in page.items.iter().flat_map(|document| &document.keys) {
                assert!(known.contains(&key.name.as_str()), "{path}: {key:?}");
                seen.insert((filter.model.clone(), key.name.clone()));
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_body_is_refused_where_it_is_required() {
    let (_world, client, routes) = world().await;
    for route in routes.iter().filter(|route| route.body == Some(true)) {
        let request = route.request("").body(Body::empty()).unwrap();
        let response = client.send(request).await;
        let problem = response.expect(400);
        assert_eq!(problem["detail"], "the request has no body");
        assert!(hint(&response).contains("JSON object"), "{problem}");
    }
    let optional = routes.iter().filter(|route| route.body == Some(false));
    let optional: Vec<String> = optional
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(optional.len(), 4, "{optional:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_members_of_a_body_are_refused() {
    let (_world, client, routes) = world().await;
    let text = r#"{"hrefs": ["x"], "a": {"b": [{"canary-1": "canary-2", "canary-1": 3}]}, "hrefs": ["x"]}"#;
    for route in routes.iter().filter(|route| route.body.is_some()) {
        let request = route
            .request("")
            .header(header::CONTENT_TYPE, "application/json");
        let response = client.send(request.body(Body::from(text)).unwrap()).await;
        response.expect(400);
        assert_eq!(response.error_fields(), ["a.b[0].canary-1", "hrefs"]);
        assert!(!response.text.contains("canary-2"), "{}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_headers_are_refused() {
    let (_world, client, _) = world().await;
    let (pkid, _) = client.add("sys.A", "Contoso").await;
    let record = format!("{RECORDS}{pkid}/");
    let add = format!("{RECORDS}?hierarchy=sys.A");
    for (method, path, name, values) in [
        ("POST", &add, "Idempotency-Key", ["order-1", "order-2"]),
        (
            "POST",
            &add,
            "Content-Type",
            ["application/json", "text/plain"],
        ),
        ("PATCH", &record, "If-Match", ["*", "\"1\""]),
        (
            "GET",
            &record,
            "Authorization",
            ["Bearer rel_1", "Bearer rel_2"],
        ),
    ] {
        let mut request = Request::builder().method(method).uri(path);
        if name != "Content-Type" {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for value in values {
            request = request.header(name, value);
        }
        let body = Body::from(r#"{"name": "Fabrikam"}"#);
        let response = client.send(request.body(body).unwrap()).await;
        response.expect(400);
        assert_eq!(response.error_fields(), [name]);
    }
    let list = client.get(RECORDS).await.expect(200);
    assert_eq!(list["pagination"]["total"], 1);
    assert_eq!(list["resources"][0]["data"]["name"], "Contoso");
}
