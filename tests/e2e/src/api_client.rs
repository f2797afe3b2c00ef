//! A client of the API of a server process.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A client with an API key. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct ApiClient {
    address: String,
    key: String,
}

/// A response.
#[derive(Debug)]
pub struct ApiResponse {
    /// The status.
    pub status: u16,
    /// The body; `null` if it is not JSON.
    pub body: Value,
}

impl ApiResponse {
    /// Checks the status, and returns the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }
}

impl ApiClient {
    /// Creates a client of the server at this address.
    pub fn new(address: &str, key: &str) -> Self {
        Self {
            address: address.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no server, or the connection ends before the response is complete.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<ApiResponse> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            self.address,
            self.key,
            body.len()
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes())?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        parse(&response).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends a GET, which must succeed.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let response = self.send("GET", path, &[], None);
        response.expect("there is a server").expect(200)
    }
}

/// Parses a response; `None` if it is not complete.
fn parse(response: &[u8]) -> Option<ApiResponse> {
    let text = std::str::from_utf8(response).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        return None;
    }
    let body = serde_json::from_str(body).unwrap_or_default();
    Some(ApiResponse { status, body })
}
