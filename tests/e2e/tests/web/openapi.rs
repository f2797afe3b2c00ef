//! `docs/openapi.json`, the OpenAPI document: a change of the API is a change of this file.
//!
//! `INSTA_UPDATE=always cargo test -p relation-e2e --test web openapi` writes it.

use relation_e2e::world::WorldBuilder;
use serde_json::Value;

use crate::support::Client;

#[tokio::test(flavor = "multi_thread")]
async fn document_in_docs_is_the_served_one() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let served = client.get("/api/openapi.json").await.expect(200);
    let paths = served["paths"].as_object().unwrap();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let label = format!("{method} {path}");
            let parameters = operation["parameters"].as_array().unwrap();
            let in_path = parameters.iter().filter(|each| each["in"] == "path");
            assert_eq!(in_path.count(), path.matches('{').count(), "{label}");
            let text = operation.to_string();
            let references = text.matches("#/components/schemas/").count();
            let known = served["components"]["schemas"].as_object().unwrap();
            let resolved = known.keys().map(|name| {
                text.matches(&format!("\"#/components/schemas/{name}\""))
                    .count()
            });
            assert_eq!(resolved.sum::<usize>(), references, "{label}");
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&served).unwrap());
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(file, &text).unwrap();
    }
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(
        stored, served,
        "docs/openapi.json is not the served document"
    );
}
