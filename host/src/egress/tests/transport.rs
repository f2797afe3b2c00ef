//! A transport carries what the policy has passed, and its faults are those of a network.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::sync::{Arc, Mutex};
use tokio::time::{Duration, Instant};

use super::harness::{Names, OK, Server, by, policy, post, proxy, within};
use crate::egress::{
    Client, ClientOptions, EgressError, Limit, Proxies, ProxyUrl, Transport, TransportFault,
};

#[derive(Default)]
struct Carried {
    requests: Mutex<Vec<Request<Bytes>>>,
    fault: Option<TransportFault>,
}

#[async_trait]
impl Transport for Carried {
    async fn carry(
        &self,
        request: Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportFault> {
        self.requests.lock().unwrap().push(request);
        match &self.fault {
            None => Ok(Response::new(Bytes::from_static(b"carried"))),
            Some(fault) => Err(fault.clone()),
        }
    }
}

async fn sent(
    transport: &Arc<Carried>,
    target: &str,
    most_bytes: u64,
) -> Result<Bytes, EgressError> {
    let options = ClientOptions {
        max_response_bytes: most_bytes,
        ..ClientOptions::default()
    };
    let carrier = Arc::clone(transport) as Arc<dyn Transport>;
    let client = Client::with_transport(policy(&["https://api.example"], &[]), options, carrier);
    let request = Request::post(target).body(Full::from("grant_type=refresh_token"));
    let deadline = Instant::now() + Duration::from_secs(5);
    let answer = client
        .send(request.unwrap(), &Proxies::default(), deadline)
        .await?;
    answer
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
}

#[tokio::test]
async fn a_request_is_carried_with_its_absolute_address_and_its_whole_body() {
    let transport = Arc::new(Carried::default());
    let answer = sent(&transport, "https://api.example/v1/token?a=b", 100).await;
    assert_eq!(answer.unwrap(), "carried");
    let requests = transport.requests.lock().unwrap();
    assert_eq!(requests[0].uri(), "https://api.example/v1/token?a=b");
    assert_eq!(requests[0].headers()["host"], "api.example");
    assert_eq!(requests[0].body(), "grant_type=refresh_token");
}

#[tokio::test]
async fn what_the_policy_refuses_never_reaches_the_transport() {
    let transport = Arc::new(Carried::default());
    let answer = sent(&transport, "https://elsewhere.example/", 100).await;
    assert!(matches!(answer, Err(EgressError::Denied(_))), "{answer:?}");
    assert!(transport.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_may_be_no_larger_than_one_from_a_network() {
    let transport = Arc::new(Carried::default());
    let answer = sent(&transport, "https://api.example/", 3).await;
    assert!(
        matches!(answer, Err(EgressError::Limit { .. })),
        "{answer:?}"
    );
}

/// Answers everything with this status and a header field of so many bytes.
struct Answering(u16, usize);

#[async_trait]
impl Transport for Answering {
    async fn carry(
        &self,
        _: Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportFault> {
        let answer = Response::builder().status(self.0);
        let answer = answer.header("x-long", "x".repeat(self.1));
        Ok(answer.body(Bytes::new()).unwrap())
    }
}

async fn answered(transport: Answering, target: &str) -> Result<u16, EgressError> {
    let policy = policy(&["http://api.example", "https://api.example"], &[]);
    let client = Client::with_transport(policy, ClientOptions::default(), Arc::new(transport));
    let proxies = Proxies {
        http: Some(proxy("http://proxy.example:3128")),
        https: None,
    };
    let answer = client.send(post(target, ""), &proxies, within(5)).await?;
    Ok(answer.status().as_u16())
}

#[tokio::test]
async fn a_status_that_is_not_the_targets_is_no_answer_of_it() {
    let refused = answered(Answering(407, 1), "http://api.example/").await;
    assert!(
        matches!(refused, Err(EgressError::Proxy { .. })),
        "{refused:?}"
    );
    // Within the tunnel the proxy has no say.
    let direct = answered(Answering(407, 1), "https://api.example/").await;
    assert_eq!(direct.unwrap(), 407);
    let switched = answered(Answering(101, 1), "https://api.example/").await;
    assert!(
        matches!(switched, Err(EgressError::Protocol { .. })),
        "{switched:?}"
    );
}

#[tokio::test]
async fn a_header_may_be_no_larger_than_one_from_a_network() {
    let largest = ClientOptions::default().max_header_bytes;
    let fits = answered(Answering(200, largest - 10), "https://api.example/").await;
    assert_eq!(fits.unwrap(), 200);
    let larger = answered(Answering(200, largest), "https://api.example/").await;
    assert!(
        matches!(
            larger,
            Err(EgressError::Limit {
                limit: Limit::AnswerHead,
                ..
            })
        ),
        "{larger:?}"
    );
}

#[tokio::test]
async fn a_fault_tells_as_on_a_network_whether_the_request_may_have_been_sent() {
    let part = || Response::new(Bytes::from_static(b"par"));
    let faults = [
        (TransportFault::Unresolved, false),
        (TransportFault::Refused, false),
        (TransportFault::Untrusted, false),
        (TransportFault::Timeout, true),
        (TransportFault::Reset, true),
        (TransportFault::Garbled, true),
        (TransportFault::Cut(part()), true),
        (TransportFault::Stalled(part()), true),
    ];
    for (fault, may_have_been_sent) in faults {
        let transport = Arc::new(Carried {
            fault: Some(fault.clone()),
            ..Carried::default()
        });
        let error = sent(&transport, "https://api.example/", 100).await;
        let error = error.expect_err("a fault is no answer");
        assert_eq!(
            error.may_have_been_sent(),
            may_have_been_sent,
            "{fault:?}: {error}"
        );
    }
}

/// Hands everything on.
struct LooksOn(Client);

#[async_trait]
impl Transport for LooksOn {
    async fn carry(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportFault> {
        self.0.carry(request, proxy).await
    }
}

/// Status, header fields and body, or the fault: all that a caller can see.
async fn told(client: &Client, url: &str, proxies: &Proxies) -> String {
    let sent = client.send(post(url, "a=b"), proxies, within(2)).await;
    let (head, body) = match sent {
        Ok(answer) => answer.into_parts(),
        Err(error) => return format!("no answer: {error:?}"),
    };
    let body = body.collect().await;
    let body = body.map(|body| body.to_bytes());
    format!("{} {:?} {body:?}", head.status, head.headers)
}

/// What a client tells, and what it tells when somebody looks on; with what the server was sent.
async fn both(server: &Server, url: &str, proxies: &Proxies) -> [(String, Vec<String>); 2] {
    let [scheme, _, authority, ..] = url.split('/').collect::<Vec<_>>()[..] else {
        panic!("{url} is no address");
    };
    let target = format!("{scheme}//{authority}");
    let policy = policy(&[&server.url(), &target], &[&server.url()]);
    let options = ClientOptions {
        max_response_bytes: 40,
        max_header_bytes: 400,
        ..ClientOptions::default()
    };
    let client = Client::with_resolver(policy.clone(), options.clone(), Arc::new(Names::default()));
    let client = client.unwrap();
    let alone = told(&client, url, proxies).await;
    let to_alone = server.requests();
    let network = Arc::new(LooksOn(client));
    let watched = Client::with_transport(policy, options, network);
    let seen = told(&watched, url, proxies).await;
    let to_watched = server.requests().split_off(to_alone.len());
    [(alone, to_alone), (seen, to_watched)]
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_on_changes_nothing_of_what_a_client_tells_or_sends() {
    let server = |answer: &'static str| {
        Server::start(move |mut served| async move {
            if served.request().await.is_some() {
                served.write(answer).await;
            }
        })
    };
    for (answer, says) in [
        (OK, "200 OK"),
        (
            "HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            "retry-after",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", "Closed"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n",
            "AnswerBody",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n30\r\n012345678901234567890123456789012345678901234567\r\n0\r\n\r\n",
            "AnswerBody",
        ),
        ("", "Closed"),
        ("nothing of HTTP\r\n\r\n", "Protocol"),
    ] {
        let server = server(answer).await;
        let [alone, seen] = both(&server, &server.url(), &Proxies::default()).await;
        assert!(alone.0.contains(says), "{}", alone.0);
        assert_eq!(alone, seen);
        assert_eq!(alone.1.len(), 1, "{:?}", alone.1);
    }

    let silent = Server::start(|served| served.silent()).await;
    let [alone, seen] = both(&silent, &silent.url(), &Proxies::default()).await;
    assert!(
        alone.0.contains("Timeout") && alone.0.contains("Answer"),
        "{}",
        alone.0
    );
    assert_eq!(alone, seen);
    let halting = Server::start(|mut served| async move {
        served.request().await;
        served
            .write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart")
            .await;
        served.silent().await;
    })
    .await;
    let [alone, seen] = both(&halting, &halting.url(), &Proxies::default()).await;
    assert!(
        alone.0.contains("Timeout") && alone.0.contains("Body"),
        "{}",
        alone.0
    );
    assert_eq!(alone, seen);
    // The handshake of TLS never begins: certainly not sent, which a plugin must be told.
    let handshake = silent.url().replace("http://", "https://");
    let [alone, seen] = both(&silent, &handshake, &Proxies::default()).await;
    assert!(
        alone.0.contains("Timeout") && alone.0.contains("Tls"),
        "{}",
        alone.0
    );
    assert_eq!(alone.0, seen.0);

    let [alone, seen] = both(&silent, "http://nowhere.example", &Proxies::default()).await;
    assert!(alone.0.contains("Resolve"), "{}", alone.0);
    assert_eq!(alone, seen);
    let [alone, seen] = both(&silent, "http://127.0.0.1:1", &Proxies::default()).await;
    assert!(alone.0.contains("refused: true"), "{}", alone.0);
    assert_eq!(alone, seen);
}

#[tokio::test]
async fn whoever_looks_on_changes_nothing_of_the_way_through_a_proxy() {
    let proxy = Server::answering(OK).await;
    let with_password = proxy.url().replace("http://", "http://user:password@");
    let [alone, seen] = both(&proxy, "http://api.example/v1?a=b", &by(with_password)).await;
    assert!(alone.0.contains("200"), "{}", alone.0);
    assert!(alone.1[0].contains("proxy-authorization"), "{:?}", alone.1);
    assert_eq!(alone, seen);
    let refusing = Server::answering("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").await;
    let [alone, seen] = both(&refusing, "http://api.example/", &by(refusing.url())).await;
    assert!(alone.0.contains("Proxy"), "{}", alone.0);
    assert_eq!(alone, seen);
}
