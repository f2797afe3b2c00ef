//! The sample receivers of `docs/receivers` accept our messages, and refuse others.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chrono::TimeDelta;
use relation_notify::webhook::{Rotation, SigningKeys};
use relation_notify::{DeliveryErrorKind, Digest, Message, NoticeKind};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::support::{
    client, deliver, deliver_at, expiring, key_pair, keys, notice, real_time, report_skipped,
    secret, secret_text, webhook, webhook_with,
};

/// The longest wait for a line of a receiver.
const LINE_TIMEOUT: Duration = Duration::from_secs(30);

/// A running receiver, which ends with this value.
struct Receiver {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Receiver {
    /// Starts a receiver with keys. Returns `None` after a report if its program is missing.
    async fn start(program: &str, arguments: &[&str], keys: &[&str]) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/receivers");
        let started = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env("RELATION_WEBHOOK_KEYS", keys.join(" "))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = started else {
            report_skipped(&format!("{program} is not installed"));
            return None;
        };
        let mut receiver = Self {
            url: String::new(),
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        };
        let line = receiver.line().await;
        receiver.url = line.strip_prefix("listening on ").unwrap().to_owned();
        Some(receiver)
    }

    async fn python(keys: &[&str]) -> Option<Self> {
        Self::start("python3", &["receiver.py", "--listen", "127.0.0.1:0"], keys).await
    }

    async fn node(keys: &[&str]) -> Option<Self> {
        Self::start("node", &["receiver.mjs", "127.0.0.1:0"], keys).await
    }

    async fn line(&mut self) -> String {
        let line = timeout(LINE_TIMEOUT, self.lines.next_line()).await;
        line.unwrap().unwrap().expect("the receiver has ended")
    }

    /// Sends as the host does, with the keys of [`keys`].
    async fn check(mut self) {
        let webhook = webhook(&self.url);
        // A repetition is accepted, and handled once.
        for id in ["msg_1", "msg_1"] {
            let receipt = deliver(&webhook, id, &expiring()).await.unwrap();
            assert_eq!(receipt.reply, "204 No Content");
        }
        let digest = Message::Digest(Digest {
            id: "dgst_1".to_owned(),
            node: "sys.Provider".to_owned(),
            notices: vec![
                notice(NoticeKind::Expired),
                notice(NoticeKind::MissingScope),
            ],
            more: 37,
            link: None,
        });
        deliver(&webhook, "msg_2", &digest).await.unwrap();
        for expected in [
            "connection.expiring {",
            "connection.expired {",
            "connection.missing_scope {",
            "notice.digest and 37 more",
        ] {
            let line = self.line().await;
            assert!(line.starts_with(expected), "{line}");
        }
        for (minutes, id) in [(-6, "msg_3"), (6, "msg_4")] {
            let now = real_time() + TimeDelta::minutes(minutes);
            let error = deliver_at(&webhook, id, &expiring(), now)
                .await
                .unwrap_err();
            assert!(error.text.contains("too old or too new"), "{error}");
        }
        let others = SigningKeys {
            secrets: Rotation::new(secret(2)),
            key_pairs: Some(Rotation::new(key_pair(2))),
        };
        let stranger = webhook_with(client(&[&self.url]), &self.url, others);
        let error = deliver(&stranger, "msg_5", &expiring()).await.unwrap_err();
        let temporary = DeliveryErrorKind::Temporary { retry_after: None };
        assert_eq!(error.kind, temporary);
        let expected = "the receiver responded with 401 Unauthorized: no signature matches";
        assert_eq!(error.text, expected);
        // The refused messages were not handled.
        deliver(
            &webhook,
            "msg_6",
            &Message::Single(notice(NoticeKind::Test)),
        )
        .await
        .unwrap();
        let line = self.line().await;
        assert!(line.starts_with("notice.test {"), "{line}");
    }
}

#[tokio::test]
async fn python_receiver_verifies_and_drops_repetitions() {
    if let Some(receiver) = Receiver::python(&[&secret_text(3), &secret_text(1)]).await {
        receiver.check().await;
    }
}

#[tokio::test]
async fn node_receiver_verifies_with_a_secret() {
    if let Some(receiver) = Receiver::node(&[&secret_text(3), &secret_text(1)]).await {
        receiver.check().await;
    }
}

#[tokio::test]
async fn node_receiver_verifies_with_a_public_key() {
    let public = keys().key_pairs.unwrap().current().to_public_text();
    if let Some(receiver) = Receiver::node(&[&public]).await {
        receiver.check().await;
    }
}
