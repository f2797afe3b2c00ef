//! Paged lists, and defects of their links.

use super::*;
use crate::platform::Level;

/// Expects a request for licenses; responds with these ids and this link.
fn expect_page(world: &World, ids: &[&str], next: Option<&str>) {
    let items: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    let link = next.map(|next| format!("<https://webexapis.com/v1/licenses?{next}>; rel=next"));
    let headers: Vec<(&str, &str)> = link.iter().map(|link| ("Link", link.as_str())).collect();
    let response = raw_response(200, &headers, json!({"items": items}).to_string());
    world.platform.expect(Method::GET, "/licenses", response);
}

/// Creates a world in which the licenses L1 to L3 and the roles were imported.
fn world_after_import() -> World {
    let world = World::new();
    world.sync().unwrap();
    world
}

/// Imports the expected pages, after one request for the roles.
fn sync_expected_pages(world: &World) -> SyncReport {
    let script = world.platform.sent().len();
    let report = world.sync().unwrap();
    assert!(world.platform.sent().len() > script);
    world.platform.assert_script_done();
    report
}

#[test]
fn every_page_of_a_list_is_read() {
    let world = World::with_licenses(7, 3);
    let report = world.sync().unwrap();
    assert_eq!(report.models[1], import_count(LICENSE, 7, 7, 0, 0));
    assert_eq!(world.stored(LICENSE).len(), 7);
    // Four pages and the ends of two lists.
    assert_eq!((report.done, report.total), (6, 6));
    let again = world.sync().unwrap();
    assert_eq!(again.models[1], import_count(LICENSE, 7, 0, 0, 0));
}

#[test]
fn finished_import_leaves_no_page_documents() {
    let world = World::with_licenses(7, 3);
    world.sync().unwrap();
    assert!(world.platform.documents_of(SEEN_MODEL).is_empty());
    let [import] = world
        .platform
        .documents_of(IMPORT_MODEL)
        .try_into()
        .unwrap();
    let import = body(&import);
    assert!(import["finished"].is_u64());
    assert!(import["lists"][1].get("next").is_none());
}

#[test]
fn vanished_entry_of_a_paged_list_is_removed() {
    let world = World::with_licenses(7, 3);
    world.sync().unwrap();
    world.webex.borrow_mut().licenses.remove(1);
    assert_eq!(
        world.sync().unwrap().models[1],
        import_count(LICENSE, 6, 0, 0, 1)
    );
}

#[test]
fn entry_on_two_pages_counts_once() {
    let world = World::new();
    expect_page(&world, &["L1", "L2"], Some("cursor=2"));
    expect_page(&world, &["L2", "L3"], None);
    let report = sync_expected_pages(&world);
    assert_eq!(report.models[1], import_count(LICENSE, 3, 3, 0, 0));
}

#[test]
fn next_page_request_keeps_organization_without_max() {
    let world = World::new();
    expect_page(&world, &["L1"], Some("max=null&cursor=2"));
    expect_page(&world, &["L2"], None);
    sync_expected_pages(&world);
    let organization = OrgId::parse(ORGANIZATION).unwrap().internal();
    assert_eq!(
        world.requests()[2],
        format!("https://webexapis.com/v1/licenses?cursor=2&orgId={organization}")
    );
}

#[test]
fn next_link_to_an_empty_page_ends_the_list() {
    let world = world_after_import();
    expect_page(&world, &["L1", "L2"], Some("cursor=2"));
    expect_page(&world, &[], None);
    let report = sync_expected_pages(&world);
    assert_eq!((report.models[1].found, report.models[1].removed), (2, 1));
}

#[test]
fn empty_page_with_next_link_removes_nothing() {
    let world = world_after_import();
    expect_page(&world, &[], Some("cursor=2"));
    let report = sync_expected_pages(&world);
    assert_eq!(report.models[1].removed, 0);
    assert!(report.message.contains("none of the licenses was removed"));
}

#[test]
fn repeated_page_ends_list_and_removes_nothing() {
    let world = world_after_import();
    expect_page(&world, &["L1", "L9"], Some("page=2"));
    expect_page(&world, &["L1", "L9"], Some("page=3"));
    let report = sync_expected_pages(&world);
    let licenses = &report.models[1];
    assert_eq!(
        (licenses.found, licenses.added, licenses.removed),
        (2, 1, 0)
    );
    assert!(report.message.contains("because Webex sent a page twice"));
    assert!(world.platform.logged(Level::Warning, "may be incomplete"));
}

#[test]
fn a_page_that_links_to_itself_is_read_once() {
    let world = world_after_import();
    let organization = OrgId::parse(ORGANIZATION).unwrap().internal();
    expect_page(&world, &["L1"], Some(&format!("orgId={organization}")));
    let report = sync_expected_pages(&world);
    assert_eq!((report.models[1].found, report.models[1].removed), (1, 0));
}

