//! Addresses that the operator's policy denies, also after a name has changed.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_egress::{Client, ClientOptions, Resolve};
use relation_notify::webhook::{EndpointOptions, EndpointUrl};
use relation_notify::{DeliveryError, DeliveryErrorKind};

use super::support::{Behavior, NO_CONTENT, Server, deliver, expiring, keys, policy, webhook_with};

/// A resolver that returns the next address at each lookup; the last one repeats.
struct ScriptedResolver(Mutex<Vec<IpAddr>>);

#[async_trait]
impl Resolve for ScriptedResolver {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses = self.0.lock();
        let next = addresses[0];
        if addresses.len() > 1 {
            addresses.remove(0);
        }
        Ok(vec![next])
    }
}

fn client(entries: &[&str], addresses: &[&str]) -> Client {
    let addresses = addresses.iter().map(|address| address.parse().unwrap());
    let resolver = ScriptedResolver(Mutex::new(addresses.collect()));
    Client::with_resolver(
        policy(entries),
        ClientOptions::default(),
        Arc::new(resolver),
    )
    .unwrap()
}

fn check_denied(error: &DeliveryError, address: &str) {
    let temporary = DeliveryErrorKind::Temporary { retry_after: None };
    assert_eq!(error.kind, temporary, "{error}");
    assert!(error.text.contains("`web.callback-origins`"), "{error}");
    // The text must not reveal which address a name in the operator's network has.
    assert!(!error.text.contains(address), "{error}");
}

#[tokio::test]
async fn private_addresses_of_a_name_are_denied() {
    for address in [
        "10.0.0.5",
        "192.168.1.1",
        "169.254.169.254",
        "127.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
    ] {
        let url = "https://hooks.example.com/a";
        let webhook = webhook_with(
            client(&["https://hooks.example.com"], &[address]),
            url,
            keys(),
        );
        let error = deliver(&webhook, "msg_1", &expiring()).await.unwrap_err();
        check_denied(&error, address);
    }
}

#[tokio::test]
async fn name_that_moves_to_a_private_address_is_denied() {
    let server = Server::start(Behavior::respond(&[NO_CONTENT])).await;
    let url = format!("http://hooks.example.com:{}", server.address.port());
    let entries = [url.as_str(), &server.origin()];
    let webhook = webhook_with(
        client(&entries, &["127.0.0.1", "169.254.169.254"]),
        &url,
        keys(),
    );
    deliver(&webhook, "msg_1", &expiring()).await.unwrap();
    let error = deliver(&webhook, "msg_2", &expiring()).await.unwrap_err();
    check_denied(&error, "169.254.169.254");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn receiver_is_denied_after_the_operator_removes_it() {
    let before = policy(&["https://hooks.example.com"]);
    let text = "https://hooks.example.com/path-canary-1".into();
    let url = EndpointUrl::parse(&text, EndpointOptions::default(), &before).unwrap();
    let after = client(&["https://other.example.com"], &["192.0.2.1"]);
    let webhook = relation_notify::webhook::Webhook::new(after, url, keys());
    let error = deliver(&webhook, "msg_1", &expiring()).await.unwrap_err();
    check_denied(&error, "path-canary-1");
}
