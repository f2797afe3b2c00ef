//! The isolation matrix of the API: every route, every role, every place. A route without a row does not compile.

mod members;

use axum::body::Body;
use axum::http::{Request, header};
use relation_e2e::world::{World, WorldBuilder};
use relation_web::Route;
use relation_web::access::{Operation, ROLES, Role};
use serde_json::{Value, json};

use crate::places::{OWN, Objects, PLACES, Place, objects};
use crate::support::{Client, principal};

/// A request for an object at a place.
struct Row {
    method: &'static str,
    path: String,
    body: Option<Value>,
    /// The status for a principal who may make the request.
    success: u16,
    /// Whether the response to a principal outside is a success that shows nothing, in place of 404.
    is_silent: bool,
}

impl Row {
    fn get(path: String) -> Self {
        Self {
            method: "GET",
            path,
            body: None,
            success: 200,
            is_silent: false,
        }
    }

    fn write(method: &'static str, path: String, body: Value, success: u16) -> Self {
        Self {
            method,
            path,
            body: Some(body),
            success,
            is_silent: false,
        }
    }
}

fn row(route: Route, objects: &Objects, role: &Role) -> Option<Row> {
    let Objects {
        pkid,
        transaction,
        data_sync,
        place,
    } = objects;
    let node = place.node();
    let record = format!("/api/relation/SparkCustomer/{pkid}/");
    Some(match route {
        Route::ListRecords => Row::get(format!("/api/relation/SparkCustomer/?hierarchy={node}")),
        Route::AddRecord => {
            let path = format!("/api/relation/SparkCustomer/?hierarchy={node}");
            let name = format!("Added by {} at {place:?}", role.name);
            Row::write("POST", path, json!({ "name": name }), 201)
        }
        Route::GetRecord => Row::get(record),
        Route::ReplaceRecord => Row::write("PUT", record, json!({ "name": "Contoso" }), 200),
        Route::ModifyRecord => Row::write("PATCH", record, json!({ "account_email": null }), 200),
        Route::DeleteRecord => {
            Row::write("DELETE", format!("{record}?dry_run=true"), json!({}), 200)
        }
        Route::ModifyRecords => {
            let body = json!({ "hrefs": [record], "data": { "account_email": null } });
            Row::write(
                "PATCH",
                "/api/relation/SparkCustomer/".to_owned(),
                body,
                202,
            )
        }
        Route::DeleteRecords => {
            let body = json!({ "hrefs": [record] });
            Row::write(
                "DELETE",
                "/api/relation/SparkCustomer/".to_owned(),
                body,
                202,
            )
        }
        Route::RunAction => Row::write(
            "POST",
            format!("{record}+CheckTokenExpiry/"),
            json!({}),
            200,
        ),
        Route::PreviewNotices => Row::get(format!("{record}notices/")),
        Route::ListTransactions => Row::get(format!("/api/tool/Transaction/?hierarchy={node}")),
        Route::GetTransaction => Row::get(format!("/api/tool/Transaction/{transaction}/")),
        Route::PollTransaction => Row::get(format!("/api/tool/Transaction/{transaction}/poll/")),
        Route::PollTransactions => Row {
            is_silent: true,
            ..Row::get(format!("/api/tool/Transaction/poll/?ids={transaction}"))
        },
        // The request of an add that was not queued is not kept, and it has ended.
        Route::ReplayTransaction => {
            let path = format!("/api/tool/Transaction/{transaction}/replay/");
            Row::write("POST", path, json!({}), 409)
        }
        Route::CancelTransaction => {
            let path = format!("/api/tool/Transaction/{transaction}/cancel/");
            Row::write("POST", path, json!({}), 409)
        }
        Route::ListData => Row::get(format!("/api/data/DataSync/?hierarchy={node}")),
        Route::GetData => Row::get(format!("/api/data/DataSync/{data_sync}/")),
        Route::ListImported => Row::get(format!("/api/device/spark/User/?hierarchy={node}")),
        Route::GetImported => Row {
            // No data is imported, so all lists are empty.
            success: 404,
            ..Row::get(format!("/api/device/spark/User/{data_sync}/"))
        },
        // It describes the product, and nothing of any tenant.
        Route::OpenApi => return None,
    })
}

