//! Orders on an in-memory platform: limits and edge cases that no scenario shows.

use http::Method;
use serde_json::json;

use super::order::StoredOrder;
use super::*;
use crate::grant::Grant;
use crate::owned_documents::DATA_SYNC;
use crate::platform::{
    Change, Document, Environment, HttpError, HttpRequest, HttpResponse, Key, Millis, RECORD_MODEL,
    Secret, Storage, Wakeup,
};
use crate::record::key;
use crate::reports::WakeReport;
use crate::testing::{
    ACCESS_TOKEN, DATA_SYNCS, DAY, HIERARCHY, MemoryPlatform, PKID, SECOND, connected_record,
    json_response, raw_response,
};
use crate::workflows::sync::{DocumentId, sync};
use crate::workflows::wake::wake;

type HttpResult = Result<HttpResponse, HttpError>;

/// Creates a platform with a connected wholesale partner.
fn partner() -> MemoryPlatform {
    let platform = MemoryPlatform::new();
    let mut record = connected_record(platform.now());
    let flag = "wholesale_status".to_owned();
    record.body.fields.insert(flag, true.into());
    let state = record.body.connection.clone();
    let grants = &mut record.body.further_grants;
    grants.insert(Grant::WholesaleCustomers, state);
    platform.store_connected(record).unwrap();
    let token = Change::PutSecret {
        owner: Reference::record(PKID),
        name: Grant::WholesaleCustomers.access_token().to_owned(),
        value: Secret::new(ACCESS_TOKEN),
    };
    platform.commit(Vec::new(), vec![token]).unwrap();
    platform
}

/// Serves an empty list of customers, and `post` to requests of new ones.
fn serve(platform: &MemoryPlatform, post: impl Fn() -> HttpResult + 'static) {
    platform.serve(move |_, request: &HttpRequest| match *request.method() {
        Method::POST => post(),
        _ => json_response(200, json!({"items": []})),
    });
}

fn request() -> Map<String, Value> {
    let request = json!({"externalId": "c1", "packages": ["webex_meetings"]});
    request.as_object().unwrap().clone()
}

fn order_wakeups(platform: &MemoryPlatform) -> Vec<Wakeup> {
    let mut wakeups = platform.wakeups(&Reference::record(PKID)).unwrap();
    wakeups.retain(|wakeup| from_wakeup(wakeup).is_some());
    wakeups
}

/// Runs the order's wakeups until none is left. Returns the last report.
fn run_to_end(platform: &MemoryPlatform) -> SyncReport {
    let mut last = None;
    while let Some(wakeup) = order_wakeups(platform).pop() {
        platform.set_now(platform.now().max(UnixMillis(wakeup.due)));
        match wake(platform, &wakeup).unwrap() {
            WakeReport::Synced(report) => last = Some(report),
            other => panic!("{other:?}"),
        }
    }
    last.unwrap()
}

fn stored(platform: &MemoryPlatform) -> Order {
    let record = Record::load(platform, PKID).unwrap();
    Order::load(platform, &record, "c1").unwrap().order.unwrap()
}

#[test]
fn unknown_outcome_is_given_up_after_15_minutes() {
    let platform = partner();
    serve(&platform, || json_response(503, json!({})));
    let report = add(&platform, PKID, "c1", request()).unwrap();
    assert_eq!(report.state, Some(OrderState::Sending));
    assert!(stored(&platform).uncertain);
    let begun = platform.now();
    let last = run_to_end(&platform);
    assert!(
        last.message.contains("it is unknown whether"),
        "{}",
        last.message
    );
    assert!(last.models[0].failed.is_some());
    assert_eq!(stored(&platform).state, OrderState::TimedOut);
    let took = platform.now() - begun;
    assert!(
        took >= Millis(900_000) && took < Millis(1_100_000),
        "{took:?}"
    );
    // Each repetition of the request follows a search.
    let sent = platform.sent();
    let posts = sent.iter().filter(|sent| sent.method == Method::POST);
    assert!(posts.count() <= sent.len() / 2);
}

