//! Exchanges with a scripted receiver.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::message::{
    RESPONSE, ReceivedMessage, build_community_message, build_pdu, read_community_message,
};
use super::super::{ResolveError, SnmpKind, SnmpVersion};
use super::receiver::{Engine, TestHost, answer_community, bind, keys, serve, v2c, v3};
use crate::{DeliveryError, DeliveryErrorKind, Receipt};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Sends one inform to a scripted receiver. Returns the result and the datagrams that the receiver got.
async fn inform(
    host: &TestHost,
    version: SnmpVersion,
    mut script: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (Result<Receipt, DeliveryError>, Vec<Vec<u8>>) {
    let (socket, address) = bind().await;
    let received = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::clone(&received);
    let server = serve(
        socket,
        Box::new(move |datagram| {
            let mut received = store.lock();
            received.push(datagram.to_vec());
            script(received.len(), datagram)
        }),
    );
    let result = tokio::select! {
        () = server => unreachable!(),
        result = host.inform(address.port(), version) => result,
    };
    let datagrams = received.lock().clone();
    (result, datagrams)
}

fn host() -> TestHost {
    TestHost::new(&[LOCALHOST])
}

#[tokio::test]
async fn lost_response_repeats_the_same_request() {
    let script = |number, datagram: &[u8]| match number {
        1 => vec![],
        _ => vec![answer_community(datagram)],
    };
    let (result, datagrams) = inform(&host(), v2c(), script).await;
    assert!(result.unwrap().confirmed);
    assert_eq!(datagrams.len(), 2);
    assert_eq!(datagrams[0], datagrams[1]);
}

#[tokio::test]
async fn other_datagrams_are_not_the_response() {
    let script = |_, datagram: &[u8]| {
        let id = read_community_message(datagram).unwrap().request_id;
        let with_id = |id| build_community_message("public", &build_pdu(RESPONSE, id, &[]));
        vec![
            b"noise".to_vec(),
            vec![],
            with_id(id.wrapping_add(1)),
            datagram.to_vec(),
            with_id(id),
        ]
    };
    let (result, datagrams) = inform(&host(), v2c(), script).await;
    assert!(result.unwrap().confirmed);
    assert_eq!(datagrams.len(), 1);
}

#[tokio::test]
async fn silent_receiver_is_a_temporary_error() {
    let (result, datagrams) = inform(&host(), v2c(), |_, _| vec![vec![0x30, 0x80]]).await;
    let error = result.unwrap_err();
    assert_eq!(
        error.kind,
        DeliveryErrorKind::Temporary { retry_after: None }
    );
    assert_eq!(datagrams.len(), 3);
    for expected in [
        "no response from 127.0.0.1:",
        "(3 tries)",
        "accepts this community",
        "is not a response of SNMP",
    ] {
        assert!(
            error.text.contains(expected),
            "{expected} is not in {error}"
        );
    }
    assert!(!error.text.contains("canary"));
}

#[tokio::test]
async fn flood_of_datagrams_does_not_prolong_an_attempt() {
    let (result, datagrams) = inform(&host(), v2c(), |_, _| vec![b"noise".to_vec(); 60]).await;
    assert!(result.is_err());
    assert_eq!(datagrams.len(), 3);
}

#[tokio::test]
async fn error_status_is_reported() {
    let script = |_, datagram: &[u8]| {
        let mut response = answer_community(datagram);
        // The error status is before the error index and the empty list.
        let at = response.len() - 6;
        response[at] = 16;
        vec![response]
    };
    let (result, datagrams) = inform(&host(), v2c(), script).await;
    assert!(result.unwrap_err().text.contains("authorizationError"));
    assert_eq!(datagrams.len(), 1);
}

#[tokio::test]
async fn refused_address_gets_no_datagram() {
    for kind in [SnmpKind::Trap, SnmpKind::Inform] {
        let refused = ResolveError::Refused("add it to `notices.snmp-receivers`".to_owned());
        let host = TestHost::with_resolved(Err(refused));
        let error = host.deliver(162, v2c(), kind).await.unwrap_err();
        assert_eq!(error.kind, DeliveryErrorKind::Permanent);
        assert_eq!(
            error.text,
            "the receiver nms.example.com:162 is refused: add it to `notices.snmp-receivers`"
        );
        let failed = ResolveError::Failed("no such name".to_owned());
        for resolved in [Err(failed), Ok(vec![])] {
            let error = TestHost::with_resolved(resolved)
                .deliver(162, v2c(), kind)
                .await
                .unwrap_err();
            assert_eq!(
                error.kind,
                DeliveryErrorKind::Temporary { retry_after: None }
            );
        }
    }
}

#[tokio::test]
async fn second_address_is_tried() {
    let (socket, address) = bind().await;
    // A closed port at the first address.
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let host = TestHost::new(&[other, LOCALHOST]);
    let server = serve(
        socket,
        Box::new(|datagram| vec![answer_community(datagram)]),
    );
    let receipt = tokio::select! {
        () = server => unreachable!(),
        result = host.inform(address.port(), v2c()) => result.unwrap(),
    };
    assert!(
        receipt.reply.contains(&address.to_string()),
        "{}",
        receipt.reply
    );
}

#[tokio::test]
async fn engine_is_discovered_once_and_then_cached() {
    let (socket, address) = bind().await;
    let mut engine = Engine::new("receiver", 9, 100_000);
    let count = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&count);
    let restart = Arc::new(Mutex::new(None::<Engine>));
    let restarted = Arc::clone(&restart);
    let server = serve(
        socket,
        Box::new(move |datagram| {
            engine = restarted.lock().take().unwrap_or(engine.clone());
            counted
                .lock()
                .push(ReceivedMessage::read(datagram).unwrap().time.boots);
            vec![engine.handle(datagram)]
        }),
    );
    let host = host();
    let test = async {
        let inform = async || {
            host.inform(address.port(), v3(false)).await.unwrap();
            std::mem::take(&mut *count.lock())
        };
        // Discovery, an inform without a known time, and one with it.
        assert_eq!(inform().await, [0, 0, 9]);
        assert_eq!(inform().await, [9]);
        // The receiver's time passes with this host's clock.
        host.advance(3600);
        *restart.lock() = Some(Engine::new("receiver", 9, 103_600));
        assert_eq!(inform().await, [9]);
        // The receiver starts again.
        *restart.lock() = Some(Engine::new("receiver", 10, 0));
        assert_eq!(inform().await, [9, 10]);
        // The receiver is installed again, with another engine id.
        *restart.lock() = Some(Engine::new("other", 1, 0));
        assert_eq!(inform().await, [10, 0, 1]);
        *restart.lock() = Some(Engine::new("receiver", 3, 0));
        assert_eq!(inform().await, [1, 0, 3]);
        // Its boots go back: its report is outside of the time window, and the next try discovers the engine again.
        *restart.lock() = Some(Engine::new("receiver", 2, 0));
        assert_eq!(inform().await, [3, 0, 0, 2]);
    };
    tokio::select! {
        () = server => unreachable!(),
        () = test => {}
    }
}

