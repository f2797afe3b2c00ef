//! Measures the server as it is shipped, on a large store: requests, live streams, and slow clients.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use self::http::Connection;
use super::program::{self, RunningHost, command, configure, megabytes};
use super::{Plan, note};
use crate::customers::{self, Extent};
use crate::measure::{Measurement, Percentiles, Series, in_flight, serially};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};

mod http;

pub const TITLE: &str = "the server: requests, live streams and slow clients";

const RECORDS: &str = "/api/relation/SparkCustomer/";
/// Connections that send requests concurrently for the rate.
const CONNECTIONS: usize = 16;
/// Live streams, and events whose delay is measured.
const STREAMS: usize = 500;
const EVENTS: usize = 20;
/// Clients that never send the end of their request, and clients that do not read a long response.
const SLOW: usize = 400;
const STUCK: usize = 50;

const NOTES: [&str; 4] = [
    "times are those of a client on the same machine, over one connection; processor time is the server's",
    "rate: processor time alone, since the client uses the same processors",
    "add: a queue and a workflow of the plugin, without a request to Webex",
    "slow clients: 400 that never send the end of a request, 50 that do not read an export",
];

/// A server process with a store of customers.
struct Server {
    host: Mutex<RunningHost>,
    address: SocketAddr,
    key: String,
    customers: u64,
}

impl Server {
    /// Starts a server that runs no wakeups, so that queued calls wait.
    async fn start(plan: &Plan, config: &Path, customers: u64) -> Result<Self> {
        let add = ["--json", "key", "add", "bench", "--role"];
        let add = command(plan, config)?
            .args(add)
            .args(["provider-administrator", "--hierarchy", "sys"])
            .stdin(Stdio::null())
            .output()?;
        let added: Value = serde_json::from_slice(&add.stdout).with_context(|| {
            let stderr = String::from_utf8_lossy(&add.stderr);
            format!("adding an API key: {stderr}")
        })?;
        let key = added.get("key").and_then(Value::as_str);
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let listen = address.to_string();
        let host = RunningHost::start(
            plan,
            config,
            &["serve", "--no-dispatch", "--listen", &listen],
        )?;
        let server = Self {
            host: Mutex::new(host),
            address,
            key: key.context("the API key has no text")?.to_owned(),
            customers,
        };
        while TcpStream::connect(address).await.is_err() {
            server.host.lock().read("status")?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    async fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, &self.key).await
    }

    /// Returns the processor time that the server has used.
    fn processor_time(&self) -> Result<Duration> {
        let stat = self.host.lock().read("stat")?;
        // User and system time are the 14th and the 15th field; the second one may have spaces.
        let fields = stat.rsplit_once(')').context("an unknown format")?.1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Waits until the server has nothing to do: it stores the nodes of the customers when it starts, and an export fills
    /// the socket of a client that does not read it.
    async fn wait_until_idle(&self) -> Result<()> {
        const INTERVAL: Duration = Duration::from_millis(500);
        let mut before = self.processor_time()?;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let after = self.processor_time()?;
            if after.saturating_sub(before) < INTERVAL / 20 {
                return Ok(());
            }
            before = after;
        }
    }

    fn memory(&self) -> Result<f64> {
        megabytes(&self.host.lock().read("status")?, "VmRSS")
    }

    /// Measures with the processor time of the server in place of this process's.
    async fn measure(
        &self,
        work: impl Future<Output = Result<Measurement>>,
    ) -> Result<Measurement> {
        let before = self.processor_time()?;
        let measurement = work.await?;
        Ok(Measurement {
            cpu: self.processor_time()?.saturating_sub(before),
            ..measurement
        })
    }
}

/// The requests to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    List,
    ListWithoutCount,
    ListNode,
    ListState,
    ListByName,
    Show,
    Add,
}

const REQUESTS: [(Request, &str, f64); 7] = [
    (Request::List, "GET a list of 50", 3.0),
    (
        Request::ListWithoutCount,
        "GET a list of 50, count=false",
        3.0,
    ),
    (
        Request::ListNode,
        "GET a list of 50 at one of many nodes",
        3.0,
    ),
    (Request::ListState, "GET a list of 50 in one state", 3.0),
    (Request::ListByName, "GET a list of 50, order_by=name", 3.0),
    (Request::Show, "GET a record", 2.0),
    (Request::Add, "POST a record without tokens", 5.0),
];

