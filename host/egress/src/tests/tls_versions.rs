//! TLS 1.2 and 1.3 are accepted; a server without either gets a specific error.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{Server, call, get};
use super::tls::{Authority, https_server, untrusting_client};
use crate::{EgressError, SystemResolver};

#[tokio::test]
async fn either_version_will_do() {
    let versions: [&'static SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
    for version in versions {
        let authority = Authority::new();
        let acceptor = authority.acceptor_with("127.0.0.1", 2000, 2999, &[version]);
        let server = https_server(acceptor).await;
        let url = format!("https://{}", server.address);
        let client = authority.client(&[&url], &[], SystemResolver);
        call(&client, get(&url)).await.unwrap();
    }
}

/// Responds to a ClientHello with `response`. Returns the ClientHello and the client's error.
async fn refused_handshake(response: &'static [u8]) -> (Vec<u8>, EgressError) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        let sender = sender.clone();
        async move {
            // A TLS record: type, version and length, then the content.
            let mut head = [0; 5];
            connection.stream.read_exact(&mut head).await.unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            connection.stream.read_exact(&mut hello).await.unwrap();
            sender.send(hello).unwrap();
            connection.stream.write_all(response).await.unwrap();
            connection.silent().await;
        }
    })
    .await;
    let url = format!("https://{}", server.address);
    let client = untrusting_client(&[&url], &[]);
    let error = call(&client, get(&url)).await.unwrap_err();
    assert!(!error.may_have_been_sent());
    let words = "it speaks no version of TLS from 1.2 on";
    assert_eq!(
        error.to_string(),
        format!("no secure connection to `{url}`: {words}")
    );
    (receiver.recv().unwrap(), error)
}

/// A ServerHello of TLS 1.1 (RFC 4346, section 7.4.1.3): its version, a random number, no session,
/// TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
const HELLO_OF_1_1: &[u8] = &[
    22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    0, 0, 0x2f, 0,
];

/// The fatal alert `protocol_version`, which a server of TLS 1.1 may send instead.
const ALERT_OF_1_1: &[u8] = &[21, 3, 2, 0, 2, 2, 70];

#[tokio::test]
async fn a_server_of_tls_1_1_is_refused() {
    for response in [HELLO_OF_1_1, ALERT_OF_1_1] {
        let (_, error) = refused_handshake(response).await;
        assert!(
            matches!(
                error,
                EgressError::Tls {
                    certificate: false,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn no_version_below_1_2_is_offered() {
    let (hello, _) = refused_handshake(ALERT_OF_1_1).await;
    // RFC 8446, section 4.2.1: the extension `supported_versions`, 5 bytes, of which 4 are versions.
    let offered = [0, 43, 0, 5, 4, 3, 4, 3, 3];
    assert!(
        hello.windows(offered.len()).any(|part| part == offered),
        "{hello:?}"
    );
}
