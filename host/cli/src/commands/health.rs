//! `health`: asks a running `run` or `serve` whether it is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use relation_app::check::METRICS_TOKEN;
use relation_app::secret_text::read_line_of_file;
use relation_app::{AppError, ErrorKind};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Context;
use crate::output::escape_control_chars;

/// The largest response that is read, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
For health checks of containers. The running process is asked at metrics.listen,
in /readyz: whether its component is compiled, its store has responded in the
last 10 seconds, its key opens the store, and it is not stopping.

The exit code is
  0  the process is ready
  2  metrics.listen is not configured
  5  the process is not ready, or does not respond")]
pub struct Args {
    /// The address of the process, in place of metrics.listen
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// The time that the process may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

/// Prints the parts of the readiness. Fails if one is missing.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let config = &context.installation.config.metrics;
    let Some(address) = args.address.or(config.listen) else {
        let message = "metrics.listen is not configured, so no process shows its health";
        return Err(AppError::usage(message)
            .hint("set metrics.listen, such as \"127.0.0.1:9464\", and start the process again"));
    };
    let address = to_reachable(address);
    let token = config.token_file.as_ref();
    let token = token.map(|file| read_line_of_file(file, METRICS_TOKEN));
    let token = token.transpose()?;
    let token = token.as_ref().map(|token| token.expose_secret());
    let asked = tokio::time::timeout(Duration::from_secs(args.timeout), ask(address, token)).await;
    let asked = asked.unwrap_or_else(|_| Err(format!("no response in {} s", args.timeout)));
    let (status, body) = asked.map_err(|reason| {
        AppError::new(
            ErrorKind::Unavailable,
            format!("the process at {address} does not respond: {reason}"),
        )
        .hint("`relation-host run` or `relation-host serve` must be running, with this metrics.listen")
    })?;
    let Some(parts) = body.get("parts").and_then(Value::as_array) else {
        let message = format!("{address} responds with {status}, and not like relation-host");
        return Err(AppError::new(ErrorKind::Unavailable, message)
            .hint("metrics.listen and metrics.token-file must be those of the running process"));
    };
    let text_of = |part: &Value, name: &str| {
        let text = part.get(name).and_then(Value::as_str).unwrap_or_default();
        escape_control_chars(text)
    };
    let is_ok = |part: &&Value| part.get("ok") == Some(&Value::Bool(true));
    context.output.print(&body, |_| {
        let lines = parts.iter().map(|part| {
            let ok = if is_ok(&part) { "ok" } else { "not ok" };
            format!(
                "{}: {ok}, {}",
                text_of(part, "part"),
                text_of(part, "message")
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    if status == StatusCode::OK {
        return Ok(());
    }
    let missing = parts.iter().filter(|part| !is_ok(part));
    let missing: Vec<String> = missing.map(|part| text_of(part, "message")).collect();
    let message = format!("the process is not ready: {}", missing.join(", "));
    Err(AppError::new(ErrorKind::Unavailable, message)
        .hint("the log of the process has the reason"))
}

/// Returns the address at which a listener of all addresses of this machine is reached.
fn to_reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Sends the request. An error has its reason.
async fn ask(address: SocketAddr, token: Option<&str>) -> Result<(StatusCode, Value), String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let connected = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let mut request = Request::get("/readyz?verbose").header(header::HOST, address.to_string());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new());
    let request =
        request.map_err(|_| "the token of the metrics is not a header value".to_owned())?;
    let response = sender.send_request(request).await;
    let (head, body) = response.map_err(|error| error.to_string())?.into_parts();
    let body = Limited::new(body, MAX_RESPONSE).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    connection.abort();
    Ok((
        head.status,
        serde_json::from_slice(&body).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_by_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.5:9464", "10.0.0.5:9464"),
        ] {
            let address = to_reachable(listen.parse().unwrap());
            assert_eq!(address, reached.parse().unwrap());
        }
    }
}