#[tokio::test]
async fn forged_responses_do_not_confirm() {
    let engine = Engine::new("receiver", 1, 10);
    for case in [
        "wrong key",
        "not authenticated",
        "other request",
        "other message",
        "old time",
        "other engine",
    ] {
        let engine = engine.clone();
        let script = move |_, datagram: &[u8]| {
            let message = ReceivedMessage::read(datagram).unwrap();
            if message.engine.as_ref() != Some(&engine.id) || message.time.boots == 0 {
                return vec![engine.handle(datagram)];
            }
            let id = engine.open(&message).request_id;
            let mut forger = engine.clone();
            let pdu = build_pdu(RESPONSE, id, &[]);
            let reply = match case {
                "wrong key" => {
                    forger.keys = keys("another-password");
                    forger.respond(&message, id)
                }
                "not authenticated" => forger.build(message.id, false, &pdu),
                "other request" => forger.respond(&message, id ^ 1),
                "other message" => forger.build(message.id ^ 1, true, &pdu),
                "old time" => {
                    forger.time.boots = 0;
                    forger.respond(&message, id)
                }
                _ => Engine::new("forger", 1, 10).respond(&message, id),
            };
            vec![reply]
        };
        let (result, _) = inform(&host(), v3(false), script).await;
        let error = result.expect_err(case);
        assert!(error.text.contains("no response from"), "{case}: {error}");
    }
}

#[tokio::test]
async fn clear_response_to_an_encrypted_inform_is_ignored() {
    let engine = Engine::new("receiver", 1, 10);
    let script = move |_, datagram: &[u8]| {
        let message = ReceivedMessage::read(datagram).unwrap();
        if message.engine.as_ref() != Some(&engine.id) || message.time.boots == 0 {
            return vec![engine.handle(datagram)];
        }
        assert!(message.is_encrypted());
        vec![engine.respond(&message, super::super::objects::request_id("delivery-1"))]
    };
    let (result, _) = inform(&host(), v3(true), script).await;
    let error = result.unwrap_err();
    assert!(error.text.contains("is not encrypted"), "{error}");
}

#[tokio::test]
async fn reports_are_explained() {
    for (counter, expected) in [
        (1, "usmStatsUnsupportedSecLevels: its user is not set up"),
        (3, "usmStatsUnknownUserNames: it does not know the user"),
        (5, "usmStatsWrongDigests: the authentication secret"),
        (6, "usmStatsDecryptionErrors: the privacy secret"),
        (99, "the report 1.3.6.1.6.3.15.1.1.99.0: see"),
    ] {
        let engine = Engine::new("receiver", 1, 10);
        let script = move |number, datagram: &[u8]| {
            let message = ReceivedMessage::read(datagram).unwrap();
            let counter = if number == 1 { 4 } else { counter };
            vec![engine.report(&message, counter, false)]
        };
        let (result, datagrams) = inform(&host(), v3(false), script).await;
        let error = result.unwrap_err();
        assert!(error.text.contains(expected), "{error}");
        assert_eq!(
            error.kind,
            DeliveryErrorKind::Temporary { retry_after: None }
        );
        assert_eq!(datagrams.len(), 2);
    }
}

#[tokio::test]
async fn receiver_that_never_agrees_ends_the_exchange() {
    let script = |number: usize, datagram: &[u8]| {
        let message = ReceivedMessage::read(datagram).unwrap();
        vec![Engine::new(&format!("receiver {number}"), 1, 1).report(&message, 4, false)]
    };
    let (result, datagrams) = inform(&host(), v3(false), script).await;
    let error = result.unwrap_err();
    assert!(error.text.contains("did not agree"), "{error}");
    assert_eq!(datagrams.len(), 15);
}

#[tokio::test]
async fn unauthenticated_time_report_is_ignored() {
    let engine = Engine::new("receiver", 5, 10);
    let script = move |number, datagram: &[u8]| {
        let message = ReceivedMessage::read(datagram).unwrap();
        let counter = if number == 1 { 4 } else { 2 };
        vec![engine.report(&message, counter, false)]
    };
    let (result, datagrams) = inform(&host(), v3(false), script).await;
    assert!(result.is_err());
    let boots = datagrams
        .iter()
        .map(|datagram| ReceivedMessage::read(datagram).unwrap().time.boots);
    assert_eq!(boots.max(), Some(0));
}
