//! Tests of the reuse of connections: a request that the server may have read is never sent twice.

use std::io::{Read, Write};
use std::time::Duration;

use http_body_util::BodyExt;

use super::harness::{OK, Server, call, client, client_with, get, post, within};
use crate::{ClientOptions, EgressError, Proxies, RequestPhase};

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    let server = Server::responding(OK).await;
    let client = client(&[&server.url()]);
    for _ in 0..20 {
        call(&client, get(server.url())).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
    assert_eq!(client.idle_connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_shared_between_threads_too() {
    let server = Server::responding(OK).await;
    let client = client(&[&server.url()]);
    for _ in 0..200 {
        let (client, url) = (client.clone(), server.url());
        let called = tokio::spawn(async move { call(&client, get(url)).await });
        called.await.unwrap().unwrap();
    }
    // Usually 1, but more if this machine is too busy to run a connection's task for a while.
    assert!(server.connections() < 10, "{}", server.connections());
}

#[tokio::test]
async fn response_without_body_frees_its_connection() {
    let server = Server::responding("HTTP/1.1 204 No Content\r\n\r\n").await;
    let client = client(&[&server.url()]);
    let first = client
        .send(get(server.url()), &Proxies::default(), within(60))
        .await
        .unwrap();
    call(&client, get(server.url())).await.unwrap();
    drop(first);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn concurrent_requests_use_separate_connections() {
    let server = Server::responding(OK).await;
    let client = client(&[&server.url()]);
    let first = client
        .send(get(server.url()), &Proxies::default(), within(60))
        .await
        .unwrap();
    let second = client
        .send(get(server.url()), &Proxies::default(), within(60))
        .await
        .unwrap();
    assert_eq!(server.connections(), 2);
    first.into_body().collect().await.unwrap();
    second.into_body().collect().await.unwrap();
    assert_eq!(client.idle_connections(), 2);
}

#[tokio::test]
async fn response_dropped_half_read_closes_connection() {
    let server = Server::responding("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let client = client(&[&server.url()]);
    drop(
        client
            .send(get(server.url()), &Proxies::default(), within(60))
            .await
            .unwrap(),
    );
    assert_eq!(client.idle_connections(), 0);
}

#[tokio::test]
async fn idle_connection_closed_by_server_is_replaced() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        connection.write(OK).await;
    })
    .await;
    let client = client(&[&server.url()]);
    for _ in 0..5 {
        call(&client, post(server.url(), "x")).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 5));
}

#[tokio::test]
async fn unwritten_request_is_resent_on_a_new_connection() {
    let (close_sender, close_receiver) = std::sync::mpsc::channel::<()>();
    let (closed_sender, closed_receiver) = std::sync::mpsc::channel::<()>();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut requests_read = 0;
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            requests_read += stream.read(&mut [0; 4096]).unwrap().min(1);
            stream.write_all(OK.as_bytes()).unwrap();
            close_receiver.recv().unwrap();
            drop(stream);
            closed_sender.send(()).unwrap();
        }
        requests_read
    });
    let client = client(&[&url]);
    call(&client, post(&url, "first")).await.unwrap();
    close_sender.send(()).unwrap();
    // Blocks the runtime's only thread on purpose. Afterwards the runtime knows that the connection has
    // ended, but the connection's task does not yet: a current-thread runtime resumes the test before
    // other tasks.
    closed_receiver.recv().unwrap();
    close_sender.send(()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(client.idle_connections(), 1);
    call(&client, post(&url, "second")).await.unwrap();
    assert_eq!(serving.join().unwrap(), 2);
}

#[tokio::test]
async fn request_that_was_read_is_not_resent() {
    let server = Server::start(|mut connection| async move {
        if connection.number == 1 {
            connection.request().await;
            connection.write(OK).await;
        }
        // Reads the request and closes the connection without a response.
        connection.request().await;
    })
    .await;
    let client = client(&[&server.url()]);
    call(&client, post(server.url(), "first")).await.unwrap();
    for expected in [2, 3] {
        let error = call(&client, post(server.url(), "token"))
            .await
            .unwrap_err();
        assert!(
            matches!(
                &error,
                EgressError::Closed {
                    phase: RequestPhase::Response,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.may_have_been_sent());
        assert_eq!(server.requests().len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_close_after_the_timeout() {
    let server = Server::responding(OK).await;
    let client = client(&[&server.url()]);
    call(&client, get(server.url())).await.unwrap();
    assert_eq!(client.idle_connections(), 1);
    // Lets the task that closes the connection start; after the timeout, lets it run.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::task::yield_now().await;
    assert_eq!(client.idle_connections(), 0);
    call(&client, get(server.url())).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn idle_connections_are_limited_per_route() {
    let server = Server::responding(OK).await;
    let options = ClientOptions {
        max_idle_per_route: 2,
        ..ClientOptions::default()
    };
    let client = client_with(&[&server.url()], options);
    let mut responses = Vec::new();
    for _ in 0..4 {
        responses.push(
            client
                .send(get(server.url()), &Proxies::default(), within(60))
                .await
                .unwrap(),
        );
    }
    for response in responses {
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(client.idle_connections(), 2);
}