#[test]
fn endless_list_is_abandoned() {
    let world = World::new();
    let pages = std::cell::Cell::new(0);
    world.platform.serve(move |_, request| {
        let path = request.uri().path();
        if path == "/v1/roles" {
            return json_response(200, json!({"items": []}));
        }
        pages.set(pages.get() + 1);
        let page = pages.get();
        let link = format!("<https://webexapis.com{path}?page={page}>; rel=next");
        let body = json!({"items": [{"id": page.to_string()}]}).to_string();
        raw_response(200, &[("Link", &link)], body)
    });
    for _ in 0..3 {
        assert!(world.sync().unwrap().continues.is_some());
    }
    // The last page that is read of any list.
    let mut import = world.platform.documents_of(IMPORT_MODEL).remove(0);
    let mut body = body(&import);
    body["lists"][1]["pages"] = 9_999.into();
    import.body = body.to_string();
    let put = vec![crate::platform::Change::Put(import)];
    crate::platform::Storage::commit(&world.platform, Vec::new(), put).unwrap();
    let report = world.sync().unwrap();
    assert_eq!(report.continues, None);
    assert!(report.message.contains("because Webex's list did not end"));
}

#[test]
fn unusable_next_link_removes_nothing() {
    for link in [
        "<https://evil.example/v1/licenses?cursor=2>; rel=next",
        "<https://[>; rel=next",
        "<https://webexapis.com/v1/licenses?name=\u{e9}&cursor=2>; rel=\"next\"",
        "<https://webexapis.com/v1/licenses?cursor=2; rel=\"next\"",
        "rel=\"next\"; <https://webexapis.com/v1/licenses?cursor=2>",
        "<https://webexapis.com/v1/licenses?cursor=2>; rel=\"next",
        "<https://webexapis.com/v1/licenses?cursor=2>",
        "<https://webexapis.com/v1/licenses?cursor=2>; rel='next'",
        "<https://webexapis.com/v1/licenses>; rel=prev, <?cursor=2> rel=next",
    ] {
        let world = world_after_import();
        let items = r#"{"items":[{"id":"L1"},{"id":"L9"}]}"#;
        let response = raw_response(200, &[("Link", link)], items);
        world.platform.expect(Method::GET, "/licenses", response);
        let report = sync_expected_pages(&world);
        assert_eq!(
            report.models[1],
            import_count(LICENSE, 2, 1, 1, 0),
            "{link}"
        );
        assert!(report.message.contains("none of the licenses was removed"));
        assert_eq!(world.stored(LICENSE).len(), 4);
        assert!(world.platform.logged(Level::Warning, "may be incomplete"));
        assert!(world.requests().iter().all(|uri| !uri.contains("evil")));
    }
}

#[test]
fn unreadable_entry_is_skipped_and_named() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for (field, reason) in [
        (r#""name":"cut \ud83d""#, "hex escape"),
        (r#""totalUnits":1e400"#, "number out of range"),
        (r#""name":"tab\u0009	here""#, "control character"),
        (r#""totalUnits":NaN"#, "expected"),
        (&format!(r#""x":{deep}"#), "recursion limit"),
    ] {
        let world = world_after_import();
        let body = format!(r#"{{"items":[{{"id":"L1",{field}}},{{"id":"L2","totalUnits":21}}]}}"#);
        let response = raw_response(200, &[], body);
        world.platform.expect(Method::GET, "/licenses", response);
        let report = sync_expected_pages(&world);
        assert_eq!(
            report.models[1],
            import_count(LICENSE, 1, 0, 1, 0),
            "{field}"
        );
        assert_eq!(world.stored(LICENSE).len(), 3);
        let named = "1 of the licenses cannot be taken: entry 1 of page 1 (`L1`) cannot be read";
        assert!(world.platform.logged(Level::Warning, named), "{field}");
        assert!(report.message.contains("none of the licenses was removed"));
        assert!(report.message.contains(reason), "{}", report.message);
        assert!(!report.message.contains("network"));
    }
}

#[test]
fn invalid_entry_is_skipped_and_removes_nothing() {
    let world = world_after_import();
    let items = json!({"items": [{"name": "no id"}, 5, {"id": "L1", "name": "License 1",
        "totalUnits": 11, "unheard-of": {"x": [1, null]}}]});
    world
        .platform
        .expect(Method::GET, "/licenses", json_response(200, items));
    let report = world.sync().unwrap();
    let licenses = &report.models[1];
    assert_eq!(
        (licenses.found, licenses.updated, licenses.removed),
        (1, 1, 0)
    );
    assert_eq!(
        world.stored(LICENSE)[0]["unheard-of"],
        json!({"x": [1, null]})
    );
    assert!(world.platform.logged(
        Level::Warning,
        "2 of the licenses cannot be taken: entry 1 of page 1 (`no id`) has no usable id, \
                 entry 2 of page 1 is not an object"
    ));
    assert!(
        report
            .message
            .contains("some of them could not be understood")
    );
}
