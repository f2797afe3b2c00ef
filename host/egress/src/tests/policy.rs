//! The policy: entries, spellings of addresses, address classes.

use std::net::IpAddr;

use http::Uri;
use proptest::prelude::*;

use super::harness::{policy, proxy};
use crate::{AddressClass, Denial, EntryError, Origin, OriginError, Policy, classify};

fn allows(entries: &[&str], uri: &str) -> bool {
    let Ok(uri) = uri.parse::<Uri>() else {
        return false;
    };
    policy(entries, &[]).check_target(&uri).is_ok()
}

#[test]
fn an_empty_list_allows_nothing_and_says_what_to_add() {
    let denied = policy(&[], &[]).check_target(&"https://webexapis.com/v1?x=1".parse().unwrap());
    let text = denied.unwrap_err().to_string();
    assert_eq!(
        text,
        "`https://webexapis.com` is not allowed: `egress.allow` is empty, so nothing may be reached; \
         add \"https://webexapis.com\" to it"
    );
}

#[test]
fn scheme_host_and_port_all_count() {
    let entries = ["https://webexapis.com", "http://127.0.0.1:8080"];
    for allowed in [
        "https://webexapis.com/v1/people",
        "https://webexapis.com:443/",
        "https://WEBEXAPIS.com./",
        "HTTPS://webexapis.com",
        "http://127.0.0.1:8080/x",
    ] {
        assert!(allows(&entries, allowed), "{allowed}");
    }
    for refused in [
        "http://webexapis.com/",
        "https://webexapis.com:8443/",
        "https://evil.webexapis.com/",
        "https://webexapis.com.evil.example/",
        "https://evilwebexapis.com/",
        "https://webexapis.com@evil.example/",
        "https://user@webexapis.com/",
        "https://user:password@webexapis.com/",
        "https://webexapis.com:/",
        "https://webexapis.com:0/",
        "https://webexapis.com:65536/",
        "https://webexapis.com:443443/",
        "ftp://webexapis.com/",
        "https:///v1",
        "/v1/people",
        "webexapis.com:443",
        "*",
        "http://127.0.0.1/",
        "http://127.0.0.1:8081/",
        "https://127.0.0.1:8080/",
        "http://127.0.0.2:8080/",
        "http://localhost:8080/",
    ] {
        assert!(!allows(&entries, refused), "{refused}");
    }
}

#[test]
fn every_spelling_of_an_address_is_the_same_address() {
    for spelling in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:7f00:0001]/",
    ] {
        let origin = Origin::from_uri(&spelling.parse().unwrap()).unwrap();
        assert_eq!(origin.to_string(), "http://127.0.0.1", "{spelling}");
        assert!(allows(&["http://127.0.0.1"], spelling), "{spelling}");
        assert!(!allows(&["https://webexapis.com"], spelling), "{spelling}");
    }
    assert!(allows(&["http://[::1]:8080"], "http://[0:0::0001]:8080/"));
    assert!(allows(
        &["https://bücher.example"],
        "https://xn--bcher-kva.example/"
    ));
}

#[test]
fn wildcard_matches_only_subdomains() {
    let entries = ["https://*.example.com"];
    assert!(allows(&entries, "https://a.example.com/"));
    assert!(allows(&entries, "https://a.b.Example.com./"));
    for refused in [
        "https://example.com/",
        "https://aexample.com/",
        "http://a.example.com/",
        "https://a.example.com:444/",
        "https://.example.com/",
        "https://a.example.com.evil.example/",
    ] {
        assert!(!allows(&entries, refused), "{refused}");
    }
}

