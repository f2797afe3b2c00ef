//! Notices of a host by e-mail and SNMP: messages contain neither secrets nor data of another tenant.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_app::config::{MailConfig, NoticesConfig, SnmpConfig};
use relation_e2e::world::{CLIENT_SECRET, COMMUNITY};
use relation_e2e::{Customer, World};
use relation_notify::mail::{Plaintext, TlsMode};
use relation_notify::snmp::MibRoot;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::notices_life::connect_again;

const HOUR: Duration = Duration::from_secs(3_600);
/// The limit for a datagram that was sent before.
const RECEIVE: Duration = Duration::from_secs(60);
const OWN: &str = "sys.Provider.Reseller.Customer";

/// A message that the mail server has accepted.
#[derive(Clone)]
struct Mail {
    to: String,
    /// The headers and bodies, without the breaks of long lines.
    text: String,
}

impl Mail {
    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let mut lines = self.text.lines();
        let found = lines.find_map(|line| line.strip_prefix(&start));
        found.unwrap_or_else(|| panic!("{name}: {}", self.text))
    }
}

/// A mail server that accepts everything.
struct MailServer {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let mails = Arc::<Mutex<Vec<Mail>>>::default();
        let server = Self {
            port: listener.local_addr().expect("it listens").port(),
            mails: Arc::clone(&mails),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mail = accept(stream).await.expect("a whole message");
                mails.lock().push(mail);
            }
        });
        server
    }

    /// Takes the messages, sorted by their receivers.
    fn take(&self) -> Vec<Mail> {
        let mut mails = std::mem::take(&mut *self.mails.lock());
        mails.sort_by(|a, b| a.to.cmp(&b.to));
        mails
    }
}

async fn accept(stream: TcpStream) -> std::io::Result<Mail> {
    let mut stream = BufReader::new(stream);
    let (mut to, mut text) = (String::new(), String::new());
    let mut is_content = false;
    stream.write_all(b"220 mail.example.test\r\n").await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(Mail { to, text });
        }
        let command = line.trim_end();
        let reply = match command.split(' ').next().unwrap_or_default() {
            "." if is_content => {
                is_content = false;
                "250 2.0.0 Ok"
            }
            _ if is_content => {
                let line = line.replace("\r\n", "\n");
                text.push_str(line.strip_suffix("=\n").unwrap_or(&line));
                continue;
            }
            "DATA" => {
                is_content = true;
                "354 go on"
            }
            "RCPT" => {
                to = command.replace("RCPT TO:<", "").replace('>', "");
                "250 2.1.5 Ok"
            }
            _ => "250 Ok",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

fn config(mail: &MailServer) -> NoticesConfig {
    NoticesConfig {
        mail: Some(MailConfig {
            host: "127.0.0.1".to_owned(),
            port: mail.port,
            tls: TlsMode::None,
            plaintext: Plaintext::Loopback,
            user: None,
            password_file: None,
            ehlo: "relation.example.com".to_owned(),
            from: "Relation <relation@example.com>".to_owned(),
            reply_to: None,
            envelope_sender: None,
            addresses: Vec::new(),
        }),
        snmp: Some(SnmpConfig {
            enterprise: 32_473,
            root: MibRoot::with_enterprise(32_473),
            host_id: "1".to_owned(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            allow_sha1: false,
        }),
        ..NoticesConfig::default()
    }
}

async fn receive(socket: &UdpSocket) -> String {
    let mut datagram = [0; 1_500];
    let received = tokio::time::timeout(RECEIVE, socket.recv(&mut datagram)).await;
    let length = received.expect("a datagram").expect("the socket works");
    String::from_utf8_lossy(&datagram[..length]).into_owned()
}

/// Asserts that a text contains neither a token nor a secret of the installation.
#[track_caller]
fn assert_no_secret(text: &str, customer: &Customer) {
    let grant = customer.grant.json();
    for token in ["access_token", "refresh_token"] {
        let token = grant[token].as_str().expect("a token");
        assert!(!text.contains(token), "{text}");
    }
    assert!(!text.contains(CLIENT_SECRET), "{text}");
}

#[tokio::test]
async fn mails_and_traps_have_no_secret_and_no_other_tenant() {
    let mail = MailServer::start().await;
    let noc = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = noc.local_addr().unwrap().to_string();
    let world = World::builder().notices(config(&mail)).start().await;
    let target = json!({"type": "snmp", "name": "NOC", "address": address, "version": "v2c"});
    for (node, recipients) in [
        ("sys.Provider", json!(["noc@provider.example", target])),
        (
            OWN,
            json!({"mode": "add-to-inherited", "values": ["it@customer.example"]}),
        ),
        ("sys.Provider.Other", json!(["it@other.example"])),
    ] {
        let settings = json!({ "recipients": recipients });
        world.set_notice_settings(node, &settings).await;
    }
    let customer = world.add_customer("Contoso").await;
    world.emulator.revoke(&customer.organization);
    let _ = world.host().refresh(&customer.pkid).await.unwrap();
    world.run_for(HOUR).await;
    let told = mail.take();
    let trap = receive(&noc).await;
    connect_again(&world, &customer).await;
    world.run_for(HOUR).await;
    let recovered = mail.take();
    let clear = receive(&noc).await;

    for (mails, trap, code) in [
        (&told, &trap, "WEBEX_REAUTHORIZE"),
        (&recovered, &clear, "WEBEX_CONNECTION_RECOVERED"),
    ] {
        let to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
        assert_eq!(to, ["it@customer.example", "noc@provider.example"]);
        for expected in [COMMUNITY, "Contoso", OWN, code, customer.pkid.as_str()] {
            assert!(trap.contains(expected), "{expected}: {trap}");
        }
        assert_no_secret(trap, &customer);
        for mail in mails {
            assert!(mail.header("Subject").contains("Contoso"), "{}", mail.text);
            assert_no_secret(&mail.text, &customer);
            assert!(!mail.text.contains(COMMUNITY), "{}", mail.text);
        }
        let own = &mails[0].text;
        assert!(
            !own.contains("noc@provider") && !own.contains("other.example"),
            "{own}"
        );
    }
    for (first, second) in told.iter().zip(&recovered) {
        assert_eq!(first.header("References"), second.header("References"));
        assert_ne!(first.header("Message-ID"), second.header("Message-ID"));
    }
    for model in [
        "NoticeDelivery",
        "NoticeRouting",
        "NoticeRecipient",
        "NoticeSettings",
    ] {
        for body in world.bodies(&format!("host/{model}")).await {
            let text = body.to_string();
            assert_no_secret(&text, &customer);
            assert!(!text.contains(COMMUNITY), "{text}");
        }
    }
}
