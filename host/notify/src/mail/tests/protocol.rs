//! Sessions with a scripted server in memory, under a clock that only the test's waits move.

use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream,
};

use super::*;
use crate::DeliveryErrorKind;

/// A script: the reply to the first command with each beginning. `GREETING` is before the first command, `CONTENT`
/// after the end of the content.
#[derive(Clone, Default)]
struct Script(Vec<(&'static str, Reply)>);

#[derive(Clone)]
enum Reply {
    Bytes(Vec<u8>),
    Close,
    Hang,
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        match text {
            "CLOSE" => Self::Close,
            "HANG" => Self::Hang,
            text => Self::Bytes(format!("{text}\r\n").into_bytes()),
        }
    }
}

const EHLO: &str = "250-mail.example.com\r\n250-SIZE 1000\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME";

impl Script {
    fn reply(mut self, command: &'static str, reply: impl Into<Reply>) -> Self {
        self.0.insert(0, (command, reply.into()));
        self
    }

    fn find(&self, command: &str) -> Reply {
        let scripted = self.0.iter().find(|(start, _)| command.starts_with(start));
        match scripted {
            Some((_, reply)) => reply.clone(),
            None => Reply::from(match command.get(..4).unwrap_or_default() {
                "GREE" => "220 mail.example.com ESMTP",
                "EHLO" => EHLO,
                "AUTH" => "235 2.7.0 welcome",
                "DATA" => "354 go on",
                "CONT" => "250 2.0.0 Ok: queued as 4F2",
                "QUIT" => "221 bye",
                _ => "250 ok",
            }),
        }
    }

    /// Serves one session and returns the commands and the content.
    async fn serve(self, stream: DuplexStream) -> Vec<String> {
        let mut stream = BufReader::new(stream);
        let mut received = Vec::new();
        let mut command = "GREETING".to_owned();
        loop {
            match self.find(&command) {
                Reply::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return received;
                    }
                }
                Reply::Close => return received,
                Reply::Hang => {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    return received;
                }
            }
            let is_content = command == "DATA"
                && matches!(self.find("DATA"), Reply::Bytes(bytes) if bytes[0] == b'3');
            command.clear();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return received;
                }
                command.push_str(&line);
                if !is_content || line == ".\r\n" {
                    break;
                }
            }
            let text = command.trim_end_matches("\r\n").to_owned();
            received.push(text.clone());
            command = if is_content {
                "CONTENT".to_owned()
            } else {
                text
            };
        }
    }
}

fn plain_options() -> MailOptions {
    MailOptions {
        host: "127.0.0.1".to_owned(),
        tls: TlsMode::None,
        plaintext: Plaintext::Loopback,
        ..options_with_login()
    }
}

/// Sends a message to a scripted server. Returns the result, and what the server received.
async fn send(
    script: Script,
    options: MailOptions,
    message: &[u8],
) -> (Result<crate::Receipt, crate::DeliveryError>, Vec<String>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let served = tokio::spawn(script.serve(far));
    let to = MailAddress::parse("noc@example.net").unwrap();
    let result = server(options).send(async { Ok(near) }, &to, message).await;
    (result, served.await.unwrap())
}