#[test]
fn invalid_entry_error_says_what_is_valid() {
    let problem = |entry: &str| Policy::parse(&[entry.to_owned()]).unwrap_err().problem;
    let webex = Origin::from_uri(&"https://webexapis.com".parse().unwrap()).unwrap();
    for (entry, expected) in [
        ("webexapis.com", EntryError::NoScheme),
        ("webexapis.com:443", EntryError::NoScheme),
        ("ftp://webexapis.com", EntryError::NoScheme),
        ("", EntryError::NoScheme),
        ("*", EntryError::NoScheme),
        ("https://webexapis.com/v1", EntryError::Path(webex.clone())),
        ("https://webexapis.com?x", EntryError::Path(webex)),
        ("https://user:password@webexapis.com", EntryError::UserInfo),
        ("https://*", EntryError::Wildcard),
        ("https://*.com", EntryError::Wildcard),
        ("https://*.com.", EntryError::Wildcard),
        ("https://*.10.0.0.1", EntryError::Wildcard),
        ("https://a.*.example.com", EntryError::Wildcard),
        ("https://web*.example.com", EntryError::Wildcard),
        ("https://", EntryError::Origin(OriginError::Host)),
        (
            "https:///webexapis.com",
            EntryError::Origin(OriginError::Host),
        ),
        (
            "https://webexapis.com:0",
            EntryError::Origin(OriginError::Port),
        ),
        (
            "https://webexapis.com:99999",
            EntryError::Origin(OriginError::Port),
        ),
        (" https://webexapis.com", EntryError::Characters),
        ("https:\\\\webexapis.com", EntryError::Characters),
    ] {
        assert_eq!(problem(entry), expected, "{entry}");
    }
    let entries = ["https://a.example".to_owned(), "b.example".to_owned()];
    assert_eq!(
        Policy::parse(&entries).unwrap_err().to_string(),
        "`egress.allow`, entry 2 (\"b.example\"): it must begin with http:// or https://; write it as \
         \"https://host\" or \"https://host:port\""
    );
    let secret = Policy::parse(&["https://user:canary@host".to_owned()]).unwrap_err();
    assert!(!format!("{secret} {secret:?}").contains("canary"));
}

#[test]
fn special_addresses_are_not_global() {
    use AddressClass::*;
    for (address, class) in [
        ("0.0.0.0", Unspecified),
        ("0.1.2.3", Unspecified),
        ("10.0.0.1", Private),
        ("10.255.255.255", Private),
        ("100.64.0.1", SharedNat),
        ("100.127.255.255", SharedNat),
        ("127.0.0.1", Loopback),
        ("127.255.255.254", Loopback),
        ("169.254.1.1", LinkLocal),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("168.63.129.16", Metadata),
        ("100.100.100.200", Metadata),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("192.0.0.8", Reserved),
        ("192.0.2.1", Documentation),
        ("192.88.99.1", Transition),
        ("192.168.0.1", Private),
        ("198.18.0.1", Benchmarking),
        ("198.19.255.255", Benchmarking),
        ("198.51.100.7", Documentation),
        ("203.0.113.7", Documentation),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("240.0.0.1", Reserved),
        ("255.255.255.255", Broadcast),
        ("::", Unspecified),
        ("::1", Loopback),
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:169.254.169.254", Metadata),
        ("::ffff:10.1.2.3", Private),
        ("::127.0.0.1", Transition),
        ("::ffff:0:127.0.0.1", Transition),
        ("64:ff9b::7f00:1", Loopback),
        ("64:ff9b::a9fe:a9fe", Metadata),
        ("64:ff9b:1::1", Transition),
        ("100::1", Reserved),
        ("2001::1", Transition),
        ("2001:2::1", Benchmarking),
        ("2001:20::1", Reserved),
        ("2001:db8::1", Documentation),
        ("2002:7f00:1::", Transition),
        ("2002:c0a8:1::", Transition),
        ("3fff::1", Documentation),
        ("4000::1", Reserved),
        ("5f00::1", Reserved),
        ("fc00::1", UniqueLocal),
        ("fd00:ec2::254", Metadata),
        ("fdff::1", UniqueLocal),
        ("fe80::1", LinkLocal),
        ("fec0::1", Private),
        ("ff02::1", Multicast),
        ("1.1.1.1", Global),
        ("9.255.255.255", Global),
        ("11.0.0.0", Global),
        ("100.63.255.255", Global),
        ("100.128.0.0", Global),
        ("172.15.255.255", Global),
        ("172.32.0.0", Global),
        ("198.20.0.0", Global),
        ("::ffff:1.1.1.1", Global),
        ("64:ff9b::101:101", Global),
        ("2606:4700::1111", Global),
        ("2a00:1450::1", Global),
    ] {
        assert_eq!(classify(address.parse().unwrap()), class, "{address}");
    }
}

