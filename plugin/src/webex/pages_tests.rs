//! Pages: what is followed, what is mended, what is refused.

use serde_json::json;

use super::*;
use crate::platform::HttpResponse;
use crate::settings::Settings;
use crate::testing::{MemoryPlatform, reply, reply_with};
use crate::webex::client::Proxies;
use crate::webex::errors::ErrorKind;

const TOKEN: &str = "QWNjZXNz_P0A1_token";
const BASE: &str = "https://webexapis.com/v1/";
const FIRST: &str = "https://webexapis.com/v1/people?orgId=O1&max=100";

fn org() -> Vec<(&'static str, String)> {
    vec![("orgId", "O1".to_owned())]
}

fn followed(target: &str) -> Result<String, BadLink> {
    follow(BASE, FIRST, target, &org())
}

fn page_of(answer: Result<HttpResponse, crate::platform::HttpError>) -> Result<Page, WebexError> {
    let platform = MemoryPlatform::new();
    platform.expect(Method::GET, "/v1/people?orgId=O1&max=100", answer);
    let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
    webex.page(FIRST, &org(), &Secret::new(TOKEN))
}

fn with_link(link: &str) -> Result<Page, WebexError> {
    page_of(reply_with(
        200,
        &[("Link", link)],
        r#"{"items":[{"id":"1"}]}"#,
    ))
}

#[test]
fn the_first_page_carries_the_filters() {
    let platform = MemoryPlatform::new();
    let webex = Webex::new(&platform, &Settings::default(), &Proxies::default()).unwrap();
    assert_eq!(
        webex.first_page("/roles", &[]),
        "https://webexapis.com/v1/roles"
    );
    let filters = [("orgId", "a/b=".to_owned()), ("max", "5".to_owned())];
    assert_eq!(
        webex.first_page("/licenses", &filters),
        "https://webexapis.com/v1/licenses?orgId=a%2Fb%3D&max=5"
    );
}

#[test]
fn the_address_of_the_next_page_is_kept_as_webex_wrote_it() {
    let opaque = "https://webexapis.com/v1/people?orgId=O1&cursor=bGltaXQ9MQ==&odd&x=%2f";
    assert_eq!(followed(opaque).as_deref(), Ok(opaque));
}

#[test]
fn a_relative_link_starts_from_the_page_that_it_is_on() {
    assert_eq!(
        followed("?orgId=O1&cursor=2").as_deref(),
        Ok("https://webexapis.com/v1/people?orgId=O1&cursor=2")
    );
}

#[test]
fn max_null_is_left_out_and_a_lost_filter_is_put_back() {
    assert_eq!(
        followed("https://webexapis.com/v1/people?max=null&cursor=2").as_deref(),
        Ok("https://webexapis.com/v1/people?cursor=2&orgId=O1")
    );
    assert_eq!(
        follow(BASE, FIRST, "https://webexapis.com/v1/people?max=null", &[]).as_deref(),
        Ok("https://webexapis.com/v1/people")
    );
}

#[test]
fn only_the_origin_of_the_api_is_followed() {
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
        assert_eq!(followed(target), Err(BadLink::Foreign), "{target}");
    }
    let page = with_link("<https://evil.example/x>; rel=next").unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert!(page.link_fault.unwrap().contains("is not followed"));
}

#[test]
fn link_that_cannot_be_followed_leaves_the_list_open() {
    let long = format!(
        "<https://webexapis.com/v1/people?c={}>; rel=next",
        "x".repeat(9_000)
    );
    let secret = format!("<https://webexapis.com/v1/people?token={TOKEN}>; rel=next");
    let broken_secret = format!("<https://webexapis.com/v1/people?token={TOKEN}; rel=next");
    for (link, what) in [
        (long.as_str(), "longer than any"),
        (secret.as_str(), "repeats the access token"),
        ("<https://[>; rel=next", "is no address"),
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
        let fault = page.link_fault.unwrap();
        assert!(fault.contains(what), "{fault}");
        assert!(!fault.contains(TOKEN) && fault.len() < 250, "{fault}");
    }
}

#[test]
fn link_that_was_read_beside_an_unreadable_one_is_followed() {
    let page = with_link("<?orgId=O1&c=2>; rel=next, nonsense").unwrap();
    let next = "https://webexapis.com/v1/people?orgId=O1&c=2";
    assert_eq!(page.next.as_deref(), Some(next));
    assert!(page.link_fault.unwrap().contains("cannot be read"));
}

#[test]
fn a_page_that_repeats_the_access_token_is_not_taken() {
    let error = page_of(reply(200, json!({"items": [{"id": TOKEN}]}))).unwrap_err();
    assert!(
        error.to_string().contains("repeats the access token"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains(TOKEN));
}

#[test]
fn the_last_page_has_no_next() {
    let page = page_of(reply(200, json!({"items": [], "notFoundIds": null}))).unwrap();
    assert_eq!(
        (page.items.len(), page.next, page.link_fault),
        (0, None, None)
    );
    let page = with_link("<https://webexapis.com/v1/people>; rel=prev").unwrap();
    assert_eq!(
        (page.items.len(), page.next, page.link_fault),
        (1, None, None)
    );
}

#[test]
fn what_is_no_page_is_a_passing_fault_and_an_error_is_told_with_its_tracking_id() {
    for body in ["[]", "{}", r#"{"items":{}}"#, "<html>", ""] {
        let error = page_of(reply_with(200, &[], body)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{body}");
    }
    for body in [r#"{"items":[{"id":"1"},"#, r#"{"items":[1 2]}"#] {
        let error = page_of(reply_with(200, &[("trackingid", "T2")], body)).unwrap_err();
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
    let error = page_of(reply(403, json!({"message": "no", "trackingId": "T1"}))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert_eq!(error.tracking_id.as_deref(), Some("T1"));
}
