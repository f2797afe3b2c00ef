//! Requests and responses over direct connections: invalid responses, limits, rejected requests.

use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::{Full, StreamBody};

use super::harness::{OK, Server, call, client, client_with, get, post, within};
use crate::{Client, ClientOptions, EgressError, Limit, LimitedBody, Peer, Proxies, RequestPhase};

#[tokio::test]
async fn request_arrives_with_path_fields_and_body() {
    let server = Server::responding(OK).await;
    let request = Request::post(format!("{}/v1/access_token?a=b%20c", server.url()))
        .header("authorization", "Bearer t")
        .header("host", server.address.to_string())
        .body(Full::from("grant_type=refresh_token"))
        .unwrap();
    let response = call(&client(&[&server.url()]), request).await.unwrap();
    assert_eq!(response, (StatusCode::OK, "ok".to_owned()));
    let seen = server.requests().remove(0);
    assert!(
        seen.starts_with("POST /v1/access_token?a=b%20c HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains(&format!("host: {}\r\n", server.address)),
        "{seen}"
    );
    assert_eq!(seen.matches("host:").count(), 1);
    assert!(seen.contains("authorization: Bearer t\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\ngrant_type=refresh_token"), "{seen}");
}

#[test]
fn public_types_are_send_sync_and_unpin() {
    fn assert_traits<T: Send + Sync + Unpin + 'static>() {}
    assert_traits::<Client>();
    assert_traits::<LimitedBody>();
    assert_traits::<EgressError>();
}

#[tokio::test]
async fn a_truncated_body_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ] {
        let server = Server::start(move |mut connection| async move {
            connection.request().await;
            connection.write(text).await;
        })
        .await;
        let error = call(&client(&[&server.url()]), get(server.url()))
            .await
            .unwrap_err();
        assert!(
            matches!(
                &error,
                EgressError::Closed {
                    phase: RequestPhase::Body,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.may_have_been_sent());
    }
}

#[tokio::test]
async fn body_over_the_limit_is_an_error() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n012345678\r\n9\r\n012345678\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n0",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n0",
    ] {
        let server = Server::responding(text).await;
        let options = ClientOptions {
            max_response_bytes: 10,
            ..ClientOptions::default()
        };
        let client = client_with(&[&server.url()], options);
        let error = call(&client, get(server.url())).await.unwrap_err();
        match error {
            EgressError::Limit { limit, bytes, .. } if !text.contains("18446744073709551615") => {
                assert_eq!((limit, bytes), (Limit::ResponseBody, 10), "{text}");
            }
            // Hyper does not accept this as a length.
            EgressError::Limit { limit, .. } => assert_eq!(limit, Limit::ResponseHead, "{text}"),
            EgressError::Protocol { .. } => {
                assert!(text.contains("99999999999999999999"), "{text}")
            }
            other => panic!("{text}: {other:?}"),
        }
        assert_eq!(client.idle_connections(), 0);
    }
}

#[tokio::test]
async fn body_of_exactly_the_limit_is_read() {
    let server =
        Server::responding("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789").await;
    let options = ClientOptions {
        max_response_bytes: 10,
        ..ClientOptions::default()
    };
    let (_, body) = call(&client_with(&[&server.url()], options), get(server.url()))
        .await
        .unwrap();
    assert_eq!(body, "0123456789");
}

#[tokio::test]
async fn headers_are_limited_both_ways() {
    let server = Server::start(|mut connection| async move {
        while connection.request().await.is_some() {
            let value = "v".repeat(70 * 1024);
            connection
                .write(&format!("HTTP/1.1 200 OK\r\nx-long: {value}\r\n\r\n"))
                .await;
        }
    })
    .await;
    let client = client(&[&server.url()]);
    let error = call(&client, get(server.url())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the header of the response from `{}` is larger than 65536 bytes, has more than 100 fields or \
             announces a body of invalid length, the limit `limits.headers`",
            server.url()
        )
    );
    let request = Request::get(server.url())
        .header("x-long", "v".repeat(70 * 1024))
        .body(Full::default())
        .unwrap();
    let error = call(&client, request).await.unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Limit {
                limit: Limit::RequestHead,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.may_have_been_sent());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn redirect_is_returned_and_not_followed() {
    let server = Server::responding(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let (status, _) = call(&client(&[&server.url()]), get(server.url()))
        .await
        .unwrap();
    assert_eq!(status, StatusCode::FOUND);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn invalid_http_is_a_protocol_error() {
    for text in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let server = Server::responding(text).await;
        let error = call(&client(&[&server.url()]), get(server.url()))
            .await
            .unwrap_err();
        assert!(
            matches!(error, EgressError::Protocol { .. }),
            "{text}: {error:?}"
        );
    }
}

#[tokio::test]
async fn unrequested_protocol_switch_is_an_error() {
    let server = Server::responding("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await;
    let error = call(&client(&[&server.url()]), get(server.url()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn hop_by_hop_fields_are_refused_before_sending() {
    let server = Server::responding(OK).await;
    let client = client(&[&server.url()]);
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("proxy-authorization", "Basic canary"),
        ("proxy-connection", "keep-alive"),
        ("proxy-anything", "x"),
        ("host", "evil.example"),
        ("host", "user@127.0.0.1"),
        ("content-length", "7"),
        ("content-length", "+4"),
        ("content-length", "4, 4"),
    ] {
        let mut request = post(server.url(), "body");
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().insert(&name, value.parse().unwrap());
        let error = call(&client, request).await.unwrap_err();
        assert!(
            matches!(error, EgressError::Refused { .. }),
            "{name}: {error:?}"
        );
        assert!(!error.may_have_been_sent());
        assert!(error.to_string().contains(name.as_str()), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    for method in [Method::CONNECT, Method::TRACE] {
        let mut request = get(server.url());
        *request.method_mut() = method;
        let error = call(&client, request).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { .. }), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn failed_request_body_has_its_own_error() {
    let server = Server::start(|connection| connection.silent()).await;
    let frames = futures_util::stream::iter([
        Ok(http_body::Frame::data(bytes::Bytes::from_static(b"half"))),
        Err(std::io::Error::other("canary")),
    ]);
    let request = Request::post(server.url())
        .body(StreamBody::new(frames))
        .unwrap();
    let client = client(&[&server.url()]);
    let error = client
        .send(request, &Proxies::default(), within(60))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EgressError::RequestBody { .. }),
        "{error:?}"
    );
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn unlisted_target_is_not_resolved() {
    let server = Server::responding(OK).await;
    let error = call(&client(&["https://webexapis.com"]), get(server.url()))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Denied(_)), "{error:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_refused_connection_names_the_server() {
    let server = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let url = format!("http://{server}");
    let error = call(&client(&[&url]), get(&url)).await.unwrap_err();
    match &error {
        EgressError::Connect { peer, .. } => {
            assert!(matches!(peer, Peer::Target(origin) if origin.to_string() == url));
        }
        other => panic!("{other:?}"),
    }
    assert!(!error.may_have_been_sent());
}