#[test]
fn literal_permits_only_its_address_scheme_and_port() {
    let policy = policy(&["http://localhost:8080", "http://127.0.0.1:8080"], &[]);
    let target = policy
        .check_target(&"http://localhost:8080/".parse().unwrap())
        .unwrap();
    let check = |address: &str| policy.check_address(&target, address.parse().unwrap());
    assert_eq!(check("127.0.0.1"), Ok(()));
    assert_eq!(check("::ffff:127.0.0.1"), Ok(()));
    assert!(check("127.0.0.2").is_err());
    assert!(check("::1").is_err());

    let narrow = super::harness::policy(&["http://localhost:8080", "http://127.0.0.1:9090"], &[]);
    let target = narrow
        .check_target(&"http://localhost:8080/".parse().unwrap())
        .unwrap();
    let denied = narrow
        .check_address(&target, IpAddr::from([127, 0, 0, 1]))
        .unwrap_err();
    assert_eq!(
        denied.to_string(),
        "`http://localhost:8080` is at 127.0.0.1 (loopback), which is not a public address and is \
         reached only if it is listed itself; add \"http://127.0.0.1:8080\" to `egress.allow` if \
         that is intended"
    );
}

#[test]
fn only_public_proxies_are_allowed_by_default() {
    let policy = policy(&[], &[]);
    let anywhere = proxy("http://proxy.example:3128");
    assert_eq!(policy.check_proxy(&anywhere), Ok(()));
    assert_eq!(
        policy.check_proxy_address(&anywhere, IpAddr::from([1, 1, 1, 1])),
        Ok(())
    );
    let denied = policy
        .check_proxy_address(&anywhere, IpAddr::from([10, 3, 4, 5]))
        .unwrap_err();
    assert_eq!(
        denied.to_string(),
        "proxy `http://proxy.example:3128` is not at a public address (private), and such a proxy \
         is used only if its address is listed; the operator can add it as \"http://ADDRESS:3128\" to \
         `egress.proxies`"
    );
}

#[test]
fn proxy_is_checked_as_written() {
    let open = policy(&[], &[]);
    let narrow = policy(&[], &["http://10.0.0.5:3128"]);
    let near = policy(&[], &["http://127.0.0.1:3128"]);
    let near_v6 = policy(&[], &["http://[::1]:3128"]);
    // The name alone does not permit an address.
    let by_name = policy(&[], &["http://localhost:3128"]);
    for (policy, written, fits) in [
        (&open, "http://proxy.example:3128", true),
        (&open, "http://1.1.1.1:3128", true),
        (&open, "http://10.0.0.5:3128", false),
        (&open, "http://[::ffff:10.0.0.5]:3128", false),
        (&narrow, "http://10.0.0.5:3128", true),
        (&narrow, "http://10.0.0.5:3129", false),
        (&narrow, "http://10.0.0.6:3128", false),
        (&narrow, "http://1.1.1.1:3128", true),
        (&narrow, "http://proxy.example:3128", true),
        (&open, "http://localhost:3128", false),
        (&open, "http://LOCALHOST.:3128", false),
        (&open, "http://proxy.localhost:3128", false),
        (&open, "http://localhost.example:3128", true),
        (&open, "http://mylocalhost:3128", true),
        (&narrow, "http://localhost:3128", false),
        (&near, "http://localhost:3128", true),
        (&near, "http://localhost:3129", false),
        (&near, "https://localhost:3128", false),
        (&near_v6, "http://proxy.localhost:3128", true),
        (&by_name, "http://localhost:3128", false),
    ] {
        let judged = policy.check_proxy_as_written(&proxy(written));
        assert_eq!(judged.is_ok(), fits, "{written}: {judged:?}");
    }
}

