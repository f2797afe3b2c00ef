//! Delivery through Postfix into a mailbox, and the message that arrives there.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use relation_notify::DeliveryErrorKind;
use relation_notify::mail::TlsMode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::authority::Authority;
use crate::python::parse;

const MASTER: &str = "/usr/lib/postfix/sbin/master";

/// A relay with its own configuration, queue and mailbox, as this process's child.
struct Postfix {
    child: Child,
    folder: TempDir,
    starttls: u16,
    implicit: u16,
    authority: Authority,
}

/// Polls until there is a value, and fails the test after a minute.
#[track_caller]
fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn id(arguments: &[&str]) -> String {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Creates a directory for a user.
fn create_folder(path: &Path, user: &str) {
    std::fs::create_dir(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let status = Command::new("chown").arg(user).arg(path).status().unwrap();
    assert!(status.success());
}

impl Postfix {
    /// Starts the relay, unless it is missing: then the test is reported as skipped.
    #[track_caller]
    fn start() -> Option<Self> {
        if !Path::new(MASTER).is_file() {
            report_skipped("postfix is not installed (Debian: apt-get install postfix)");
            return None;
        }
        if id(&["-u"]) != "0" {
            report_skipped("postfix only starts as root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
        for (name, user) in [
            ("conf", "root"),
            ("queue", "root"),
            ("data", "postfix"),
            ("mail", "nobody"),
        ] {
            create_folder(&root.join(name), user);
        }
        let authority = Authority::new();
        let (certificate, key) = authority.issue(HOST, root);
        let (starttls, implicit) = (free_port(), free_port());
        std::fs::write(
            root.join("conf/main.cf"),
            main_file(root, &certificate, &key),
        )
        .unwrap();
        std::fs::write(root.join("conf/master.cf"), master_file(starttls, implicit)).unwrap();
        // Creates the queue's directories.
        let mut check = Command::new("/usr/sbin/postfix");
        let checked = check
            .arg("-c")
            .arg(root.join("conf"))
            .arg("check")
            .output()
            .unwrap();
        assert!(checked.status.success(), "{checked:?}");
        let log = std::fs::File::create(root.join("log")).unwrap();
        let child = Command::new(MASTER)
            .arg("-c")
            .arg(root.join("conf"))
            .arg("-d")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut relay = Self {
            child,
            folder,
            starttls,
            implicit,
            authority,
        };
        for port in [starttls, implicit] {
            eventually("postfix listens", || {
                let ended = relay.child.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", relay.log());
                TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()
            });
        }
        Some(relay)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn options(&self) -> MailOptions {
        options(self.starttls, self.authority.pem.clone())
    }

    /// Waits until the mailbox has so many messages, and returns them parsed, sorted by subject.
    fn read_mailbox(&self, count: usize) -> Vec<Value> {
        let new = self.folder.path().join("mail/noc/new");
        let files = eventually("the messages are in the mailbox", || {
            let entries = std::fs::read_dir(&new).ok()?;
            let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            (files.len() >= count).then_some(files)
        });
        assert_eq!(files.len(), count, "{}", self.log());
        let mut messages: Vec<Value> = files
            .iter()
            .map(|file| parse(&std::fs::read(file).unwrap()))
            .collect();
        messages.sort_by_key(|message| message["headers"]["Subject"].to_string());
        messages
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // SIGTERM, at which the master ends its processes.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}

fn main_file(root: &Path, certificate: &Path, key: &Path) -> String {
    let root = root.display();
    let (uid, gid) = (id(&["-u", "nobody"]), id(&["-g", "nobody"]));
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {root}/queue\n\
         data_directory = {root}/data\n\
         command_directory = /usr/sbin\n\
         daemon_directory = /usr/lib/postfix/sbin\n\
         mail_owner = postfix\n\
         setgid_group = postdrop\n\
         myhostname = {HOST}\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         alias_maps =\n\
         alias_database =\n\
         biff = no\n\
         maillog_file = /dev/stdout\n\
         virtual_mailbox_domains = example.test, xn--bcher-kva.example\n\
         virtual_mailbox_base = {root}/mail\n\
         virtual_mailbox_maps = inline:{{ noc@example.test=noc/, noc@xn--bcher-kva.example=noc/ }}\n\
         virtual_minimum_uid = 1\n\
         virtual_uid_maps = static:{uid}\n\
         virtual_gid_maps = static:{gid}\n\
         smtpd_tls_cert_file = {certificate}\n\
         smtpd_tls_key_file = {key}\n\
         smtpd_tls_security_level = encrypt\n\
         smtpd_recipient_restrictions = reject_unlisted_recipient, reject_unauth_destination\n"
    )
}

fn master_file(starttls: u16, implicit: u16) -> String {
    let mut file = format!(
        "{starttls} inet n - n - - smtpd\n\
         {implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n\
         cleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         virtual unix - n n - - virtual\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    );
    for (name, program) in [
        ("bounce", "bounce"),
        ("defer", "bounce"),
        ("trace", "bounce"),
        ("error", "error"),
        ("anvil", "anvil"),
        ("proxymap", "proxymap"),
    ] {
        writeln!(file, "{name} unix - - n - - {program}").unwrap();
    }
    file
}

#[tokio::test]
async fn mailbox_has_the_messages_of_one_thread() {
    let Some(relay) = Postfix::start() else {
        return;
    };
    let english = channel(relay.options(), "noc@example.test", Language::English);
    let implicit = MailOptions {
        tls: TlsMode::Implicit,
        port: relay.implicit,
        ..relay.options()
    };
    let german = channel(implicit, "noc@bücher.example", Language::German);
    let receipt = deliver(&english, "delivery-1", notice(NoticeKind::Expiring))
        .await
        .unwrap();
    assert!(
        receipt.reply.starts_with("250 2.0.0 Ok: queued as "),
        "{receipt:?}"
    );
    deliver(&german, "delivery-2", notice(NoticeKind::Recovered))
        .await
        .unwrap();

    let [recovered, expiring] = &relay.read_mailbox(2)[..] else {
        panic!()
    };
    let name = "Müller & Söhne Bcc: victim@evil.example";
    assert_eq!(
        expiring["headers"]["Subject"],
        format!("[relation] {name}: connection to Webex expires in 2 days (9 Dec)")
    );
    assert_eq!(
        recovered["headers"]["Subject"],
        format!("[relation] {name}: Verbindung zu Webex funktioniert wieder")
    );
    for message in [expiring, recovered] {
        let headers = &message["headers"];
        assert_eq!(message["defects"], json!([]), "{message}");
        assert_eq!(
            message["types"],
            json!(["multipart/alternative", "text/plain", "text/html"])
        );
        assert_eq!(headers["From"], "Relation <notices@xn--bcher-kva.example>");
        assert_eq!(headers["Return-Path"], "<bounces@example.com>");
        assert_eq!(headers["Auto-Submitted"], "auto-generated");
        assert_eq!(
            headers["List-Id"],
            "relation notices <notices.xn--bcher-kva.example>"
        );
        assert_eq!(headers["Date"], "Mon, 07 Dec 2026 10:00:00 +0000");
        assert_eq!(headers["Bcc"], Value::Null);
        assert_eq!(headers["References"], headers["In-Reply-To"]);
        assert_eq!(headers["References"], expiring["headers"]["References"]);
        for body in ["text", "html"] {
            let body = message[body].as_str().unwrap();
            assert!(
                body.contains("https://relation.example.com/organizations/65f0"),
                "{body}"
            );
            assert!(body.contains("noc@"), "{body}");
        }
        assert!(
            message["text"].as_str().unwrap().contains(name),
            "{message}"
        );
        assert!(
            message["html"]
                .as_str()
                .unwrap()
                .contains("Müller &#38; Söhne Bcc"),
            "{message}"
        );
    }
    assert_ne!(
        expiring["headers"]["Message-ID"],
        recovered["headers"]["Message-ID"]
    );
}

#[tokio::test]
async fn refusals_have_the_relays_words() {
    let Some(relay) = Postfix::start() else {
        return;
    };
    let unknown = channel(relay.options(), "nobody@example.test", Language::English);
    let error = deliver(&unknown, "delivery-1", notice(NoticeKind::Test))
        .await
        .unwrap_err();
    assert_eq!(error.kind, DeliveryErrorKind::Permanent);
    assert!(
        error
            .text
            .contains("RCPT TO: 550 5.1.1 <nobody@example.test>: Recipient address rejected"),
        "{error}"
    );
    // The relay has no accounts, so a configured user is an error of the settings.
    let with_user = MailOptions {
        user: Some("relay".to_owned()),
        secret: Some(secrecy::SecretString::from(SECRET)),
        ..relay.options()
    };
    let channel = channel(with_user, "noc@example.test", Language::English);
    let error = deliver(&channel, "delivery-1", notice(NoticeKind::Test))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        DeliveryErrorKind::Temporary { retry_after: None }
    );
    assert!(
        error
            .text
            .contains("offers neither AUTH PLAIN nor AUTH LOGIN"),
        "{error}"
    );
}