#[test]
fn request_that_was_never_sent_has_failed() {
    let platform = partner();
    serve(&platform, || Err(HttpError::Network("no route".to_owned())));
    add(&platform, PKID, "c1", request()).unwrap();
    assert!(!stored(&platform).uncertain);
    let last = run_to_end(&platform);
    assert!(last.message.contains("did not receive"), "{}", last.message);
    assert_eq!(stored(&platform).state, OrderState::Failed);
}

#[test]
fn rejection_of_a_repeated_request_ends_the_order() {
    let platform = partner();
    platform.expect(
        Method::GET,
        "/wholesale/customers",
        json_response(200, json!({"items": []})),
    );
    platform.expect(
        Method::POST,
        "/wholesale/customers",
        json_response(503, json!({})),
    );
    add(&platform, PKID, "c1", request()).unwrap();
    let errors = json!({"errors": [{"description": "address.city: is wrong"}], "trackingId": "T"});
    serve(&platform, move || json_response(400, errors.clone()));
    run_to_end(&platform);
    let order = stored(&platform);
    assert_eq!(order.state, OrderState::Failed);
    assert_eq!(order.errors[0].description, "address.city: is wrong");
}

#[test]
fn customer_is_named_by_body_or_location() {
    for (headers, body) in [
        (
            &[][..],
            r#"{"url": "https://webexapis.com/v1/wholesale/customers/C1"}"#,
        ),
        (&[("Location", "/v1/wholesale/customers/C1?x=1")][..], ""),
    ] {
        let platform = partner();
        serve(&platform, move || raw_response(202, headers, body));
        let report = add(&platform, PKID, "c1", request()).unwrap();
        assert_eq!(report.customer_id.as_deref(), Some("C1"));
    }
    // Without either, the customer is searched for.
    let platform = partner();
    serve(&platform, || raw_response(202, &[], ""));
    let report = add(&platform, PKID, "c1", request()).unwrap();
    assert_eq!(
        (report.customer_id, report.state),
        (None, Some(OrderState::Working))
    );
    platform.advance(5 * SECOND);
    let found = json!({"items": [{
        "id": "C9", "externalId": "c1", "status": "provisioned", "packages": ["webex_meetings"],
    }]});
    platform.serve(move |_, _| json_response(200, found.clone()));
    let checked = check(&platform, PKID, "c1").unwrap();
    assert_eq!(checked.state, Some(OrderState::Provisioned));
    assert_eq!(checked.customer_id.as_deref(), Some("C9"));
}

#[test]
fn end_removes_orders_that_ended_long_ago() {
    let platform = partner();
    serve(&platform, || json_response(503, json!({})));
    for name in ["c1", "c2"] {
        add(&platform, PKID, name, request()).unwrap();
        run_to_end(&platform);
    }
    assert_eq!(platform.documents_of(ORDER_MODEL).len(), 2);
    let mut order = stored(&platform);
    order.ended = Some(platform.now() - 30 * DAY);
    let record = Record::load(&platform, PKID).unwrap();
    let version = platform.get(&order.reference()).unwrap().unwrap().version;
    let (check, changes) = order.to_commit(&record, version).unwrap();
    platform.commit(vec![check], changes).unwrap();
    add(&platform, PKID, "c3", request()).unwrap();
    run_to_end(&platform);
    let orders = platform.documents_of(ORDER_MODEL);
    let left = orders
        .iter()
        .map(|order| serde_json::from_str::<Order>(&order.body).unwrap().name);
    let mut left: Vec<String> = left.collect();
    left.sort();
    assert_eq!(left, ["c2", "c3"]);
}

