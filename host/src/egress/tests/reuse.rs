//! Which connections are used again, and that no request is ever sent twice by it.

use std::io::{Read, Write};
use std::time::Duration;

use http_body_util::BodyExt;

use super::harness::{OK, Server, call, client, client_with, get, post, within};
use crate::egress::{ClientOptions, EgressError, Proxies, Stage};

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    let server = Server::answering(OK).await;
    let client = client(&[&server.url()]);
    for _ in 0..20 {
        call(&client, get(server.url())).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
    assert_eq!(client.idle_connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_shared_between_threads_too() {
    let server = Server::answering(OK).await;
    let client = client(&[&server.url()]);
    for _ in 0..200 {
        let (client, url) = (client.clone(), server.url());
        let called = tokio::spawn(async move { call(&client, get(url)).await });
        called.await.unwrap().unwrap();
    }
    // One, unless this machine is so busy that a connection's task is not run for a while.
    assert!(server.connections() < 10, "{}", server.connections());
}

#[tokio::test]
async fn an_answer_without_a_body_frees_its_connection_at_once() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
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
async fn requests_at_the_same_time_have_a_connection_each() {
    let server = Server::answering(OK).await;
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
async fn an_answer_dropped_half_read_closes_its_connection() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
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
async fn a_connection_that_the_server_closed_while_idle_is_replaced_unnoticed() {
    let server = Server::start(|mut served| async move {
        served.request().await;
        served.write(OK).await;
    })
    .await;
    let client = client(&[&server.url()]);
    for _ in 0..5 {
        call(&client, post(server.url(), "x")).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 5));
}

#[tokio::test]
async fn a_request_is_sent_again_if_its_connection_had_ended_before_a_byte_was_written() {
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let (closed, is_closed) = std::sync::mpsc::channel::<()>();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut served = 0;
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            served += stream.read(&mut [0; 4096]).unwrap().min(1);
            stream.write_all(OK.as_bytes()).unwrap();
            closing.recv().unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
        served
    });
    let client = client(&[&url]);
    call(&client, post(&url, "first")).await.unwrap();
    close.send(()).unwrap();
    // Blocks this thread on purpose, and then lets the runtime notice the end but not yet tell the
    // connection's task: on this kind of runtime, this test goes on before other tasks do.
    is_closed.recv().unwrap();
    close.send(()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(client.idle_connections(), 1);
    call(&client, post(&url, "second")).await.unwrap();
    assert_eq!(serving.join().unwrap(), 2);
}

#[tokio::test]
async fn a_request_that_was_read_is_never_sent_again() {
    let server = Server::start(|mut served| async move {
        if served.number == 1 {
            served.request().await;
            served.write(OK).await;
        }
        // Takes the request and hangs up without an answer.
        served.request().await;
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
                    stage: Stage::Answer,
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
async fn idle_connections_are_closed_in_time_even_if_nothing_is_sent() {
    let server = Server::answering(OK).await;
    let client = client(&[&server.url()]);
    call(&client, get(server.url())).await.unwrap();
    assert_eq!(client.idle_connections(), 1);
    // The task that will close it is there, and then has its turn.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::task::yield_now().await;
    assert_eq!(client.idle_connections(), 0);
    call(&client, get(server.url())).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_asked_for() {
    let server = Server::answering(OK).await;
    let options = ClientOptions {
        max_idle_per_route: 2,
        ..ClientOptions::default()
    };
    let client = client_with(&[&server.url()], options);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(
            client
                .send(get(server.url()), &Proxies::default(), within(60))
                .await
                .unwrap(),
        );
    }
    for answer in answers {
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(client.idle_connections(), 2);
}
