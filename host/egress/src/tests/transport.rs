//! A transport receives the permitted requests, and its errors match those of a network.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::harness::{OK, ScriptedResolver, Server, policy, post, proxy, via, within};
use crate::{
    Client, ClientOptions, EgressError, Limit, Peer, Proxies, ProxyUrl, RequestBudget,
    RequestPhase, Transport, TransportError,
};

#[derive(Default)]
struct RecordingTransport {
    requests: Mutex<Vec<Request<Bytes>>>,
    error: Option<TransportError>,
}

#[async_trait]
impl Transport for RecordingTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        self.requests.lock().push(request);
        match &self.error {
            None => Ok(Response::new(Bytes::from_static(b"transported"))),
            Some(error) => Err(error.clone()),
        }
    }
}

async fn send_through(
    transport: &Arc<RecordingTransport>,
    target: &str,
    max_bytes: u64,
) -> Result<Bytes, EgressError> {
    let options = ClientOptions {
        max_response_bytes: max_bytes,
        ..ClientOptions::default()
    };
    let transport_handle = Arc::clone(transport) as Arc<dyn Transport>;
    let client = Client::with_transport(
        policy(&["https://api.example"], &[]),
        options,
        transport_handle,
    );
    let request = Request::post(target).body(Full::from("grant_type=refresh_token"));
    let deadline = Instant::now() + Duration::from_secs(5);
    let response = client
        .send(request.unwrap(), &Proxies::default(), deadline)
        .await?;
    response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
}

#[tokio::test]
async fn transport_gets_absolute_uri_and_whole_body() {
    let transport = Arc::new(RecordingTransport::default());
    let response = send_through(&transport, "https://api.example/v1/token?a=b", 100).await;
    assert_eq!(response.unwrap(), "transported");
    let requests = transport.requests.lock();
    assert_eq!(requests[0].uri(), "https://api.example/v1/token?a=b");
    assert_eq!(requests[0].headers()["host"], "api.example");
    assert_eq!(requests[0].body(), "grant_type=refresh_token");
}

#[tokio::test]
async fn denied_request_does_not_reach_the_transport() {
    let transport = Arc::new(RecordingTransport::default());
    let response = send_through(&transport, "https://elsewhere.example/", 100).await;
    assert!(
        matches!(response, Err(EgressError::Denied(_))),
        "{response:?}"
    );
    assert!(transport.requests.lock().is_empty());
}

#[tokio::test]
async fn transport_response_body_is_limited() {
    let transport = Arc::new(RecordingTransport::default());
    let response = send_through(&transport, "https://api.example/", 3).await;
    assert!(
        matches!(response, Err(EgressError::Limit { .. })),
        "{response:?}"
    );
}

/// A transport that responds with this status and a header field of this many bytes.
struct FixedResponse(u16, usize);

#[async_trait]
impl Transport for FixedResponse {
    async fn send(
        &self,
        _: Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        let response = Response::builder().status(self.0);
        let response = response.header("x-long", "x".repeat(self.1));
        Ok(response.body(Bytes::new()).unwrap())
    }
}

async fn status_through(transport: FixedResponse, target: &str) -> Result<u16, EgressError> {
    let policy = policy(&["http://api.example", "https://api.example"], &[]);
    let client = Client::with_transport(policy, ClientOptions::default(), Arc::new(transport));
    let proxies = Proxies {
        http: Some(proxy("http://proxy.example:3128")),
        https: None,
    };
    let response = client.send(post(target, ""), &proxies, within(5)).await?;
    Ok(response.status().as_u16())
}

#[tokio::test]
async fn proxy_and_upgrade_statuses_are_errors() {
    let refused = status_through(FixedResponse(407, 1), "http://api.example/").await;
    assert!(
        matches!(refused, Err(EgressError::Proxy { .. })),
        "{refused:?}"
    );
    // Within the tunnel the status comes from the target.
    let direct = status_through(FixedResponse(407, 1), "https://api.example/").await;
    assert_eq!(direct.unwrap(), 407);
    let switched = status_through(FixedResponse(101, 1), "https://api.example/").await;
    assert!(
        matches!(switched, Err(EgressError::Protocol { .. })),
        "{switched:?}"
    );
}