fn request(row: &Row) -> Request<Body> {
    let request = Request::builder()
        .method(row.method)
        .uri(&row.path)
        .header(header::CONTENT_TYPE, "application/json");
    let body = row.body.as_ref().map(Value::to_string).unwrap_or_default();
    request.body(Body::from(body)).unwrap()
}

fn expected(route: Route, row: &Row, role: &Role, place: Place) -> u16 {
    let permits = |operation: Option<Operation>| {
        operation.is_none_or(|operation| role.operations.contains(&operation))
    };
    if !permits(route.operation()) {
        return 403;
    }
    if !place.is_visible() {
        return if row.is_silent { 200 } else { 404 };
    }
    let of_action = match route {
        Route::RunAction => Some(Operation::Refresh),
        Route::ReplayTransaction | Route::CancelTransaction => Some(Operation::Add),
        _ => None,
    };
    if permits(of_action) { row.success } else { 403 }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_keeps_tenants_apart() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let mut places = Vec::new();
    for place in PLACES {
        places.push(objects(&root, place).await);
    }
    let unknown = "there is nothing at this address";
    for role in ROLES {
        let client = anonymous.with(principal(role.name, OWN));
        for route in Route::ALL {
            for objects in &places {
                let Some(row) = row(*route, objects, role) else {
                    continue;
                };
                let place = objects.place;
                let response = client.send(request(&row)).await;
                let label = format!("{route:?} by {} at {place:?}: {response:?}", role.name);
                assert_eq!(
                    response.status.as_u16(),
                    expected(*route, &row, role, place),
                    "{label}"
                );
                let is_bulk = matches!(route, Route::ModifyRecords | Route::DeleteRecords);
                if response.status == 404 && !is_bulk {
                    assert_eq!(response.json()["detail"], unknown, "{label}");
                }
                let leaked = PLACES.iter().filter(|place| !place.is_visible());
                for node in leaked.map(|place| format!("\"{}\"", place.node())) {
                    assert!(!response.text.contains(&node), "{label}");
                }
                if row.is_silent && !place.is_visible() {
                    assert_eq!(response.json(), json!({}), "{label}");
                }
                let nobody = anonymous.send(request(&row)).await;
                assert_eq!(nobody.status, 401, "{route:?} without a principal");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_end_at_the_node() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    for place in PLACES {
        objects(&root, place).await;
    }
    let client = anonymous.with(principal("auditor", OWN));
    for path in [
        "/api/relation/SparkCustomer/",
        "/api/relation/SparkCustomer/?name=Contoso",
        "/api/relation/SparkCustomer/?order_by=name",
        "/api/relation/SparkCustomer/?state=not-connected&order_by=pkid",
    ] {
        let list = client.get(path).await.expect(200);
        assert_eq!(list["resources"].as_array().unwrap().len(), 2, "{path}");
        assert_eq!(list["pagination"]["total"], 2, "{path}");
    }
    let transactions = client.get("/api/tool/Transaction/").await.expect(200);
    let nodes: Vec<&str> = transactions["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["hierarchy"].as_str().unwrap())
        .collect();
    assert_eq!(nodes, [Place::Below.node(), OWN]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_a_wider_list_opens_nothing() {
    let world: World = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    for name in ["A", "B", "C"] {
        root.add("sys.Provider.Other", name).await;
    }
    let page = root
        .get("/api/relation/SparkCustomer/?limit=1")
        .await
        .expect(200);
    let next = page["pagination"]["next"].as_str().unwrap();
    let client = anonymous.with(principal("operator", OWN));
    let response = client.get(next).await;
    assert_eq!(response.status, 400, "{response:?}");
    assert!(!response.text.contains("Other"), "{response:?}");
}
