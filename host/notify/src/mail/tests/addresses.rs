//! Addresses of mailboxes.

use super::*;

#[test]
fn domains_become_ascii() {
    for (text, address) in [
        ("noc@example.com", "noc@example.com"),
        (
            "First.Last+relation@EXAMPLE.com",
            "First.Last+relation@example.com",
        ),
        ("noc@bücher.example", "noc@xn--bcher-kva.example"),
        ("noc@例え.テスト", "noc@xn--r8jz45g.xn--zckzah"),
        ("o'brien@example.com", "o'brien@example.com"),
    ] {
        assert_eq!(MailAddress::parse(text).unwrap().to_string(), address);
    }
}

#[test]
fn unusable_addresses_are_refused() {
    let long = format!("{}@example.com", "a".repeat(65));
    let longer = format!("a@{}com", "abcdefghi.".repeat(25));
    for (text, error) in [
        ("noc", MailAddressError::NoAt),
        ("", MailAddressError::NoAt),
        ("@example.com", MailAddressError::Local),
        ("a b@example.com", MailAddressError::Local),
        ("a..b@example.com", MailAddressError::Local),
        ("a@b@example.com", MailAddressError::Local),
        ("\"a b\"@example.com", MailAddressError::Local),
        ("bücher@example.com", MailAddressError::Local),
        ("a\r\nRCPT TO:<b@example.com", MailAddressError::Local),
        ("<a@example.com", MailAddressError::Local),
        (&long, MailAddressError::Local),
        ("a@", MailAddressError::Domain),
        ("a@127.0.0.1", MailAddressError::Domain),
        ("a@[::1]", MailAddressError::Domain),
        ("a@example.com.", MailAddressError::Domain),
        ("a@ex%61mple.com", MailAddressError::Domain),
        ("a@example.com>", MailAddressError::Domain),
        ("a@exam\r\nple.com", MailAddressError::Domain),
        (&longer, MailAddressError::TooLong),
    ] {
        assert_eq!(MailAddress::parse(text), Err(error), "{text}");
    }
}
