//! The field of each error is a field of the request, as the document names it.

use super::*;

/// Returns values that are wrong for most fields. Each is sent for one field of an otherwise right request.
fn wrong_values() -> Vec<Value> {
    vec![
        json!({ "x": 1 }),
        json!(["x"]),
        json!([{ "role": "wizard", "node": "sys" }]),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1),
        json!(""),
        json!("\u{7}"),
        json!("x".repeat(3000)),
        json!("a..b"),
    ]
}

/// Returns the right body of a route with required fields.
fn right_body(path: &str) -> Value {
    let grants = json!([{ "role": "operator", "node": "sys.A" }]);
    match path {
        "/api/data/User/" | "/api/data/ApiKey/" => {
            json!({ "name": "right", "hierarchy": "sys.A", "grants": grants })
        }
        "/api/data/Role/" => {
            json!({ "name": "right", "hierarchy": "sys.A", "operations": ["read"] })
        }
        "/api/data/ApiCallbackAuth/" => {
            json!({ "name": "right", "hierarchy": "sys.A", "token": "canary-1" })
        }
        "/api/data/HierarchyNode/" => json!({ "name": "right", "hierarchy": "sys.A" }),
        "/api/session/" => json!({ "name": "right", "password": "canary-2" }),
        "/api/data/NoticeDelivery/+Resend/" => json!({ "since": 0 }),
        _ => json!({}),
    }
}

/// Returns the members of the object of a request.
fn properties(document: &Value, operation: &Value) -> BTreeSet<String> {
    let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let properties = schema["properties"].as_object().unwrap();
    properties.keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_documented_fields() {
    let (_world, client, _) = world().await;
    let (record, _) = client.add("sys.A", "Contoso").await;
    let pkid = async |path: &str| {
        let added = client.json(Method::POST, path, &right_body(path)).await;
        added.expect(201)["pkid"].as_str().unwrap().to_owned()
    };
    let mut objects = vec![(RECORDS, record)];
    for path in [
        "/api/data/User/",
        "/api/data/ApiKey/",
        "/api/data/Role/",
        "/api/data/ApiCallbackAuth/",
    ] {
        objects.push((path, pkid(path).await));
    }
    let document = client.get("/api/openapi.json").await.expect(200);
    let mut seen = BTreeSet::new();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_bulk = template == RECORDS && method != "post";
            if operation.get("requestBody").is_none() || is_bulk {
                continue;
            }
            let object = objects.iter().find(|(path, _)| template.starts_with(path));
            let pkid = object.map_or(UNKNOWN, |(_, pkid)| pkid);
            let mut path = template.replace("{pkid}", pkid);
            path = path.replace("{action}", "+SaveDataSync");
            path = path.replace("{node}", "sys.A").replace("{id}", "noc");
            if template == RECORDS {
                path.push_str("?hierarchy=sys.A");
            }
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let known = properties(&document, operation);
            for name in &known {
                for value in wrong_values() {
                    let mut body = right_body(template);
                    body[name] = value;
                    let response = client.json(method.clone(), &path, &body).await;
                    let fields = match response.status.is_success() {
                        true => Vec::new(),
                        false => response.error_fields(),
                    };
                    for field in fields {
                        let field = field.split(['[', '.']).next().unwrap();
                        assert!(
                            known.contains(field),
                            "{method} {path} {body}: {response:?}"
                        );
                        seen.insert(format!("{template} {field}"));
                    }
                }
            }
        }
    }
    // A rule about a value counts as well as one about a type.
    for expected in [
        "/api/data/ApiKey/{pkid}/+Rotate/ overlap_seconds",
        "/api/data/ApiKey/ expires",
        "/api/data/User/ language",
        "/api/data/User/{pkid}/grants/ grants",
        "/api/relation/SparkCustomer/{pkid}/ request_meta",
        "/api/data/NoticeSettings/{node}/ recipients",
        "/api/data/NoticeDelivery/+Resend/ record",
    ] {
        assert!(seen.contains(expected), "{expected}: {seen:#?}");
    }
}
