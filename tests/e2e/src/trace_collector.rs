//! A collector of traces that decodes OTLP, keeps every byte it received, and misbehaves on request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use parking_lot::Mutex;
use prost::Message as _;

/// The reaction of the collector to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectorBehavior {
    /// The collector accepts the spans.
    Accept,
    /// The collector responds with this status, and with `Retry-After` in seconds if given.
    Refuse(u16, Option<u32>),
    /// The collector sends no response.
    Hang,
    /// The collector closes the connection without a response.
    Reset,
    /// The collector responds with something other than HTTP.
    Garble,
}

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// The name.
    pub name: String,
    /// The id of the trace.
    pub trace: Vec<u8>,
    /// The id of the span.
    pub id: Vec<u8>,
    /// The id of the parent; empty for a root.
    pub parent: Vec<u8>,
    /// The start, in nanoseconds since the Unix epoch.
    pub start: u64,
    /// The attributes as texts.
    pub attributes: BTreeMap<String, String>,
    /// The names of the events.
    pub events: Vec<String>,
    /// The attributes of the resource as texts.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    spans: Vec<ReceivedSpan>,
    requests: usize,
}

struct Shared {
    behavior: Mutex<CollectorBehavior>,
    received: Mutex<Received>,
}

/// A collector on a port of this machine.
pub struct TraceCollector {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl TraceCollector {
    /// Starts a collector that accepts.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let shared = Arc::new(Shared {
            behavior: Mutex::new(CollectorBehavior::Accept),
            received: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || while serving.serve(&stream).is_some() {});
            }
        });
        Self { address, shared }
    }

    /// Returns the address for `traces.endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what the collector does with requests from now on.
    pub fn set_behavior(&self, behavior: CollectorBehavior) {
        *self.shared.behavior.lock() = behavior;
    }

    /// Returns the number of requests so far, whatever became of them.
    pub fn requests(&self) -> usize {
        self.shared.received.lock().requests
    }

    /// Returns all received bytes, also of requests that were not accepted.
    pub fn bytes(&self) -> Vec<u8> {
        self.shared.received.lock().bytes.clone()
    }

    /// Returns the accepted spans.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shared.received.lock().spans.clone()
    }

    /// Returns the accepted spans of this name.
    pub fn spans_named(&self, name: &str) -> Vec<ReceivedSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// Renders a span and those below it, one name on each line, by their start.
    pub fn render_tree(&self, root: &ReceivedSpan) -> String {
        let mut spans = self.spans();
        spans.retain(|span| span.trace == root.trace);
        spans.sort_by_key(|span| span.start);
        let mut text = String::new();
        render(&spans, root, 0, &mut text);
        text
    }
}

fn render(spans: &[ReceivedSpan], span: &ReceivedSpan, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    writeln!(text, "{indent}{}", span.name).expect("a text grows");
    for child in spans.iter().filter(|child| child.parent == span.id) {
        render(spans, child, depth + 1, text);
    }
}

impl Shared {
    /// Serves one request. Returns `None` at the end of the connection.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            head.push_str(&line);
            let field = line.to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let behavior = *self.behavior.lock();
        {
            let mut received = self.received.lock();
            received.requests += 1;
            received.bytes.extend_from_slice(head.as_bytes());
            received.bytes.extend_from_slice(&body);
            if behavior == CollectorBehavior::Accept {
                assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
                received.spans.extend(decode(&body));
            }
        }
        let response = match behavior {
            CollectorBehavior::Accept => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            CollectorBehavior::Refuse(status, pause) => {
                let pause = pause.map(|pause| format!("Retry-After: {pause}\r\n"));
                let pause = pause.unwrap_or_default();
                format!("HTTP/1.1 {status} Refused\r\n{pause}Content-Length: 0\r\n\r\n")
            }
            CollectorBehavior::Hang => {
                // Until the client closes the connection.
                let _ = reader.read(&mut [0]);
                return None;
            }
            CollectorBehavior::Reset => return None,
            CollectorBehavior::Garble => "garbage\r\n\r\n".to_owned(),
        };
        let mut stream = stream;
        stream.write_all(response.as_bytes()).ok()
    }
}

fn decode(body: &[u8]) -> Vec<ReceivedSpan> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    let mut received = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let resource = texts(&resource.attributes);
        let spans = of_resource.scope_spans.into_iter();
        for span in spans.flat_map(|of_scope| of_scope.spans) {
            received.push(ReceivedSpan {
                attributes: texts(&span.attributes),
                events: span.events.into_iter().map(|event| event.name).collect(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                start: span.start_time_unix_nano,
                resource: resource.clone(),
            });
        }
    }
    received
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|any| any.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = attributes.iter();
    pairs
        .map(|pair| (pair.key.clone(), text(&pair.value)))
        .collect()
}
