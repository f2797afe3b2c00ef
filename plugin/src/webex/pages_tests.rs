//! Tests of pages: links that are followed, corrected and refused.

use serde_json::json;

use super::*;
use crate::platform::HttpResponse;
use crate::settings::Settings;
use crate::testing::{MemoryPlatform, json_response, raw_response};
use crate::webex::client::Proxies;
use crate::webex::directories::{CONTACT_CENTER_SITES, GROUPS, LICENSES, PLACES};
use crate::webex::errors::ErrorKind;

const TOKEN: &str = "QWNjZXNz_P0A1_token";
const BASE: &str = "https://webexapis.com/v1/";
const FIRST: &str = "https://webexapis.com/v1/people?orgId=O1&max=100";

fn org() -> Vec<(&'static str, String)> {
    vec![("orgId", "O1".to_owned())]
}

fn resolved(target: &str) -> Result<String, LinkTargetError> {
    resolve_next(BASE, FIRST, target, &org())
}

fn page_of(response: Result<HttpResponse, crate::platform::HttpError>) -> Result<Page, WebexError> {
    let platform = MemoryPlatform::new();
    platform.expect(Method::GET, "/v1/people?orgId=O1&max=100", response);
    let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
    webex.fetch_page(&LICENSES, FIRST, &org(), &Secret::new(TOKEN))
}

fn with_link(link: &str) -> Result<Page, WebexError> {
    page_of(raw_response(
        200,
        &[("Link", link)],
        r#"{"items":[{"id":"1"}]}"#,
    ))
}

#[test]
fn first_page_url_has_the_filters() {
    let platform = MemoryPlatform::new();
    let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
    assert_eq!(
        webex.first_page_url("/roles", &[]),
        "https://webexapis.com/v1/roles"
    );
    let filters = [("orgId", "a/b=".to_owned()), ("max", "5".to_owned())];
    assert_eq!(
        webex.first_page_url("/licenses", &filters),
        "https://webexapis.com/v1/licenses?orgId=a%2Fb%3D&max=5"
    );
}

#[test]
fn next_page_url_is_kept_as_written() {
    let opaque = "https://webexapis.com/v1/people?orgId=O1&cursor=bGltaXQ9MQ==&odd&x=%2f";
    assert_eq!(resolved(opaque).as_deref(), Ok(opaque));
}

#[test]
fn relative_link_is_resolved_against_its_page() {
    assert_eq!(
        resolved("?orgId=O1&cursor=2").as_deref(),
        Ok("https://webexapis.com/v1/people?orgId=O1&cursor=2")
    );
}

#[test]
fn max_null_is_dropped_and_lost_filter_restored() {
    assert_eq!(
        resolved("https://webexapis.com/v1/people?max=null&cursor=2").as_deref(),
        Ok("https://webexapis.com/v1/people?cursor=2&orgId=O1")
    );
    assert_eq!(
        resolve_next(BASE, FIRST, "https://webexapis.com/v1/people?max=null", &[]).as_deref(),
        Ok("https://webexapis.com/v1/people")
    );
}

#[test]
fn only_links_to_the_api_origin_are_followed() {
    for target in [
        "https://evil.example/v1/people",
        "http://webexapis.com/v1/people",
        "https://webexapis.com:8443/v1/people",
        "//evil.example/v1/people",
        "https://webexapis.com@evil.example/",
        "https://user:pass@webexapis.com/v1/people",
        "https://webexapis.com.evil.example/v1/people",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ] {
        assert_eq!(resolved(target), Err(LinkTargetError::Foreign), "{target}");
    }
    let page = with_link("<https://evil.example/x>; rel=next").unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert!(page.link_error.unwrap().contains("is not followed"));
}

#[test]
fn link_that_cannot_be_followed_leaves_the_list_open() {
    let long = format!(
        "<https://webexapis.com/v1/people?c={}>; rel=next",
        "x".repeat(9_000)
    );
    let secret = format!("<https://webexapis.com/v1/people?token={TOKEN}>; rel=next");
    let broken_secret = format!("<https://webexapis.com/v1/people?token={TOKEN}; rel=next");
    for (link, part) in [
        (long.as_str(), "longer than 8 KiB"),
        (secret.as_str(), "repeats the access token"),
        ("<https://[>; rel=next", "is not a URL"),
        (
            "<https://webexapis.com/v1/people; rel=next",
            "`<https://webexapis.com/v1/people;",
        ),
        (
            broken_secret.as_str(),
            "cannot be read: `<https://webexapis.com/v1/people?token=***",
        ),
        ("<?cursor=2>; rel=next-page", "in another form"),
    ] {
        let page = with_link(link).unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (1, None));
        let error = page.link_error.unwrap();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains(TOKEN) && error.len() < 250, "{error}");
    }
}

#[test]
fn readable_link_beside_unreadable_one_is_followed() {
    let page = with_link("<?orgId=O1&c=2>; rel=next, nonsense").unwrap();
    let next = "https://webexapis.com/v1/people?orgId=O1&c=2";
    assert_eq!(page.next.as_deref(), Some(next));
    assert!(page.link_error.unwrap().contains("cannot be read"));
}

