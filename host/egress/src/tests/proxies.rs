//! Proxies: absolute form, tunnels, credentials, refusals, and no sharing between customers.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::harness::{
    OK, ScriptedResolver, Server, ServerConnection, call_via, client, field, get, policy, post,
    proxy, via,
};
use super::tls::{Authority, accept_tls, https_server};
use crate::{Client, ClientOptions, Denial, EgressError, Proxies, RequestPhase, Resolve};

/// A response like squid's. A connection without `keep-alive` would not be reused.
const KEPT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok";

const TARGET: &str = "http://api.example";

fn client_via(proxy: &Server) -> Client {
    let policy = policy(&[TARGET, "https://api.example"], &[&proxy.url()]);
    // The resolver is empty: through a proxy, the target's name is not resolved here.
    Client::with_resolver(
        policy,
        ClientOptions::default(),
        std::sync::Arc::new(ScriptedResolver::default()),
    )
    .unwrap()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// Opens a tunnel to `to` for any requested target.
async fn tunnel(mut connection: ServerConnection, to: SocketAddr) {
    if connection.request().await.is_some() {
        let mut target = TcpStream::connect(to).await.unwrap();
        connection
            .write("HTTP/1.0 200 Connection established\r\nproxy-agent: test\r\n\r\n")
            .await;
        copy_bidirectional(&mut connection.stream, &mut target)
            .await
            .ok();
    }
}

struct TunnelSetup {
    authority: Authority,
    target: Server,
    proxy: Server,
    scheme: &'static str,
}

impl TunnelSetup {
    async fn start(proxy_tls: bool) -> Self {
        let authority = Authority::new();
        let target = https_server(authority.acceptor("api.example", 2999)).await;
        let to = target.address;
        let acceptor: Option<TlsAcceptor> =
            proxy_tls.then(|| authority.acceptor("127.0.0.1", 2999));
        let proxy = Server::start(move |connection| {
            let acceptor = acceptor.clone();
            async move {
                let connection = match acceptor {
                    Some(acceptor) => accept_tls(connection, acceptor).await,
                    None => Some(connection),
                };
                if let Some(connection) = connection {
                    tunnel(connection, to).await;
                }
            }
        })
        .await;
        Self {
            authority,
            target,
            proxy,
            scheme: if proxy_tls { "https" } else { "http" },
        }
    }

    fn client(&self) -> Client {
        let listed = format!("{}://{}", self.scheme, self.proxy.address);
        self.authority.client(
            &["https://api.example:8443"],
            &[&listed],
            ScriptedResolver::default(),
        )
    }

    fn proxies(&self, credentials: &str) -> Proxies {
        via(format!(
            "{}://{credentials}{}/",
            self.scheme, self.proxy.address
        ))
    }
}

#[tokio::test]
async fn an_http_target_is_asked_for_in_absolute_form() {
    let server = Server::responding(KEPT).await;
    let client = client_via(&server);
    let proxies = via(format!("http://us%40er:p%3A%2F%23@{}/", server.address));
    for _ in 0..2 {
        call_via(&client, post("http://api.example/v1?a=b", "x"), &proxies)
            .await
            .unwrap();
    }
    let seen = server.requests().remove(0);
    assert!(
        seen.starts_with("POST http://api.example/v1?a=b HTTP/1.1\r\n"),
        "{seen}"
    );
    assert_eq!(field(&seen, "host"), Some("api.example"));
    assert_eq!(
        field(&seen, "proxy-authorization"),
        Some(&*basic("us@er:p:/#"))
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn proxy_without_keep_alive_gets_a_new_connection() {
    let server = Server::responding(OK).await;
    let client = client_via(&server);
    for _ in 0..3 {
        call_via(&client, get(TARGET), &via(server.url()))
            .await
            .unwrap();
        assert_eq!(client.idle_connections(), 0);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_proxy_without_credentials_gets_none() {
    let server = Server::responding(OK).await;
    call_via(&client_via(&server), get(TARGET), &via(server.url()))
        .await
        .unwrap();
    assert_eq!(field(&server.requests()[0], "proxy-authorization"), None);
}

#[tokio::test]
async fn an_https_target_is_reached_through_a_tunnel() {
    for proxy_tls in [false, true] {
        let tunnelled = TunnelSetup::start(proxy_tls).await;
        let (client, proxies) = (tunnelled.client(), tunnelled.proxies("user:p%40ss@"));
        for _ in 0..2 {
            let request = post("https://api.example:8443/v1", "secret body");
            call_via(&client, request, &proxies).await.unwrap();
        }
        let connect = tunnelled.proxy.requests().remove(0);
        assert!(
            connect.starts_with("CONNECT api.example:8443 HTTP/1.1\r\n"),
            "{connect}"
        );
        assert_eq!(field(&connect, "host"), Some("api.example:8443"));
        assert_eq!(
            field(&connect, "proxy-authorization"),
            Some(&*basic("user:p@ss"))
        );
        let inside = tunnelled.target.requests().remove(0);
        assert!(inside.starts_with("POST /v1 HTTP/1.1\r\n"), "{inside}");
        assert_eq!(field(&inside, "proxy-authorization"), None);
        assert_eq!(tunnelled.proxy.connections(), 1, "the tunnel is kept");
    }
}

#[tokio::test]
async fn http_target_via_https_proxy_uses_tls_to_proxy() {
    let authority = Authority::new();
    let server = https_server(authority.acceptor("127.0.0.1", 2999)).await;
    let listed = format!("https://{}", server.address);
    let client = authority.client(&[TARGET], &[&listed], ScriptedResolver::default());
    call_via(&client, get(TARGET), &via(listed)).await.unwrap();
    assert!(server.requests()[0].starts_with("GET http://api.example/ HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_scheme_of_the_target_chooses_the_proxy() {
    let (one, other) = (Server::responding(OK).await, Server::responding(OK).await);
    let policy = policy(&[TARGET], &[&one.url(), &other.url()]);
    let client = Client::new(policy, ClientOptions::default()).unwrap();
    let proxies = Proxies {
        http: Some(proxy(one.url())),
        https: Some(proxy(other.url())),
    };
    call_via(&client, get(TARGET), &proxies).await.unwrap();
    assert_eq!((one.connections(), other.connections()), (1, 0));
}

#[tokio::test]
async fn connections_are_not_shared_across_credentials() {
    let (one, other) = (
        Server::responding(KEPT).await,
        Server::responding(KEPT).await,
    );
    let policy = policy(&[TARGET], &[&one.url(), &other.url()]);
    let client = Client::new(policy, ClientOptions::default()).unwrap();
    let customers = [
        via(format!("http://alice:1@{}", one.address)),
        via(format!("http://alice:2@{}", one.address)),
        via(format!("http://bob:1@{}", one.address)),
        via(one.url()),
        via(format!("http://alice:1@{}", other.address)),
    ];
    for _ in 0..3 {
        for customer in &customers {
            call_via(&client, get(TARGET), customer).await.unwrap();
        }
    }
    assert_eq!((one.connections(), one.requests().len()), (4, 12));
    assert_eq!((other.connections(), other.requests().len()), (1, 3));
}

#[tokio::test]
async fn tunnels_are_not_shared_across_credentials() {
    let tunnelled = TunnelSetup::start(false).await;
    let client = tunnelled.client();
    for credentials in ["alice:1@", "alice:2@", "", "alice:1@"] {
        let proxies = tunnelled.proxies(credentials);
        call_via(&client, get("https://api.example:8443"), &proxies)
            .await
            .unwrap();
    }
    assert_eq!(tunnelled.proxy.connections(), 3);
    let direct = call_via(
        &client,
        get("https://api.example:8443"),
        &Proxies::default(),
    )
    .await;
    assert!(
        matches!(direct, Err(EgressError::Resolve { .. })),
        "{direct:?}"
    );
}

#[tokio::test]
async fn status_407_is_a_proxy_error_for_both_schemes() {
    let text = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\
                content-length: 0\r\n\r\n";
    let server = Server::responding(text).await;
    let client = client_via(&server);
    for target in [TARGET, "https://api.example"] {
        for (credentials, words) in [
            (
                "user:canary@",
                "refused the user name or password (407); correct them in the proxy setting",
            ),
            (
                "",
                "wants a user name and password (407); add them to the proxy setting",
            ),
        ] {
            let proxies = via(format!("http://{credentials}{}", server.address));
            let error = call_via(&client, get(target), &proxies).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("proxy `{}` {words}", server.url())
            );
            assert!(!error.may_have_been_sent());
        }
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_a_tunnel_is_quoted_by_status() {
    let server = Server::responding("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let proxies = via(server.url());
    let error = call_via(&client_via(&server), get("https://api.example"), &proxies).await;
    match error.unwrap_err() {
        EgressError::Proxy { status, .. } => assert_eq!(status, StatusCode::FORBIDDEN),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn closed_proxy_connection_names_the_phase() {
    let half_a_head = "HTTP/1.1 200 Connec";
    let half_a_body = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    for (target, text, phase) in [
        ("https://api.example", "", RequestPhase::Proxy),
        ("https://api.example", half_a_head, RequestPhase::Proxy),
        (TARGET, half_a_head, RequestPhase::Response),
        (TARGET, half_a_body, RequestPhase::Body),
    ] {
        let server = Server::start(move |mut connection| async move {
            connection.request().await;
            connection.write(text).await;
        })
        .await;
        let proxies = via(server.url());
        let error = call_via(&client_via(&server), get(target), &proxies)
            .await
            .unwrap_err();
        assert_eq!(error.may_have_been_sent(), phase != RequestPhase::Proxy);
        match error {
            EgressError::Closed { phase: found, .. } => assert_eq!(found, phase, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn proxy_connect_and_tls_errors_name_the_proxy() {
    let untrusted = https_server(Authority::new().acceptor("127.0.0.1", 2999)).await;
    let untrusted = format!("https://{}", untrusted.address);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = format!("http://{closed}");
    let client = Authority::new().client(
        &[TARGET],
        &[&untrusted, &closed],
        ScriptedResolver::default(),
    );
    for url in [untrusted, closed] {
        let error = call_via(&client, get(TARGET), &via(&url))
            .await
            .unwrap_err();
        assert!(!error.may_have_been_sent());
        match error {
            EgressError::Tls { peer, .. } | EgressError::Connect { peer, .. } => {
                assert_eq!(peer.to_string(), format!("proxy `{url}`"));
            }
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn proxy_data_inside_the_tunnel_is_an_error() {
    let server = Server::responding("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await;
    let proxies = via(server.url());
    let error = call_via(&client_via(&server), get("https://api.example"), &proxies).await;
    assert!(
        matches!(
            error,
            Err(EgressError::Protocol {
                phase: RequestPhase::Proxy,
                ..
            })
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn target_is_checked_by_name_and_proxy_by_address() {
    let server = Server::responding(OK).await;
    let proxies = via(server.url());
    // A proxy does not extend the allow-list.
    let denied = call_via(&client_via(&server), get("http://other.example"), &proxies).await;
    assert!(
        matches!(denied, Err(EgressError::Denied(Denial::Origin { .. }))),
        "{denied:?}"
    );
    // A proxy on this machine that is not listed.
    let denied = call_via(&client(&[TARGET]), get(TARGET), &proxies).await;
    assert!(
        matches!(denied, Err(EgressError::Denied(Denial::Address { .. }))),
        "{denied:?}"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn proxy_error_hides_the_resolved_address() {
    let names = ScriptedResolver::default().with("intranet.example", &[&["10.3.4.5"]]);
    let names: std::sync::Arc<dyn Resolve> = std::sync::Arc::new(names);
    let policy = policy(&[TARGET], &[]);
    let client = Client::with_resolver(policy, ClientOptions::default(), names).unwrap();
    let error = call_via(&client, get(TARGET), &via("http://intranet.example:3128")).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("(private)") && !text.contains("10.3.4.5"),
        "{text}"
    );
}