#[test]
fn wakeup_without_a_running_order_is_dismissed() {
    let platform = partner();
    let wakeup = Wakeup {
        id: "wholesale.000000000000000000000001".to_owned(),
        subject: Reference::new(RECORD_MODEL, PKID),
        due: platform.now().0,
        deadline: None,
        payload: "000000000000000000000001".to_owned(),
    };
    let schedule = Change::Schedule(wakeup.clone());
    platform.commit(Vec::new(), vec![schedule]).unwrap();
    assert!(matches!(
        wake(&platform, &wakeup),
        Ok(WakeReport::Nothing(_))
    ));
    assert!(order_wakeups(&platform).is_empty());
}

#[test]
fn unreadable_order_is_replaced() {
    let platform = partner();
    serve(&platform, || json_response(503, json!({})));
    add(&platform, PKID, "c1", request()).unwrap();
    let reference = stored(&platform).reference();
    let mut document = platform.get(&reference).unwrap().unwrap();
    document.body = "{}".to_owned();
    platform
        .commit(Vec::new(), vec![Change::Put(document)])
        .unwrap();
    assert!(
        StoredOrder::load(&platform, &reference)
            .unwrap()
            .running()
            .is_none()
    );
    let report = add(&platform, PKID, "c1", request()).unwrap();
    assert_eq!(report.state, Some(OrderState::Sending));
}

#[test]
fn list_begun_before_an_orders_end_keeps_its_customer() {
    let platform = partner();
    // Pages of one customer each, so that the list takes two calls.
    platform.serve(|_, request: &HttpRequest| {
        let query = request.uri().query().unwrap_or_default();
        let offset = query
            .split('&')
            .find_map(|part| part.strip_prefix("offset="));
        let offset: usize = offset.unwrap_or_default().parse().unwrap();
        // Pages overlap by one customer.
        let items = (offset..30).take(2);
        let items: Vec<Value> = items.map(|n| json!({"id": format!("C{n}")})).collect();
        json_response(200, json!({"items": items}))
    });
    let model = WHOLESALE_CUSTOMERS.model;
    let put = |reference, body: Value, keys| {
        let document = Document {
            reference,
            hierarchy: HIERARCHY.to_owned(),
            version: 0,
            body: body.to_string(),
            keys,
        };
        platform
            .commit(Vec::new(), vec![Change::Put(document)])
            .unwrap();
    };
    let owner = || Key::new(key::OWNER, PKID);
    let customer = |id: &str| DocumentId::derive(PKID, model, id).reference(model);
    let store_customer = |id: &str| put(customer(id), json!({"id": id}), vec![owner()]);
    let end_order = |id: &str| {
        let record = Record::load(&platform, PKID).unwrap();
        let mut order = Order::new(&record, id, Operation::Add, Value::Null);
        order.state = OrderState::Provisioned;
        order.customer = Some(id.to_owned());
        order.ended = Some(platform.now());
        let keys = vec![owner(), Key::new(order::ENDED, key::YES)];
        put(
            order.reference(),
            serde_json::to_value(&order).unwrap(),
            keys,
        );
        store_customer(id);
    };
    let body = json!({"name": "Sync", "owner": PKID, "model_type_list": [model]});
    put(
        Reference::new(DATA_SYNC, DATA_SYNCS[0]),
        body,
        vec![owner()],
    );

    end_order("before");
    store_customer("without-an-order");
    platform.advance(SECOND);
    assert!(
        sync(&platform, PKID, "all", false)
            .unwrap()
            .continues
            .is_some()
    );
    end_order("meanwhile");
    let report = sync(&platform, PKID, "all", false).unwrap();
    assert_eq!((report.models[0].found, report.models[0].removed), (30, 2));
    assert!(platform.get(&customer("meanwhile")).unwrap().is_some());
    assert!(platform.get(&customer("before")).unwrap().is_none());
    // The next list is newer than the customer.
    platform.advance(SECOND);
    while sync(&platform, PKID, "all", false)
        .unwrap()
        .continues
        .is_some()
    {}
    assert!(platform.get(&customer("meanwhile")).unwrap().is_none());
}