impl Request {
    async fn send(self, server: &Server, connection: &mut Connection, number: u64) -> Result<()> {
        let mut expected = "\"pkid\"";
        let (method, path, body) = match self {
            Self::List => ("GET", RECORDS.to_owned(), String::new()),
            Self::ListWithoutCount => ("GET", format!("{RECORDS}?count=false"), String::new()),
            Self::ListNode => {
                let path = format!("{RECORDS}?hierarchy=sys.Provider.Reseller0");
                ("GET", path, String::new())
            }
            Self::ListState => ("GET", format!("{RECORDS}?state=connected"), String::new()),
            Self::ListByName => ("GET", format!("{RECORDS}?order_by=name"), String::new()),
            Self::Show => {
                // Steps coprime to the number of records visit all of them in irregular order.
                let pkid = customers::pkid(number.wrapping_mul(611_953) % server.customers)?;
                ("GET", format!("{RECORDS}{pkid}/"), String::new())
            }
            Self::Add => {
                expected = "\"replayed\":false";
                let path = format!("{RECORDS}?hierarchy=sys.Provider.Added");
                ("POST", path, format!("{{\"name\":\"Added {number}\"}}"))
            }
        };
        let body = connection.request(method, &path, &body).await?;
        let text = std::str::from_utf8(body)?;
        ensure!(text.contains(expected), "{method} {path}: {text}");
        Ok(())
    }
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report {
        bench: "web",
        title: TITLE,
        rows: Vec::new(),
        notes: NOTES.map(str::to_owned).into(),
    };
    if !program::is_built()? {
        report.notes = vec![program::MISSING.to_owned()];
        return Ok(report);
    }
    let customers = plan.sizes.last().copied().unwrap_or(100);
    note(&format!("web: filling a store with {customers} customers"));
    let world = plan.world("web", Phases::off()).await?;
    customers::populate(&world.parts, 0, customers, Extent::Record).await?;
    drop(world);
    let config = configure(plan, "web")?;
    let server = Arc::new(Server::start(plan, &config, customers).await?);
    note("web: storing the nodes of the customers");
    server.wait_until_idle().await?;
    report.rows.extend(measure_requests(plan, &server).await?);
    report.rows.push(measure_rate(plan, &server).await?);
    report.rows.extend(measure_streams(plan, &server).await?);
    report.rows.push(measure_beside_slow(plan, &server).await?);
    Ok(report)
}

async fn measure_requests(plan: &Plan, server: &Server) -> Result<Vec<Row>> {
    let mut connection = server.connect().await?;
    let mut sides = vec![Series::default(); REQUESTS.len()];
    let mut number = 0;
    // Round 0 fills the caches and is not counted.
    for round in 0..=plan.rounds {
        note(&format!("web: round {round}/{}", plan.rounds));
        for ((request, ..), side) in REQUESTS.iter().zip(&mut sides) {
            let measured = serially(plan.slot / 2, async || {
                number += 1;
                request.send(server, &mut connection, number).await
            });
            let measured = server.measure(measured).await?;
            if round > 0 {
                side.add(measured);
            }
        }
    }
    let millis = |slot: &Measurement| slot.each() / 1000.0;
    let mut rows = Vec::new();
    for ((request, label, goal), side) in REQUESTS.iter().zip(&sides) {
        let label = format!("{label}; {} stored", server.customers);
        let row = Row::new(label, side.percentiles(millis)?, Unit::Millis)
            .cpu(side.percentiles(Measurement::cpu_each)?)
            .bounds(Bounds::goal(Bound::AtMost(*goal)));
        rows.push(match (request, sides.get(1)) {
            (Request::List, Some(without)) => row.ratio(
                "without the count",
                side.ratio(without, millis)?,
                Bounds::NONE,
            ),
            _ => row,
        });
    }
    Ok(rows)
}

/// Measures how many lists two processors could serve in a second.
async fn measure_rate(plan: &Plan, server: &Arc<Server>) -> Result<Row> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(tokio::sync::Mutex::new(server.connect().await?));
    }
    let connections = Arc::new(connections);
    let mut lists = Series::default();
    for _ in 0..plan.rounds {
        let (server, connections) = (Arc::clone(server), Arc::clone(&connections));
        let shared = Arc::clone(&server);
        let measured = in_flight(CONNECTIONS, plan.slot, move |lane| {
            let (server, connections) = (Arc::clone(&shared), Arc::clone(&connections));
            async move {
                let connection = connections.get(lane).context("a lane has a connection")?;
                let mut connection = connection.lock().await;
                Request::List.send(&server, &mut connection, 0).await
            }
        });
        lists.add(server.measure(measured).await?);
    }
    let of_two = |slot: &Measurement| 2e6 / slot.cpu_each().max(1.0);
    let observed = lists.percentiles(Measurement::rate)?;
    let label = format!(
        "lists of 50 on two processors ({:.0} /s beside the client)",
        observed.median
    );
    Ok(Row::new(label, lists.percentiles(of_two)?, Unit::PerSecond)
        .cpu(lists.percentiles(Measurement::cpu_each)?)
        .bounds(Bounds::goal(Bound::AtLeast(2000.0))))
}

