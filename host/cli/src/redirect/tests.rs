//! Who is let in at a redirect address, and what everybody is shown.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use http::StatusCode;
use secrecy::ExposeSecret;

use super::*;
use crate::config::RedirectAddress;

const STATE: &str = "0123456789abcdef01234567.c3RhdGU";

/// A listener at a port that was free a moment ago.
async fn listening() -> (Listener, RedirectAddress, SocketAddr) {
    loop {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = free.local_addr().unwrap();
        drop(free);
        let address = RedirectAddress::parse(&format!("http://{socket}/back")).unwrap();
        if let Ok(listener) = Listener::bind(&address).await {
            return (listener, address, socket);
        }
    }
}

/// What the listener answers to these bytes.
async fn said(socket: SocketAddr, request: String) -> String {
    let talk = move || {
        let mut stream = TcpStream::connect(socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

fn get(socket: SocketAddr, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {socket}\r\n\r\n")
}

fn page() -> Page {
    Page::new(
        StatusCode::OK,
        "Contoso <& Co> is connected",
        &["You can close \"this\"."],
    )
}

#[tokio::test]
async fn the_browser_that_brings_the_state_is_let_in_and_shown_what_came_of_it() {
    let (mut listener, address, socket) = listening().await;
    let request = get(socket, &format!("/back?code=c0de&state={STATE}"));
    let browser = tokio::spawn(said(socket, request));
    let callback = listener.callback(STATE).await;
    assert_eq!(
        callback.address.expose_secret(),
        format!("{}?code=c0de&state={STATE}", address.as_str())
    );
    callback.answer(page());
    let answer = browser.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("<h1>Contoso &lt;&amp; Co&gt; is connected</h1>"),
        "{answer}"
    );
    assert!(
        !answer.contains("c0de") && !answer.contains(STATE),
        "{answer}"
    );
    listener.close().await;
    assert!(
        TcpStream::connect(socket).is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn whoever_else_comes_is_sent_away_and_ends_nothing() {
    let (mut listener, _, socket) = listening().await;
    let waiting = tokio::spawn(async move {
        let callback = listener.callback(STATE).await;
        callback.answer(page());
        listener
    });
    let good = format!("/back?code=c&state={STATE}");
    for (request, status) in [
        (get(socket, "/"), 404),
        (get(socket, "/favicon.ico"), 404),
        (get(socket, &good.replace("/back", "/back/")), 404),
        (get(socket, &good.replace("/back", "/BACK")), 404),
        (get(socket, "/back"), 400),
        (get(socket, "/back?code=c"), 400),
        (get(socket, "/back?code=c&state="), 400),
        (get(socket, "/back?code=c&state=another"), 400),
        (
            get(socket, &format!("/back?state={STATE}&state={STATE}")),
            400,
        ),
        (get(socket, &good).replace("GET", "POST"), 405),
        (get(socket, &good).replace("GET", "HEAD"), 405),
        (
            get(socket, &good).replace("Host: ", "Host: evil.example"),
            400,
        ),
        (format!("GET {good} HTTP/1.0\r\n\r\n"), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (
            get(socket, &format!("{good}&x={}", "x".repeat(20_000))),
            431,
        ),
        (
            get(socket, &good).replace("\r\n\r\n", &format!("\r\n{}\r\n", "a: b\r\n".repeat(100))),
            431,
        ),
    ] {
        let answer = said(socket, request.clone()).await;
        let expected = format!("HTTP/1.1 {status} ");
        let as_old_as_asked = format!("HTTP/1.0 {status} ");
        assert!(
            answer.starts_with(&expected) || answer.starts_with(&as_old_as_asked),
            "{request}\n{answer}"
        );
    }
    let answer = said(socket, get(socket, &good)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    waiting.await.unwrap().close().await;
}

#[tokio::test]
async fn a_callback_counts_once() {
    let (mut listener, _, socket) = listening().await;
    let request = get(socket, &format!("/back?code=c&state={STATE}"));
    let first = tokio::spawn(said(socket, request.clone()));
    let callback = listener.callback(STATE).await;
    let second = said(socket, request).await;
    assert!(second.starts_with("HTTP/1.1 400 "), "{second}");
    callback.answer(page());
    assert!(first.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_browser_that_waits_learns_that_the_command_has_ended() {
    let (mut listener, _, socket) = listening().await;
    let request = get(socket, &format!("/back?code=c&state={STATE}"));
    let browser = tokio::spawn(said(socket, request));
    drop(listener.callback(STATE).await);
    let answer = browser.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    listener.close().await;
}

#[tokio::test]
async fn no_answer_is_kept_framed_or_followed() {
    let (_listener, _, socket) = listening().await;
    for target in ["/", "/back?state=x"] {
        let answer = said(socket, get(socket, target)).await.to_lowercase();
        for header in [
            "content-type: text/html; charset=utf-8\r\n",
            "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'\r\n",
            "cache-control: no-store\r\n",
            "referrer-policy: no-referrer\r\n",
            "x-content-type-options: nosniff\r\n",
            "connection: close\r\n",
        ] {
            assert!(answer.contains(header), "{header}\n{answer}");
        }
        assert!(
            !answer.contains("<script") && !answer.contains("style"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (_listener, address, socket) = listening().await;
    let error = Listener::bind(&address).await.err().unwrap();
    assert!(error.to_string().contains(&socket.to_string()), "{error}");
    assert!(matches!(error, ListenError::Bind { .. }));
}

#[test]
fn a_link_leads_on_to_the_next_consent() {
    let page = Page {
        link: Some((
            "Go on".to_owned(),
            "https://webex.example/?a=1&b=\"2".to_owned(),
        )),
        ..page()
    };
    let html = page.html();
    assert!(
        html.contains("<a href=\"https://webex.example/?a=1&amp;b=&quot;2\">Go on</a>"),
        "{html}"
    );
}