#[test]
fn page_with_the_access_token_is_refused() {
    let error = page_of(json_response(200, json!({"items": [{"id": TOKEN}]}))).unwrap_err();
    assert!(
        error.to_string().contains("repeats the access token"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains(TOKEN));
}

#[test]
fn last_page_has_no_next() {
    let page = page_of(json_response(
        200,
        json!({"items": [], "notFoundIds": null}),
    ))
    .unwrap();
    assert_eq!(
        (page.items.len(), page.next, page.link_error),
        (0, None, None)
    );
    let page = with_link("<https://webexapis.com/v1/people>; rel=prev").unwrap();
    assert_eq!(
        (page.items.len(), page.next, page.link_error),
        (1, None, None)
    );
}

#[test]
fn invalid_page_is_an_error_with_tracking_id() {
    for body in ["[]", "{}", r#"{"items":{}}"#, "<html>", ""] {
        let error = page_of(raw_response(200, &[], body)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{body}");
    }
    for body in [r#"{"items":[{"id":"1"},"#, r#"{"items":[1 2]}"#] {
        let error = page_of(raw_response(200, &[("trackingid", "T2")], body)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{body}");
        let text = error.to_string();
        assert!(
            text.contains("is not valid JSON") && text.contains("T2"),
            "{text}"
        );
        assert!(
            !text.contains("network") && !text.contains("prox"),
            "{text}"
        );
    }
    let error = page_of(json_response(
        403,
        json!({"message": "no", "trackingId": "T1"}),
    ))
    .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert_eq!(error.tracking_id.as_deref(), Some("T1"));
}

#[test]
fn positions_follow_the_entries_until_the_list_ends() {
    let next = |directory: &Directory, address: &str, body: &str| {
        let platform = MemoryPlatform::new();
        platform.expect(Method::GET, "", raw_response(200, &[], body));
        let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
        let page = webex
            .fetch_page(directory, address, &org(), &Secret::new(TOKEN))
            .unwrap();
        (page.next, page.total)
    };
    let two = r#"[{"id":"1"},{"id":"2"}]"#;
    let places = "https://webexapis.com/v1/workspaces?orgId=O1&start=4&max=250";
    assert_eq!(
        next(&PLACES, places, &format!("{{\"items\":{two}}}")),
        (
            Some("https://webexapis.com/v1/workspaces?orgId=O1&max=250&start=5".to_owned()),
            None
        )
    );
    assert_eq!(next(&PLACES, places, r#"{"items":[]}"#), (None, None));
    let (following, _) = next(&PLACES, places, r#"{"items":[{"id":"1"}]}"#);
    assert!(following.unwrap().ends_with("start=5"));
    let groups = "https://webexapis.com/v1/groups?startIndex=1&count=250";
    let with_total = |total: u32| format!("{{\"totalResults\":{total},\"groups\":{two}}}");
    assert_eq!(
        next(&GROUPS, groups, &with_total(3)),
        (
            Some("https://webexapis.com/v1/groups?count=250&startIndex=2".to_owned()),
            Some(3)
        )
    );
    assert_eq!(next(&GROUPS, groups, &with_total(2)), (None, Some(2)));
    let sites = "https://api.wxcc-eu2.cisco.com/organization/x/v2/site?page=0&pageSize=100";
    let paged = |pages: u32| format!("{{\"meta\":{{\"totalPages\":{pages}}},\"data\":{two}}}");
    assert_eq!(next(&CONTACT_CENTER_SITES, sites, &paged(1)), (None, None));
    let (following, _) = next(&CONTACT_CENTER_SITES, sites, &paged(2));
    assert!(following.unwrap().ends_with("pageSize=100&page=1"));
}

#[test]
fn link_to_the_next_position_is_moved_back_by_one() {
    let next = |directory: &Directory, address: &str, link: &str| {
        let platform = MemoryPlatform::new();
        let body = format!(
            "{{\"{}\":[{{\"id\":\"1\"}},{{\"id\":\"2\"}}]}}",
            directory.items
        );
        let link = format!("<{link}>; rel=\"next\"");
        let response = raw_response(200, &[("Link", &link)], body);
        platform.expect(Method::GET, "", response);
        let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
        let page = webex.fetch_page(directory, address, &[], &Secret::new(TOKEN));
        let page = page.unwrap();
        (page.next.unwrap(), page.overlaps, page.can_shift)
    };
    let groups = "https://webexapis.com/v1/groups?startIndex=1&count=2";
    for (link, following, overlaps, can_shift) in [
        (
            "startIndex=3&count=2&x",
            "count=2&x&startIndex=2",
            true,
            false,
        ),
        // Another position, or none: the link is followed as it is.
        ("startIndex=4&count=2", "startIndex=4&count=2", false, true),
        ("cursor=abc", "cursor=abc", false, false),
    ] {
        let url = |query: &str| format!("https://webexapis.com/v1/groups?{query}");
        let found = next(&GROUPS, groups, &url(link));
        assert_eq!(found, (url(following), overlaps, can_shift), "{link}");
    }
    let sites = "https://api.wxcc-eu2.cisco.com/v2/site?page=0&pageSize=2";
    let link = "https://webexapis.com/v2/site?page=1&pageSize=2";
    assert_eq!(
        next(&CONTACT_CENTER_SITES, sites, link),
        (link.to_owned(), false, true)
    );
}