/// Measures live streams that each follow a transaction of their own.
async fn measure_streams(plan: &Plan, server: &Server) -> Result<Vec<Row>> {
    let count = match server.customers {
        ..1000 => 20,
        _ => STREAMS,
    };
    note(&format!("web: {count} live streams"));
    let mut connection = server.connect().await?;
    let mut ids = Vec::new();
    for number in 0..count {
        let path = format!("{RECORDS}?hierarchy=sys.Provider.Queued&nowait=true");
        let body = format!("{{\"name\":\"Queued {number}\"}}");
        let queued = connection.json("POST", &path, &body).await?;
        let id = queued.get("transaction_id").and_then(Value::as_str);
        ids.push(id.context("a queued call has a transaction")?.to_owned());
    }
    let before = server.memory()?;
    let mut streams = Vec::new();
    for id in &ids {
        let mut stream = server.connect().await?;
        let path = format!("/events?transaction={id}");
        stream.send("GET", &path, "").await?;
        stream.wait_for("data:").await?;
        streams.push(stream);
    }
    let memory = server.memory()? - before;
    let (used, begun) = (server.processor_time()?, Instant::now());
    tokio::time::sleep(plan.slot * 2).await;
    let used = server.processor_time()?.saturating_sub(used);
    let share = 1000.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64();
    let mut delays = Vec::new();
    for (id, stream) in ids.iter().zip(&mut streams).take(EVENTS.min(count)) {
        let path = format!("/api/tool/Transaction/{id}/cancel/");
        connection.request("POST", &path, "{}").await?;
        let ended = Instant::now();
        stream.wait_for("data:").await?;
        delays.push(1000.0 * ended.elapsed().as_secs_f64());
    }
    let values =
        |values: Vec<f64>| Percentiles::from_values(values).context("nothing was measured");
    Ok(vec![
        Row::new(
            format!("{count} live streams: delay of an event"),
            values(delays)?,
            Unit::Millis,
        )
        .bounds(Bounds::goal(Bound::AtMost(1000.0))),
        Row::new(
            format!("{count} live streams: memory"),
            values(vec![memory.max(0.001)])?,
            Unit::Megabytes,
        ),
        Row::new(
            format!("{count} live streams: processor time of a second"),
            values(vec![share.max(0.001)])?,
            Unit::Millis,
        ),
    ])
}

/// Measures lists beside clients that are slow.
async fn measure_beside_slow(plan: &Plan, server: &Server) -> Result<Row> {
    let (slow, stuck) = match server.customers {
        ..1000 => (10, 2),
        _ => (SLOW, STUCK),
    };
    note(&format!("web: {} slow clients", slow + stuck));
    let mut connection = server.connect().await?;
    let number = AtomicU64::new(0);
    let mut alone = Series::default();
    let mut beside = Series::default();
    for _ in 0..plan.rounds {
        let list = async |connection: &mut Connection| {
            let number = number.fetch_add(1, Ordering::Relaxed);
            Request::List.send(server, connection, number).await
        };
        let measured = serially(plan.slot / 2, async || list(&mut connection).await).await?;
        alone.add(measured);
        let mut halves = Vec::new();
        for _ in 0..slow {
            let mut stream = TcpStream::connect(server.address).await?;
            let head = format!("GET {RECORDS} HTTP/1.1\r\nHost: slow\r\nX-Slow: ");
            stream.write_all(head.as_bytes()).await?;
            halves.push(stream);
        }
        let mut exports = Vec::new();
        for _ in 0..stuck {
            let mut export = server.connect().await?;
            let path = format!("{RECORDS}?format=ndjson");
            export.send("GET", &path, "").await?;
            exports.push(export);
        }
        server.wait_until_idle().await?;
        let measured = serially(plan.slot / 2, async || list(&mut connection).await).await?;
        beside.add(measured);
    }
    let millis = |slot: &Measurement| slot.each() / 1000.0;
    let label = format!("GET a list of 50 beside {} slow clients", slow + stuck);
    let ratio = beside.ratio(&alone, millis)?;
    Ok(
        Row::new(label, beside.percentiles(millis)?, Unit::Millis).ratio(
            "alone",
            ratio,
            Bounds::goal(Bound::AtMost(1.5)),
        ),
    )
}
