//! Names that resolve to denied addresses, and names whose addresses change.

use std::sync::Arc;

use super::harness::{OK, ScriptedResolver, Server, call, get, policy};
use crate::{AddressClass, Client, ClientOptions, Denial, EgressError};

fn client(allow: &[&str], names: ScriptedResolver) -> Client {
    Client::with_resolver(
        policy(allow, &[]),
        ClientOptions::default(),
        Arc::new(names),
    )
    .unwrap()
}

#[tokio::test]
async fn name_at_internal_address_is_denied_with_class() {
    let names = ScriptedResolver::default().with(
        "api.example",
        &[&["10.0.0.5", "169.254.169.254", "::ffff:192.168.0.1", "::1"]],
    );
    let error = call(
        &client(&["http://api.example"], names),
        get("http://api.example/"),
    )
    .await;
    match error.unwrap_err() {
        EgressError::Denied(Denial::Address { addresses, .. }) => {
            let classes: Vec<AddressClass> = addresses.iter().map(|(_, class)| *class).collect();
            let expected = [
                AddressClass::Private,
                AddressClass::Metadata,
                AddressClass::Private,
                AddressClass::Loopback,
            ];
            assert_eq!(classes, expected);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bad_addresses_are_dropped_and_the_good_one_is_used() {
    let server = Server::responding(OK).await;
    let port = server.address.port();
    let names =
        ScriptedResolver::default().with("api.example", &[&["10.0.0.5", "127.0.0.2", "127.0.0.1"]]);
    let url = format!("http://api.example:{port}");
    let client = client(&[&url, &server.url()], names);
    call(&client, get(&url)).await.unwrap();
    let host = format!("host: api.example:{port}\r\n");
    assert!(server.requests()[0].contains(&host));
}

#[tokio::test]
async fn the_next_address_is_tried_after_a_timeout() {
    let server = Server::responding(OK).await;
    let port = server.address.port();
    let names =
        ScriptedResolver::default().with("api.example", &[&["::1", "127.0.0.9", "127.0.0.1"]]);
    let url = format!("http://api.example:{port}");
    let literals = [
        format!("http://[::1]:{port}"),
        format!("http://127.0.0.9:{port}"),
    ];
    let client = client(&[&url, &server.url(), &literals[0], &literals[1]], names);
    call(&client, get(&url)).await.unwrap();
}

#[tokio::test]
async fn name_is_checked_again_for_each_connection() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection
            .write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await;
    })
    .await;
    let url = format!("http://api.example:{}", server.address.port());
    let names =
        ScriptedResolver::default().with("api.example", &[&["127.0.0.1"], &["169.254.169.254"]]);
    let client = client(&[&url, &server.url()], names);
    call(&client, get(&url)).await.unwrap();
    let error = call(&client, get(&url)).await.unwrap_err();
    assert!(
        matches!(error, EgressError::Denied(Denial::Address { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn name_without_address_is_a_resolve_error() {
    let names = ScriptedResolver::default().with("empty.example", &[&[]]);
    let client = client(&["http://empty.example", "http://unknown.example"], names);
    for (url, reason) in [
        ("http://empty.example", "the name has no address"),
        ("http://unknown.example", "name or service not known"),
    ] {
        let error = call(&client, get(url)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot find the address of `{url}`: {reason}; check the name and this host's name service"
            )
        );
        assert!(!error.may_have_been_sent());
    }
}

#[tokio::test]
async fn localhost_is_denied_unless_address_is_listed() {
    let server = Server::responding(OK).await;
    let url = format!("http://localhost:{}", server.address.port());
    let error = call(&super::harness::client(&[&url]), get(&url))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EgressError::Denied(Denial::Address { .. })),
        "{error:?}"
    );
    call(&super::harness::client(&[&url, &server.url()]), get(&url))
        .await
        .unwrap();
}
