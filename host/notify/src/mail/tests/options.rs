//! The check of settings.

use std::time::Duration;

use super::*;

fn fields(options: MailOptions) -> Vec<&'static str> {
    let server = MailServer::new(options, Arc::new(NoNames), permit_global_and(Vec::new()));
    match server {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(|error| error.field).collect(),
    }
}

#[test]
fn valid_settings_are_accepted() {
    let with_all = MailOptions {
        reply_to: Some("help@example.com".to_owned()),
        envelope_sender: Some("bounces@bücher.example".to_owned()),
        ehlo: "[192.0.2.1]".to_owned(),
        host: "2001:db8::1".to_owned(),
        ..options_with_login()
    };
    assert_eq!(fields(with_all), Vec::<&str>::new());
    let local = MailOptions {
        tls: TlsMode::None,
        plaintext: Plaintext::Loopback,
        ..options_with_login()
    };
    assert_eq!(fields(local), Vec::<&str>::new());
}

#[test]
fn all_errors_are_reported_together() {
    let options = MailOptions {
        host: "mail example".to_owned(),
        port: 0,
        tls: TlsMode::None,
        plaintext: Plaintext::Never,
        user: None,
        secret: Some(SecretString::from(SECRET)),
        ehlo: "host\r\nQUIT".to_owned(),
        from: "nobody".to_owned(),
        reply_to: Some("a@".to_owned()),
        envelope_sender: Some("b".to_owned()),
        extra_ca: Some("no certificate".to_owned()),
        connect_limit: Duration::from_secs(700),
        attempt_limit: Duration::ZERO,
    };
    let server = MailServer::new(options, Arc::new(NoNames), permit_global_and(Vec::new()));
    let errors = server.err().unwrap();
    let fields: Vec<_> = errors.0.iter().map(|error| error.field).collect();
    let expected = [
        "host",
        "port",
        "tls",
        "user",
        "ehlo",
        "from",
        "reply-to",
        "envelope-sender",
        "extra-ca",
        "connect-limit",
        "attempt-limit",
        "connect-limit",
    ];
    assert_eq!(fields, expected);
    assert!(!errors.to_string().contains(SECRET) && !format!("{errors:?}").contains(SECRET));
}

#[test]
fn secret_is_not_sent_in_clear() {
    let options = MailOptions {
        tls: TlsMode::None,
        plaintext: Plaintext::TrustedRelay,
        ..options_with_login()
    };
    assert_eq!(fields(options), ["secret"]);
}

#[test]
fn user_and_secret_belong_together() {
    let without = MailOptions {
        secret: None,
        ..options_with_login()
    };
    assert_eq!(fields(without), ["secret"]);
    let broken = MailOptions {
        user: Some("a\0b".to_owned()),
        secret: Some(SecretString::from("")),
        ..valid_options()
    };
    assert_eq!(fields(broken), ["user", "secret"]);
}

#[test]
fn debug_output_hides_the_secret() {
    let options = options_with_login();
    assert!(!format!("{options:?}").contains(SECRET));
    assert!(!format!("{:?}", server(options).options).contains(SECRET));
}

#[test]
fn private_addresses_need_permission() {
    let check = permit_global_and(vec!["10.0.0.25".parse().unwrap()]);
    for (address, permitted) in [
        ("9.9.9.9", true),
        ("10.0.0.25", true),
        ("10.0.0.26", false),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
        ("::1", false),
    ] {
        assert_eq!(
            check(address.parse().unwrap()).is_ok(),
            permitted,
            "{address}"
        );
    }
}