/// Asserts the kind of an error and a part of its text.
async fn assert_fails(script: Script, kind: &str, part: &str) {
    let (result, received) = send(script, plain_options(), b"content\r\n").await;
    let error = result.unwrap_err();
    let found = match error.kind {
        DeliveryErrorKind::Temporary { retry_after: None } => "temporary",
        DeliveryErrorKind::Permanent => "permanent",
        DeliveryErrorKind::Unknown => "unknown",
        other => panic!("{other:?}"),
    };
    assert_eq!(found, kind, "{error} after {received:?}");
    let text = error.to_string();
    assert!(text.starts_with("mail server 127.0.0.1:587, "), "{text}");
    assert!(text.contains(part), "{text}");
    assert!(
        !text.contains(SECRET) && text.chars().count() < 700,
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn accepted_message_has_the_servers_reply() {
    let (result, received) = send(Script::default(), plain_options(), b".dot\r\nlast").await;
    let receipt = result.unwrap();
    assert!(receipt.confirmed);
    assert_eq!(receipt.reply, "250 2.0.0 Ok: queued as 4F2");
    let expected = [
        "EHLO relation.example.com",
        "AUTH PLAIN AHJlbGF5AGNhbmFyeS1yZWxheS1zZWNyZXQ=",
        "MAIL FROM:<notices@example.com>",
        "RCPT TO:<noc@example.net>",
        "DATA",
        "..dot\r\nlast\r\n.",
        "QUIT",
    ];
    assert_eq!(received, expected);
}

#[tokio::test(start_paused = true)]
async fn envelope_sender_is_that_of_the_settings() {
    let options = MailOptions {
        envelope_sender: Some("bounces@bücher.example".to_owned()),
        ..plain_options()
    };
    let (result, received) = send(Script::default(), options, b"content\r\n").await;
    result.unwrap();
    assert_eq!(received[2], "MAIL FROM:<bounces@xn--bcher-kva.example>");
}

#[tokio::test(start_paused = true)]
async fn log_in_falls_back_to_auth_login() {
    let script = Script::default()
        .reply("EHLO", "250-mail.example.com\r\n250 AUTH LOGIN")
        .reply("AUTH LOGIN", "334 VXNlcm5hbWU6")
        .reply("cmVsYXk=", "334 UGFzc3dvcmQ6")
        .reply("Y2FuYXJ5", "235 welcome");
    send(script, plain_options(), b"content\r\n")
        .await
        .0
        .unwrap();
    let endless = Script::default()
        .reply("AUTH", "334 VXNlcm5hbWU6")
        .reply("cmVs", "334 VXNlcm5hbWU6");
    let endless = endless.reply("EHLO", "250-mail.example.com\r\n250 AUTH LOGIN");
    assert_fails(
        endless,
        "temporary",
        "AUTH: its reply is not one to this command: 334",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_mapped_by_step() {
    for (command, reply, kind, part) in [
        (
            "GREETING",
            "554 no service",
            "temporary",
            "greeting: 554 no service; check the settings",
        ),
        ("GREETING", "421 busy", "temporary", "greeting: 421 busy"),
        (
            "EHLO",
            "502 no",
            "temporary",
            "EHLO: 502 no; check the settings",
        ),
        (
            "AUTH",
            "535 5.7.8 bad credentials",
            "temporary",
            "AUTH: 535 5.7.8 bad credentials; check the settings",
        ),
        (
            "AUTH",
            "454 4.7.0 later",
            "temporary",
            "AUTH: 454 4.7.0 later",
        ),
        (
            "MAIL",
            "550 5.7.1 sender refused",
            "temporary",
            "MAIL FROM: 550 5.7.1 sender refused; check the settings",
        ),
        ("MAIL", "452 full", "temporary", "MAIL FROM: 452 full"),
        (
            "RCPT",
            "450 4.2.0 greylisted",
            "temporary",
            "RCPT TO: 450 4.2.0 greylisted",
        ),
        (
            "RCPT",
            "530 5.7.0 AUTH first",
            "temporary",
            "RCPT TO: 530 5.7.0 AUTH first; check the settings",
        ),
        (
            "RCPT",
            "550-5.1.1 no\r\n550 5.1.1 such user",
            "permanent",
            "RCPT TO: 550 5.1.1 no 5.1.1 such user",
        ),
        (
            "DATA",
            "554 no recipients",
            "permanent",
            "DATA: 554 no recipients",
        ),
        (
            "DATA",
            "250 what",
            "temporary",
            "DATA: its reply is not one to this command: 250 what",
        ),
        (
            "CONTENT",
            "451 try later",
            "temporary",
            "end of the content: 451 try later",
        ),
        (
            "CONTENT",
            "552 too big",
            "permanent",
            "end of the content: 552 too big",
        ),
        (
            "CONTENT",
            "354 what",
            "unknown",
            "the server may have accepted the message",
        ),
        (
            "CONTENT",
            "what",
            "unknown",
            "its reply is not one of SMTP: what",
        ),
    ] {
        assert_fails(Script::default().reply(command, reply), kind, part).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_and_late_replies_are_mapped_by_step() {
    for command in ["GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] {
        for (reply, part) in [
            ("CLOSE", "closed the connection"),
            ("HANG", "no response in time (`attempt-limit`)"),
        ] {
            assert_fails(Script::default().reply(command, reply), "temporary", part).await;
        }
    }
    for (reply, part) in [("CLOSE", "closed"), ("HANG", "no response in time")] {
        assert_fails(Script::default().reply("CONTENT", reply), "unknown", part).await;
    }
}

#[tokio::test(start_paused = true)]
async fn late_farewell_does_not_change_the_result() {
    let before = tokio::time::Instant::now();
    let (result, _) = send(
        Script::default().reply("QUIT", "HANG"),
        plain_options(),
        b"a\r\n",
    )
    .await;
    result.unwrap();
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn replies_are_bounded() {
    let endless_line = Reply::Bytes([b"220 ".as_slice(), &b"x".repeat(100_000)].concat());
    assert_fails(
        Script::default().reply("GREETING", endless_line),
        "temporary",
        "longer than 4096 bytes",
    )
    .await;
    let endless_lines = Reply::Bytes(b"250-more\r\n".repeat(1000));
    assert_fails(
        Script::default().reply("EHLO", endless_lines),
        "temporary",
        "more than 100 lines",
    )
    .await;
    let long = format!("550 {}", "x".repeat(3000));
    let reply = Reply::from(long.as_str());
    assert_fails(Script::default().reply("RCPT", reply), "permanent", "x…").await;
    let long = format!("250 {}", "x".repeat(3000));
    let (result, _) = send(
        Script::default().reply("CONTENT", long.as_str()),
        plain_options(),
        b"a\r\n",
    )
    .await;
    assert_eq!(result.unwrap().reply.chars().count(), 500);
}

#[tokio::test(start_paused = true)]
async fn unusual_replies_are_read() {
    // No text, bare line feeds, lower case, white space only, Latin-1, control characters.
    let script = Script::default()
        .reply("GREETING", Reply::Bytes(b"220\n".to_vec()))
        .reply(
            "EHLO",
            Reply::Bytes(b"250-mail\r\n250-   \r\n250-auth plain\r\n250 \r\n".to_vec()),
        )
        .reply(
            "CONTENT",
            Reply::Bytes(b"250 gr\xfc\xdfe\x1b[2J\r\n".to_vec()),
        );
    let (result, _) = send(script, plain_options(), b"a\r\n").await;
    assert_eq!(result.unwrap().reply, "250 gr\u{fffd}\u{fffd}e\u{fffd}[2J");
}

#[tokio::test(start_paused = true)]
async fn echoed_secret_is_redacted() {
    for echo in [
        "535 bad password canary-relay-secret",
        "535 bad line AHJlbGF5AGNhbmFyeS1yZWxheS1zZWNyZXQ=",
        "535 bad word Y2FuYXJ5LXJlbGF5LXNlY3JldA==",
    ] {
        assert_fails(
            Script::default().reply("AUTH", echo),
            "temporary",
            "[secret]",
        )
        .await;
    }
    let echo = Script::default().reply("CONTENT", "250 thanks, canary-relay-secret");
    let (result, _) = send(echo, plain_options(), b"a\r\n").await;
    assert_eq!(result.unwrap().reply, "250 thanks, [secret]");
}

#[tokio::test(start_paused = true)]
async fn starttls_is_required() {
    let options = MailOptions {
        tls: TlsMode::StartTls,
        ..plain_options()
    };
    let (result, received) = send(Script::default(), options.clone(), b"a\r\n").await;
    let error = result.unwrap_err();
    let expected = "mail server 127.0.0.1:587, STARTTLS: the server does not offer STARTTLS, and no message is sent \
                    without TLS; check the settings of the mail server";
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        error.kind,
        DeliveryErrorKind::Temporary { retry_after: None }
    );
    assert_eq!(received, ["EHLO relation.example.com"]);
    // Replies that are sent before TLS must not be read after it.
    let injected = Script::default()
        .reply("EHLO", "250-mail\r\n250 STARTTLS")
        .reply("STARTTLS", "220 go on\r\n250 injected");
    let (result, received) = send(injected, options, b"a\r\n").await;
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("sent data between its reply to STARTTLS and TLS"),
        "{error}"
    );
    assert_eq!(received, ["EHLO relation.example.com", "STARTTLS"]);
}

#[tokio::test(start_paused = true)]
async fn missing_auth_is_a_setting_at_fault() {
    let script = Script::default().reply("EHLO", "250 mail.example.com");
    assert_fails(
        script,
        "temporary",
        "offers neither AUTH PLAIN nor AUTH LOGIN",
    )
    .await;
}

#[tokio::test]
async fn plaintext_only_goes_to_permitted_addresses() {
    for (host, reason) in [
        (
            "192.0.2.7",
            "192.0.2.7 is not a loopback address, and `plaintext` permits no other",
        ),
        (
            "127.0.0.1",
            "127.0.0.1 (loopback) is not a permitted address",
        ),
        ("mail.example.com", "no address of mail.example.com"),
    ] {
        let options = MailOptions {
            host: host.to_owned(),
            ..plain_options()
        };
        let channel = MailChannel::new(Arc::new(server(options)), recipient(Language::English));
        let message = Message::Single(notice(NoticeKind::Test));
        let attempt = crate::Attempt {
            id: "delivery-1",
            message: &message,
            now: december(7, 10, 0),
        };
        let error = crate::Channel::deliver(&channel, &attempt)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            DeliveryErrorKind::Temporary { retry_after: None }
        );
        let expected = format!("mail server {host}:587, name resolution: {reason}");
        assert!(error.text.starts_with(&expected), "{error}");
    }
}
