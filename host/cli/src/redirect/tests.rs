//! Tests of the listener: which requests are accepted, and what the browser shows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use http::StatusCode;
use relation_app::config::RedirectAddress;
use secrecy::ExposeSecret;

use super::*;

const STATE: &str = "0123456789abcdef01234567.c3RhdGU";

/// Binds a listener to a port that was just free.
async fn bind_free_port() -> (Listener, RedirectAddress, SocketAddr) {
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

/// Sends raw bytes to the listener and returns its response.
async fn send_raw(socket: SocketAddr, request: String) -> String {
    let talk = move || {
        let mut stream = TcpStream::connect(socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
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
async fn callback_with_the_state_gets_the_result_page() {
    let (mut listener, address, socket) = bind_free_port().await;
    listener.expect(STATE);
    let request = get(socket, &format!("/back?code=c0de&state={STATE}"));
    let browser = tokio::spawn(send_raw(socket, request));
    let callback = listener.callback().await;
    assert_eq!(
        callback.address.expose_secret(),
        format!("{}?code=c0de&state={STATE}", address.as_str())
    );
    callback.respond(page());
    let response = browser.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.contains("<h1>Contoso &lt;&amp; Co&gt; is connected</h1>"),
        "{response}"
    );
    assert!(
        !response.contains("c0de") && !response.contains(STATE),
        "{response}"
    );
    listener.close().await;
    assert!(TcpStream::connect(socket).is_err(), "the port is closed");
}

#[tokio::test]
async fn other_requests_are_refused_and_waiting_goes_on() {
    let (mut listener, _, socket) = bind_free_port().await;
    listener.expect(STATE);
    let waiting = tokio::spawn(async move {
        let callback = listener.callback().await;
        callback.respond(page());
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
        let response = send_raw(socket, request.clone()).await;
        let expected = format!("HTTP/1.1 {status} ");
        let expected_http_1_0 = format!("HTTP/1.0 {status} ");
        assert!(
            response.starts_with(&expected) || response.starts_with(&expected_http_1_0),
            "{request}\n{response}"
        );
    }
    let response = send_raw(socket, get(socket, &good)).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    waiting.await.unwrap().close().await;
}

#[tokio::test]
async fn callback_is_accepted_once() {
    let (mut listener, _, socket) = bind_free_port().await;
    let request = get(socket, &format!("/back?code=c&state={STATE}"));
    listener.expect(STATE);
    let first = tokio::spawn(send_raw(socket, request.clone()));
    let callback = listener.callback().await;
    let second = send_raw(socket, request).await;
    assert!(second.starts_with("HTTP/1.1 400 "), "{second}");
    callback.respond(page());
    assert!(first.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn waiting_browser_gets_503_when_the_command_ends() {
    let (mut listener, _, socket) = bind_free_port().await;
    let request = get(socket, &format!("/back?code=c&state={STATE}"));
    listener.expect(STATE);
    let browser = tokio::spawn(send_raw(socket, request));
    drop(listener.callback().await);
    let response = browser.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    listener.close().await;
}

#[tokio::test]
async fn responses_forbid_caching_and_framing() {
    let (_listener, _, socket) = bind_free_port().await;
    for target in ["/", "/back?state=x"] {
        let response = send_raw(socket, get(socket, target)).await.to_lowercase();
        for header in [
            "content-type: text/html; charset=utf-8\r\n",
            "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'\r\n",
            "cache-control: no-store\r\n",
            "referrer-policy: no-referrer\r\n",
            "x-content-type-options: nosniff\r\n",
            "connection: close\r\n",
        ] {
            assert!(response.contains(header), "{header}\n{response}");
        }
        assert!(
            !response.contains("<script") && !response.contains("style"),
            "{response}"
        );
    }
}

#[tokio::test]
async fn bind_error_names_the_port() {
    let (_listener, address, socket) = bind_free_port().await;
    let error = Listener::bind(&address).await.err().unwrap();
    assert!(error.to_string().contains(&socket.to_string()), "{error}");
    assert!(matches!(error, ListenError::Bind { .. }));
}

#[test]
fn page_links_to_the_next_consent() {
    let page = Page {
        link: Some((
            "Continue".to_owned(),
            "https://webex.example/?a=1&b=\"2".to_owned(),
        )),
        ..page()
    };
    let html = page.html();
    assert!(
        html.contains("<a href=\"https://webex.example/?a=1&amp;b=&quot;2\">Continue</a>"),
        "{html}"
    );
}
