//! `docs/examples/onboard.py` against the server: 100 customers with callbacks, and callbacks across `kill -9`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::optional_programs::{find_program, report_skipped};
use relation_e2e::process::{RunningProgram, eventually, free_address};
use serde_json::{Value, json};

/// Environment variable that makes a missing interpreter an error.
const REQUIRED: &str = "RELATION_REQUIRE_CLIENTS";
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/examples/onboard.py"
);
const SIGNING_SECRET: &str = "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5LW9mLTMyLWJ5dGVzISE=";
const CUSTOMERS: usize = 100;

/// Starts the server; returns its address too.
fn serve(world: &CliWorld, arguments: &[&str]) -> (RunningProgram, String) {
    let address = free_address("127.0.0.1").to_string();
    let serve = ["serve", "--listen", &address];
    let mut running = world.workspace.relation(serve).args(arguments).start();
    running.wait_until_serving();
    (running, address)
}

fn add_key(world: &CliWorld, name: &str, role: &str) -> String {
    let key = [
        "key",
        "add",
        name,
        "--role",
        role,
        "--hierarchy",
        NODE,
        "--json",
    ];
    let added = world.workspace.relation(key).run().succeeds().json();
    added["key"].as_str().unwrap().to_owned()
}

/// Sends a request with a key; returns the status and the body.
fn send(address: &str, method: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn count_records(address: &str, key: &str) -> u64 {
    let path = "/api/relation/SparkCustomer/?limit=1";
    let (_, list) = send(address, "GET", path, key, &json!({}));
    list["pagination"]["total"].as_u64().unwrap()
}

#[test]
fn script_onboards_a_hundred_customers_once() {
    let Some(python) = find_program("python3") else {
        report_skipped("python3 is not installed", REQUIRED);
        return;
    };
    let receiver = free_address("127.0.0.1").to_string();
    // The limit is below the number of customers, so that the script is told to wait.
    let world = CliWorld::new()
        .with_config_line(&format!("web.callback-origins = [\"http://{receiver}\"]"))
        .with_config_line("web.requests-per-minute = 80");
    let (server, address) = serve(&world, &[]);
    let administrator = add_key(&world, "ada", "provider-administrator");
    let auth = json!({
        "name": "crm", "hierarchy": NODE, "token": "canary-token", "signing_secret": SIGNING_SECRET,
    });
    let path = "/api/data/ApiCallbackAuth/";
    assert_eq!(send(&address, "POST", path, &administrator, &auth).0, 201);
    let mut csv = "name,account_email\n".to_owned();
    for number in 1..=CUSTOMERS {
        writeln!(
            csv,
            "Customer {number:03},it@customer{number:03}.example.com"
        )
        .unwrap();
    }
    let csv = world.workspace.write("customers.csv", &csv);
    let secret = world.workspace.write("whsec.txt", SIGNING_SECRET);
    let onboard = |key: &str, options: &[&str]| -> (Output, String) {
        let output = Command::new(&python)
            .arg(SCRIPT)
            .args(["--url", &format!("http://{address}"), "--hierarchy", NODE])
            .args(options)
            .arg(&csv)
            .env("RELATION_API_KEY", key)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, format!("{text}{errors}"))
    };
    let secret = secret.to_str().unwrap();
    let signed = ["--callback-auth", "crm", "--signing-secret-file", secret];
    let listen = ["--listen", &receiver, "--poll-after", "60"];
    let first = add_key(&world, "first", "machine");
    let began = Instant::now();
    let (output, text) = onboard(&first, &[&listen[..], &signed].concat());
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("100 of 100 customers are onboarded"),
        "{text}"
    );
    assert!(text.contains("100 ends came as callbacks"), "{text}");
    // A script that is slower never reaches the limit of requests.
    let is_fast = began.elapsed() < Duration::from_secs(12);
    assert!(!is_fast || !text.contains("asked for 0 pauses"), "{text}");
    assert_eq!(count_records(&address, &administrator), 100);

    // A rerun, which polls, adds nothing. It has few rows, since the key has used up its requests.
    let rows = std::fs::read_to_string(&csv).unwrap();
    let rows: String = rows.split_inclusive('\n').take(11).collect();
    world.workspace.write("customers.csv", &rows);
    let (output, text) = onboard(&first, &[]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("10 of 10 customers are onboarded"), "{text}");
    assert_eq!(count_records(&address, &administrator), 100);

    // The failed ones are named.
    let third = add_key(&world, "third", "machine");
    world.workspace.write(
        "customers.csv",
        "name,account_email\nAdatum,nobody\nFabrikam,\n",
    );
    let (output, text) = onboard(&third, &["--listen", &receiver]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("1 of 2 customers are onboarded"), "{text}");
    assert!(text.contains("line 2: Adatum: Fail: "), "{text}");
    let other = free_address("127.0.0.1").to_string();
    let (output, text) = onboard(&third, &["--listen", &other, "--callback-auth", "none"]);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("web.callback-origins") && text.contains("callback_auth"),
        "{text}"
    );
    server.terminate();
    let output = server.wait().succeeds();
    for canary in ["canary-token", SIGNING_SECRET] {
        assert!(!output.stdout.contains(canary) && !output.stderr.contains(canary));
    }
}

#[test]
fn callback_survives_kill_between_end_and_delivery() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = listener.local_addr().unwrap();
    let line = format!("web.callback-origins = [\"http://{receiver}\"]");
    let world = CliWorld::new().with_config_line(&line);
    let key = add_key(&world, "crm", "machine");
    // Without a dispatcher, nothing is delivered before the server is killed.
    let (server, address) = serve(&world, &["--no-dispatch"]);
    let path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}");
    let meta = json!({ "callback_url": format!("http://{receiver}/hook") });
    let body = json!({ "name": "Contoso", "request_meta": meta });
    let (status, added) = send(&address, "POST", &path, &key, &body);
    assert_eq!(status, 201, "{added}");
    let id = added["transaction_id"].as_str().unwrap();
    server.kill();

    let received = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut reader = BufReader::new(&stream);
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap() > 2 {}
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let response = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        (&stream).write_all(response).unwrap();
        (head, String::from_utf8(body).unwrap())
    });
    let (server, address) = serve(&world, &[]);
    let (head, body) = received.join().unwrap();
    assert!(head.contains(&format!("msg_{id}")), "{head}");
    assert!(body.contains("\"Success\""), "{body}");
    eventually("the delivery is recorded", || {
        let path = format!("/api/tool/Transaction/{id}/");
        let (_, shown) = send(&address, "GET", &path, &key, &json!({}));
        (shown["callback"]["delivered"] == true).then_some(())
    });
    server.terminate();
    server.wait().succeeds();
}
