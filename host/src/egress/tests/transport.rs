//! A transport carries what the policy has passed, and its faults are those of a network.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::sync::{Arc, Mutex};
use tokio::time::{Duration, Instant};

use super::harness::policy;
use crate::egress::{
    Client, ClientOptions, EgressError, Proxies, ProxyUrl, Transport, TransportFault,
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
