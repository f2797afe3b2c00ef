//! Delivery to aiosmtpd with a scripted behavior.

use std::time::Duration;

use relation_notify::DeliveryErrorKind;
use relation_notify::mail::{MailOptions, TlsMode};
use secrecy::SecretString;

use super::*;
use crate::python::{ScriptedServer, Tls, parse};

const TEMPORARY: DeliveryErrorKind = DeliveryErrorKind::Temporary { retry_after: None };

fn options_with_login(server: &ScriptedServer, secret: &str) -> MailOptions {
    MailOptions {
        user: Some("relay".to_owned()),
        secret: Some(SecretString::from(secret)),
        ..options(server.port, server.authority.pem.clone())
    }
}

fn channel_with_login(server: &ScriptedServer) -> MailChannel {
    channel(
        options_with_login(server, SECRET),
        "noc@bücher.example",
        Language::English,
    )
}

/// Delivers to a server that must not get a message. Returns the error.
async fn fail(server: ScriptedServer, options: MailOptions) -> DeliveryError {
    let channel = channel(options, "noc@example.net", Language::English);
    let error = deliver(&channel, "delivery-1", notice(NoticeKind::Expiring))
        .await
        .unwrap_err();
    assert_eq!(server.stop(), Vec::<String>::new());
    let text = error.to_string();
    assert!(
        text.starts_with("mail server mail.example.test:") && !text.contains(SECRET),
        "{text}"
    );
    error
}

#[tokio::test]
async fn message_is_sent_after_starttls_and_auth() {
    let Some(mut server) = ScriptedServer::start("accept", Tls::Upgrade) else {
        return;
    };
    let receipt = deliver(
        &channel_with_login(&server),
        "delivery-1",
        notice(NoticeKind::Expiring),
    )
    .await
    .unwrap();
    assert_eq!(
        (receipt.confirmed, receipt.reply.as_str()),
        (true, "250 2.0.0 Ok: queued as 4F2")
    );
    let received = server.read();
    assert_eq!(received["from"], "bounces@example.com");
    assert_eq!(
        received["to"],
        serde_json::json!(["noc@xn--bcher-kva.example"])
    );
    assert_eq!(
        (&received["tls"], &received["user"]),
        (&true.into(), &"relay".into())
    );
    assert_eq!(received["host"], "relation.example.com");
    let parsed = parse(received["content"].as_str().unwrap().as_bytes());
    assert_eq!(parsed["defects"], serde_json::json!([]));
    // A line with only a dot does not end the message.
    assert!(
        parsed["text"]
            .as_str()
            .unwrap()
            .contains(". QUIT .the refresh token"),
        "{parsed}"
    );
}

#[tokio::test]
async fn message_is_sent_over_implicit_tls() {
    let Some(mut server) = ScriptedServer::start("accept", Tls::Implicit) else {
        return;
    };
    let options = MailOptions {
        tls: TlsMode::Implicit,
        ..options_with_login(&server, SECRET)
    };
    let channel = channel(options, "noc@example.net", Language::German);
    deliver(&channel, "delivery-1", notice(NoticeKind::Test))
        .await
        .unwrap();
    assert_eq!(server.read()["tls"], true);
}

#[tokio::test]
async fn missing_starttls_sends_nothing() {
    let Some(server) = ScriptedServer::start("accept", Tls::None) else {
        return;
    };
    let options = options_with_login(&server, SECRET);
    let error = fail(server, options).await;
    assert_eq!(error.kind, TEMPORARY);
    assert!(error.text.contains("does not offer STARTTLS"), "{error}");
}

#[tokio::test]
async fn untrusted_certificate_sends_nothing() {
    let Some(server) = ScriptedServer::start("accept", Tls::Upgrade) else {
        return;
    };
    let options = MailOptions {
        extra_ca: None,
        ..options_with_login(&server, SECRET)
    };
    let error = fail(server, options).await;
    assert_eq!(error.kind, TEMPORARY);
    // Without the system's authorities there is another reason.
    let is_refused = error
        .text
        .contains("signed by an authority that this host does not trust");
    assert!(
        is_refused || error.text.contains("no certificate authorities"),
        "{error}"
    );
}

