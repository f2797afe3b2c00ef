//! Proxy URLs are parsed, and their text is never shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::harness::proxy;
use crate::{ProxyUrl, ProxyUrlError};

fn credentials(url: &str) -> Option<String> {
    let value = proxy(url).authorization()?;
    let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
    Some(String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap())
}

fn problem(url: &str) -> ProxyUrlError {
    ProxyUrl::parse(&url.to_owned().into()).unwrap_err()
}

#[test]
fn user_and_password_are_percent_decoded() {
    assert_eq!(credentials("http://proxy.example:3128/"), None);
    assert_eq!(credentials("http://proxy.example:3128"), None);
    for (url, expected) in [
        ("http://user:password@proxy.example:3128/", "user:password"),
        (
            "https://us%40er:p%3Aa%2Fs%25s@proxy.example:3128/",
            "us@er:p:a/s%s",
        ),
        ("http://user:%C3%A4+b@10.0.0.1:80/", "user:ä+b"),
        ("http://user@[::1]:3128/", "user:"),
        ("http://:password@proxy.example:3128/", ":password"),
        ("http://user:p@ss@proxy.example:3128/", "user:p@ss"),
        ("http://user:100%@proxy.example:3128/", "user:100%"),
    ] {
        assert_eq!(credentials(url).as_deref(), Some(expected), "{url}");
    }
}

#[test]
fn a_proxy_without_a_port_is_at_its_schemes_port() {
    assert_eq!(proxy("http://proxy.example").origin().port(), 80);
    assert_eq!(proxy("https://proxy.example").origin().port(), 443);
}

#[test]
fn invalid_proxy_url_error_names_the_problem() {
    for (url, expected) in [
        ("proxy.example:3128", ProxyUrlError::Scheme),
        ("socks5://proxy.example:3128", ProxyUrlError::Scheme),
        ("", ProxyUrlError::Scheme),
        ("http://", ProxyUrlError::Form),
        ("http://:3128/", ProxyUrlError::Form),
        ("http://proxy.example:0/", ProxyUrlError::Form),
        ("http://proxy.example:99999/", ProxyUrlError::Form),
        ("http://user:pa/ss@proxy.example:3128/", ProxyUrlError::Form),
        ("http://user:1/ss@proxy.example:3128/", ProxyUrlError::Path),
        ("http://proxy.example:3128/path", ProxyUrlError::Path),
        ("http://proxy.example:3128/?x=1", ProxyUrlError::Path),
        ("http://proxy.example:3128/#x", ProxyUrlError::Path),
        (
            "http://us%3Aer:password@proxy.example:3128/",
            ProxyUrlError::Credentials,
        ),
        (
            "http://user:pass%0D%0Aword@proxy.example:3128/",
            ProxyUrlError::Credentials,
        ),
        ("http://proxy example:3128/", ProxyUrlError::Form),
        ("http:\\\\proxy.example:3128/", ProxyUrlError::Form),
    ] {
        assert_eq!(problem(url), expected, "{url}");
    }
}

#[test]
fn proxies_compare_by_origin_and_credentials() {
    let base = proxy("http://user:password@proxy.example:80/");
    assert_eq!(base, proxy("http://user:p%61ssword@PROXY.example"));
    assert_ne!(base, proxy("http://user:other@proxy.example:80/"));
    assert_ne!(base, proxy("http://proxy.example:80/"));
    assert_ne!(base, proxy("https://user:password@proxy.example:80/"));
}

proptest! {
    #[test]
    fn credentials_round_trip_and_are_not_shown(
        user in "[^:\\p{Cc}]{1,24}",
        password in "\\P{Cc}{1,24}",
    ) {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = format!("http://{}:{}@proxy.example:3128/", encode(&user), encode(&password));
        prop_assert_eq!(credentials(&url), Some(format!("{user}:{password}")));
        let parsed = proxy(url);
        prop_assert_eq!(parsed.to_string(), "http://proxy.example:3128");
        prop_assert_eq!(
            format!("{parsed:?}"),
            "ProxyUrl { origin: http://proxy.example:3128, has_credentials: true }"
        );
    }

    #[test]
    fn any_text_parses_without_panic(text in "\\PC{0,40}") {
        let _ = ProxyUrl::parse(&text.into());
    }
}