#[tokio::test]
async fn transport_response_header_is_limited() {
    let largest = ClientOptions::default().max_header_bytes;
    let fits = status_through(FixedResponse(200, largest - 10), "https://api.example/").await;
    assert_eq!(fits.unwrap(), 200);
    let larger = status_through(FixedResponse(200, largest), "https://api.example/").await;
    assert!(
        matches!(
            larger,
            Err(EgressError::Limit {
                limit: Limit::ResponseHead,
                ..
            })
        ),
        "{larger:?}"
    );
}

#[tokio::test]
async fn transport_errors_say_whether_it_may_have_been_sent() {
    let part = || Response::new(Bytes::from_static(b"par"));
    let errors = [
        (TransportError::Unresolved, false),
        (TransportError::Refused, false),
        (TransportError::Untrusted, false),
        (TransportError::Timeout, true),
        (TransportError::Reset, true),
        (TransportError::Garbled, true),
        (TransportError::Cut(part()), true),
        (TransportError::Stalled(part()), true),
    ];
    for (error, may_have_been_sent) in errors {
        let transport = Arc::new(RecordingTransport {
            error: Some(error.clone()),
            ..RecordingTransport::default()
        });
        let error = send_through(&transport, "https://api.example/", 100).await;
        let error = error.expect_err("the fault is an error");
        assert_eq!(
            error.may_have_been_sent(),
            may_have_been_sent,
            "{error:?}: {error}"
        );
    }
}

/// A transport that forwards every request to a client.
struct Forwarding(Client);

#[async_trait]
impl Transport for Forwarding {
    async fn send(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        Transport::send(&self.0, request, proxy).await
    }
}

/// Returns everything that a caller can observe: status, header fields and body, or the error.
async fn observe(client: &Client, url: &str, proxies: &Proxies) -> String {
    let sent = client.send(post(url, "a=b"), proxies, within(2)).await;
    let (head, body) = match sent {
        Ok(response) => response.into_parts(),
        Err(error) => return format!("no response: {error:?}"),
    };
    let body = body.collect().await;
    let body = body.map(|body| body.to_bytes());
    format!("{} {:?} {body:?}", head.status, head.headers)
}

/// Observes a client directly and through [`Forwarding`], with the requests that the server
/// received.
async fn observe_both(server: &Server, url: &str, proxies: &Proxies) -> [(String, Vec<String>); 2] {
    let [scheme, _, authority, ..] = url.split('/').collect::<Vec<_>>()[..] else {
        panic!("{url} is not an address");
    };
    let target = format!("{scheme}//{authority}");
    let policy = policy(&[&server.url(), &target], &[&server.url()]);
    let options = ClientOptions {
        max_response_bytes: 40,
        max_header_bytes: 400,
        ..ClientOptions::default()
    };
    let client = Client::with_resolver(
        policy.clone(),
        options.clone(),
        Arc::new(ScriptedResolver::default()),
    );
    let client = client.unwrap();
    let direct = observe(&client, url, proxies).await;
    let direct_requests = server.requests();
    let network = Arc::new(Forwarding(client));
    let forwarding = Client::with_transport(policy, options, network);
    let forwarded = observe(&forwarding, url, proxies).await;
    let forwarded_requests = server.requests().split_off(direct_requests.len());
    [(direct, direct_requests), (forwarded, forwarded_requests)]
}