#[tokio::test]
async fn certificate_for_another_name_sends_nothing() {
    let Some(server) = ScriptedServer::start("accept", Tls::OtherName) else {
        return;
    };
    let options = options_with_login(&server, SECRET);
    let error = fail(server, options).await;
    assert_eq!(error.kind, TEMPORARY);
    assert!(
        error
            .text
            .contains("TLS: its certificate is for another name"),
        "{error}"
    );
}

#[tokio::test]
async fn implicit_tls_to_a_plain_port_is_explained() {
    let Some(server) = ScriptedServer::start("accept", Tls::Upgrade) else {
        return;
    };
    let options = MailOptions {
        tls: TlsMode::Implicit,
        ..options_with_login(&server, SECRET)
    };
    let error = fail(server, options).await;
    assert_eq!(error.kind, TEMPORARY);
    assert!(
        error.text.contains("does not speak TLS at this point"),
        "{error}"
    );
}

#[tokio::test]
async fn refused_log_in_is_temporary() {
    let Some(server) = ScriptedServer::start("accept", Tls::Upgrade) else {
        return;
    };
    let wrong = "canary-wrong-secret";
    let options = options_with_login(&server, wrong);
    let error = fail(server, options).await;
    assert_eq!(error.kind, TEMPORARY);
    assert!(error.text.contains("AUTH: 535 5.7.8"), "{error}");
    assert!(!error.text.contains(wrong), "{error}");
}

#[tokio::test]
async fn denied_address_is_not_connected_to() {
    let Some(server) = ScriptedServer::start("accept", Tls::Upgrade) else {
        return;
    };
    let options = options_with_login(&server, SECRET);
    let relay =
        MailServer::new(options, Arc::new(Loopback), permit_global_and(Vec::new())).unwrap();
    let recipient = Recipient {
        address: MailAddress::parse("noc@example.net").unwrap(),
        language: Language::English,
        zone: Zone::utc(),
        settings_node: "sys.hcs".to_owned(),
    };
    let channel = MailChannel::new(Arc::new(relay), recipient);
    let error = deliver(&channel, "delivery-1", notice(NoticeKind::Test))
        .await
        .unwrap_err();
    assert_eq!(error.kind, TEMPORARY);
    assert!(
        error
            .text
            .contains("127.0.0.1 (loopback) is not a permitted address"),
        "{error}"
    );
}

#[tokio::test]
async fn greylisted_message_is_accepted_later() {
    let Some(mut server) = ScriptedServer::start("greylist", Tls::Upgrade) else {
        return;
    };
    let channel = channel_with_login(&server);
    let error = deliver(&channel, "delivery-1", notice(NoticeKind::Expiring))
        .await
        .unwrap_err();
    assert_eq!(error.kind, TEMPORARY);
    assert!(
        error.text.contains("RCPT TO: 451 4.7.1 greylisted"),
        "{error}"
    );
    deliver(&channel, "delivery-1", notice(NoticeKind::Expiring))
        .await
        .unwrap();
    server.read();
}

#[tokio::test]
async fn unknown_recipient_is_permanent() {
    let Some(server) = ScriptedServer::start("reject", Tls::Upgrade) else {
        return;
    };
    let options = options_with_login(&server, SECRET);
    let error = fail(server, options).await;
    assert_eq!(error.kind, DeliveryErrorKind::Permanent);
    assert!(
        error.text.contains("RCPT TO: 550 5.1.1 no such user"),
        "{error}"
    );
}

#[tokio::test]
async fn lost_reply_is_unknown_and_repeated_with_one_id() {
    let Some(mut server) = ScriptedServer::start("drop", Tls::Upgrade) else {
        return;
    };
    let channel = channel_with_login(&server);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let error = deliver(&channel, "delivery-1", notice(NoticeKind::Expiring))
            .await
            .unwrap_err();
        assert_eq!(error.kind, DeliveryErrorKind::Unknown, "{error}");
        let content = server.read()["content"].as_str().unwrap().to_owned();
        ids.push(parse(content.as_bytes())["headers"]["Message-ID"].clone());
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn slow_server_is_left_in_time() {
    let Some(server) = ScriptedServer::start("slow", Tls::Upgrade) else {
        return;
    };
    let options = MailOptions {
        connect_limit: Duration::from_secs(2),
        attempt_limit: Duration::from_secs(2),
        ..options_with_login(&server, SECRET)
    };
    let error = fail(server, options).await;
    assert_eq!(error.kind, TEMPORARY);
    assert!(
        error.text.contains("no response in time (`attempt-limit`)"),
        "{error}"
    );
}