#[test]
fn listed_private_proxy_keeps_public_ones_allowed() {
    let private = policy(&[], &["http://10.0.0.5:3128", "http://[fd00::5]:3128"]);
    let public = proxy("http://proxy.example:3128");
    assert_eq!(private.check_proxy(&public), Ok(()));
    let check = |address: [u8; 4]| private.check_proxy_address(&public, IpAddr::from(address));
    assert_eq!(check([1, 1, 1, 1]), Ok(()));
    assert_eq!(check([10, 0, 0, 5]), Ok(()), "whatever name it is given");
    assert!(check([10, 0, 0, 6]).is_err());
    for entry in [
        "http://proxy.corp.example:3128",
        "http://*.corp.example:3128",
        "http://1.1.1.1:3128",
    ] {
        let narrow = policy(&[], &["http://10.0.0.5:3128", entry]);
        let denied = narrow.check_proxy(&public).unwrap_err();
        assert!(matches!(denied, Denial::Origin { .. }), "{entry}");
    }
}

#[test]
fn list_with_public_proxies_is_exclusive() {
    let policy = policy(
        &[],
        &["http://proxy.corp.example:3128", "http://10.0.0.5:3128"],
    );
    let listed = proxy("http://user:password@proxy.corp.example:3128/");
    assert_eq!(policy.check_proxy(&listed), Ok(()));
    assert_eq!(
        policy.check_proxy_address(&listed, IpAddr::from([10, 0, 0, 5])),
        Ok(())
    );
    assert!(
        policy
            .check_proxy_address(&listed, IpAddr::from([10, 0, 0, 6]))
            .is_err()
    );
    for other in [
        "http://other.example:3128",
        "http://10.0.0.5:3129",
        "https://10.0.0.5:3128",
    ] {
        let denied = policy.check_proxy(&proxy(other)).unwrap_err();
        assert!(matches!(denied, Denial::Origin { .. }), "{other}");
    }
}

proptest! {
    #[test]
    fn an_origin_reads_back_as_itself(uri in "(http|https)://[a-z0-9.:\\[\\]%x-]{1,24}") {
        if let Some(origin) = uri.parse().ok().and_then(|uri: Uri| Origin::from_uri(&uri).ok()) {
            let again = Origin::from_uri(&origin.to_string().parse().unwrap());
            prop_assert_eq!(again, Ok(origin));
        }
    }

    #[test]
    fn an_entry_allows_what_it_names(name in "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}", port in 1..=u16::MAX) {
        let entry = format!("https://{name}:{port}");
        prop_assert!(allows(&[&entry], &entry));
        let plain = entry.replace("https", "http");
        prop_assert!(!allows(&[&entry], &plain));
    }
}

#[test]
fn receivers_of_callbacks_are_checked_as_written() {
    let entries = [
        "https://crm.example.com",
        "http://localhost:8080",
        "http://10.0.0.7",
    ];
    let policy = Policy::parse_callbacks(&entries.map(str::to_owned)).unwrap();
    let check = |uri: &str| policy.check_target_as_written(&uri.parse().unwrap());
    assert!(check("https://crm.example.com/hook?key=1").is_ok());
    assert!(check("http://10.0.0.7/").is_ok());
    let denied = check("https://evil.example.com/").unwrap_err().to_string();
    assert!(denied.contains("`web.callback-origins`"), "{denied}");
    // The name is listed, but it always means this machine, whose address is not.
    let denied = check("http://localhost:8080/").unwrap_err().to_string();
    assert!(
        denied.contains("receiver `http://localhost:8080`"),
        "{denied}"
    );
    assert!(!denied.contains("127.0.0.1"), "{denied}");
}