#[tokio::test(start_paused = true)]
async fn forwarding_client_changes_nothing() {
    let server = |response: &'static str| {
        Server::start(move |mut connection| async move {
            if connection.request().await.is_some() {
                connection.write(response).await;
            }
        })
    };
    for (response, says) in [
        (OK, "200 OK"),
        (
            "HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            "retry-after",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", "Closed"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n",
            "ResponseBody",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n30\r\n012345678901234567890123456789012345678901234567\r\n0\r\n\r\n",
            "ResponseBody",
        ),
        ("", "Closed"),
        ("nothing of HTTP\r\n\r\n", "Protocol"),
    ] {
        let server = server(response).await;
        let [direct, forwarded] = observe_both(&server, &server.url(), &Proxies::default()).await;
        assert!(direct.0.contains(says), "{}", direct.0);
        assert_eq!(direct, forwarded);
        assert_eq!(direct.1.len(), 1, "{:?}", direct.1);
    }

    let silent = Server::start(|connection| connection.silent()).await;
    let [direct, forwarded] = observe_both(&silent, &silent.url(), &Proxies::default()).await;
    assert!(
        direct.0.contains("Timeout") && direct.0.contains("Response"),
        "{}",
        direct.0
    );
    assert_eq!(direct, forwarded);
    let halting = Server::start(|mut connection| async move {
        connection.request().await;
        connection
            .write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart")
            .await;
        connection.silent().await;
    })
    .await;
    let [direct, forwarded] = observe_both(&halting, &halting.url(), &Proxies::default()).await;
    assert!(
        direct.0.contains("Timeout") && direct.0.contains("Body"),
        "{}",
        direct.0
    );
    assert_eq!(direct, forwarded);
    // The TLS handshake never begins: the request was certainly not sent, and a plugin must learn
    // that.
    let handshake = silent.url().replace("http://", "https://");
    let [direct, forwarded] = observe_both(&silent, &handshake, &Proxies::default()).await;
    assert!(
        direct.0.contains("Timeout") && direct.0.contains("Tls"),
        "{}",
        direct.0
    );
    assert_eq!(direct.0, forwarded.0);

    let [direct, forwarded] =
        observe_both(&silent, "http://nowhere.example", &Proxies::default()).await;
    assert!(direct.0.contains("Resolve"), "{}", direct.0);
    assert_eq!(direct, forwarded);
    let [direct, forwarded] =
        observe_both(&silent, "http://127.0.0.1:1", &Proxies::default()).await;
    assert!(direct.0.contains("refused: true"), "{}", direct.0);
    assert_eq!(direct, forwarded);
}

#[tokio::test]
async fn forwarding_client_changes_nothing_via_proxy() {
    let proxy = Server::responding(OK).await;
    let with_password = proxy.url().replace("http://", "http://user:password@");
    let [direct, forwarded] =
        observe_both(&proxy, "http://api.example/v1?a=b", &via(with_password)).await;
    assert!(direct.0.contains("200"), "{}", direct.0);
    assert!(
        direct.1[0].contains("proxy-authorization"),
        "{:?}",
        direct.1
    );
    assert_eq!(direct, forwarded);
    let refusing = Server::responding("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").await;
    let [direct, forwarded] =
        observe_both(&refusing, "http://api.example/", &via(refusing.url())).await;
    assert!(direct.0.contains("Proxy"), "{}", direct.0);
    assert_eq!(direct, forwarded);
}

#[tokio::test(start_paused = true)]
async fn requests_to_an_api_with_a_budget_are_spread() {
    let transport: Arc<RecordingTransport> = Arc::default();
    let options = ClientOptions {
        budgets: vec![RequestBudget {
            root: "https://api.example/center/".parse().unwrap(),
            per_minute: 300.try_into().unwrap(),
        }],
        ..ClientOptions::default()
    };
    let handle = Arc::clone(&transport) as Arc<dyn Transport>;
    let client = Client::with_transport(policy(&["https://api.example"], &[]), options, handle);
    let send = |path: &str| {
        let request = post(format!("https://api.example{path}"), "");
        let (client, deadline) = (client.clone(), within(30));
        async move { client.send(request, &Proxies::default(), deadline).await }
    };
    // 30 seconds have room for 150 concurrent requests, and for none after them.
    let begun = Instant::now();
    let first = (0..150).map(|_| send("/center/v2/site?page=1"));
    for sent in futures_util::future::join_all(first).await {
        sent.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::from_millis(149 * 200));
    let others = ["/v1/people", "/centers"].map(send);
    for sent in futures_util::future::join_all(others).await {
        sent.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::from_millis(149 * 200));
    let held = (0..200).map(|_| send("/center"));
    let held = futures_util::future::join_all(held).await;
    let errors: Vec<_> = held.into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 51);
    for error in &errors {
        assert!(!error.may_have_been_sent());
        assert!(matches!(
            error,
            EgressError::Timeout {
                peer: Peer::Target(_),
                phase: RequestPhase::Budget,
            }
        ));
    }
    assert_eq!(transport.requests.lock().len(), 150 + 2 + 149);
}
