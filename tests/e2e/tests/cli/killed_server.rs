//! `kill -9` of `serve` while clients write: each acknowledged write is stored once, and no record is stored in part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use relation_e2e::api_client::ApiClient;
use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::{eventually, free_address};
use serde_json::{Value, json};

/// The number of times that the server is killed.
const ROUNDS: usize = 4;
const WRITERS: usize = 4;
/// The number of acknowledged writes after which the server is killed. The rounds differ in their last digits, so that
/// the kills are at different steps.
const WRITES: usize = 14;

/// A client's knowledge of the record with a name.
#[derive(Clone, Debug, Default)]
struct KnownRecord {
    /// The primary key, if a response had it.
    pkid: Option<String>,
    /// Whether the add is queued.
    is_queued: bool,
    /// Whether a response to the add was received.
    is_added: bool,
    /// The addresses that the record may have. The last one was sent last; the first one was acknowledged.
    emails: Vec<Option<String>>,
    delete: Progress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    NotSent,
    Sent,
    Acknowledged,
}

/// A client that sends one write after the other until the server is gone.
struct Writer<'a> {
    api: &'a ApiClient,
    acknowledged: &'a AtomicUsize,
    known: BTreeMap<String, KnownRecord>,
    transactions: Vec<String>,
}

impl<'a> Writer<'a> {
    fn new(api: &'a ApiClient, acknowledged: &'a AtomicUsize) -> Self {
        Self {
            api,
            acknowledged,
            known: BTreeMap::new(),
            transactions: Vec::new(),
        }
    }

    /// Sends a write. Returns the body of the response, or `None` if the server was killed before it responded.
    #[track_caller]
    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Option<Value> {
        let response = self.api.send(method, path, headers, Some(body)).ok()?;
        assert!(response.status < 300, "{method} {path}: {response:?}");
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        if response.status == 202 {
            let id = response.body["transaction_id"].as_str().expect("an id");
            self.transactions.push(id.to_owned());
        }
        Some(response.body)
    }

    /// Adds the record with this name, or repeats the add.
    fn add(&mut self, name: &str) -> Option<()> {
        let is_queued = self.known.entry(name.to_owned()).or_default().is_queued;
        let path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}&nowait={is_queued}");
        let key = [("Idempotency-Key", name)];
        let added = self.send("POST", &path, &key, &json!({ "name": name }))?;
        let known = self.known.get_mut(name).expect("it was inserted");
        known.is_added = true;
        known.pkid = added["pkid"].as_str().map(str::to_owned);
        known.emails = vec![None];
        Some(())
    }

    fn modify(&mut self, name: &str, nowait: bool) -> Option<()> {
        let known = self.known.get_mut(name).expect("it was added");
        let email = format!("{name}@example.com");
        known.emails.push(Some(email.clone()));
        let pkid = known.pkid.clone().expect("it was added");
        let path = format!("/api/relation/SparkCustomer/{pkid}/?nowait={nowait}");
        self.send("PATCH", &path, &[], &json!({ "account_email": email }))?;
        let known = self.known.get_mut(name).expect("it was added");
        known.emails.remove(0);
        Some(())
    }

    fn delete(&mut self, name: &str) -> Option<()> {
        let known = self.known.get_mut(name).expect("it was added");
        known.delete = Progress::Sent;
        let pkid = known.pkid.clone().expect("it was added");
        let path = format!("/api/relation/SparkCustomer/{pkid}/");
        self.send("DELETE", &path, &[], &json!({}))?;
        let known = self.known.get_mut(name).expect("it was added");
        known.delete = Progress::Acknowledged;
        Some(())
    }

    fn run(mut self, round: usize, writer: usize) -> Self {
        for number in 0.. {
            let name = format!("customer-{round}-{writer}-{number}");
            let known = KnownRecord {
                is_queued: number % 4 == 1,
                ..KnownRecord::default()
            };
            self.known.insert(name.clone(), known);
            let sent = self.add(&name).and_then(|()| match number % 4 {
                0 => self.modify(&name, false),
                1 => Some(()),
                2 => self.modify(&name, true),
                _ => self.delete(&name),
            });
            if sent.is_none() {
                break;
            }
        }
        self
    }
}

#[test]
fn killed_server_loses_and_repeats_no_write() {
    let world = CliWorld::new().with_config_line("web.requests-per-minute = 1000000");
    let key = world.add_key("writer", "provider-administrator", "sys");
    let address = free_address("127.0.0.1").to_string();
    let api = ApiClient::new(&address, &key);
    let (mut known, mut transactions) = (BTreeMap::new(), Vec::new());
    for round in 0..ROUNDS {
        let server = world.serve_at(&address, &[]);
        let acknowledged = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let client = Writer::new(&api, &acknowledged);
                    scope.spawn(move || client.run(round, writer))
                })
                .collect();
            eventually("writes are acknowledged", || {
                (acknowledged.load(Ordering::SeqCst) >= WRITES + round).then_some(())
            });
            server.kill();
            for writer in writers {
                let writer = writer.join().expect("a writer does not panic");
                known.extend(writer.known);
                transactions.extend(writer.transactions);
            }
        });
    }

    let server = world.serve_at(&address, &[]);
    let acknowledged = AtomicUsize::new(0);
    let mut repeating = Writer::new(&api, &acknowledged);
    repeating.known = known;
    let names: Vec<String> = repeating.known.keys().cloned().collect();
    for name in names
        .iter()
        .filter(|name| !repeating.known[*name].is_added)
        .cloned()
        .collect::<Vec<_>>()
    {
        // The same key, whether or not the server had received the first request.
        repeating.add(&name).expect("the server runs");
    }
    transactions.extend(std::mem::take(&mut repeating.transactions));
    for (name, known) in &repeating.known {
        if known.delete == Progress::NotSent {
            let path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}&nowait=true");
            let other = json!({ "name": name, "account_email": "other@example.com" });
            let refused = api.send("POST", &path, &[("Idempotency-Key", name)], Some(&other));
            let refused = refused.expect("the server runs");
            let code = &refused.body["code"];
            assert_eq!(
                (refused.status, code),
                (422, &json!("idempotency-key-reused")),
                "{name}"
            );
        }
    }
    for id in &transactions {
        let status = eventually("the queued write has ended", || {
            let shown = api.get(&format!("/api/tool/Transaction/{id}/"));
            let has_ended = shown["completed_time"].is_string();
            has_ended.then_some(shown)
        });
        assert_eq!(status["status"], "Success", "{status:#}");
    }
    check(&api, &repeating.known);
    server.terminate();
    server.wait().succeeds();
    let total = transactions.len();
    println!(
        "{} records, {total} queued writes, {ROUNDS} kills",
        names.len()
    );
}

/// Checks that exactly the known records are stored, each of them whole.
#[track_caller]
fn check(api: &ApiClient, known: &BTreeMap<String, KnownRecord>) {
    let mut found: BTreeMap<String, (String, Value)> = BTreeMap::new();
    let mut path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}&limit=100");
    loop {
        let page = api.get(&path);
        for record in page["resources"].as_array().expect("a list") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let (name, pkid) = (text(&record["data"]["name"]), text(&record["pkid"]));
            let email = record["data"]["account_email"].clone();
            let former = found.insert(name, (pkid, email));
            assert!(former.is_none(), "{former:?} was added twice");
        }
        match page["pagination"]["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    let owned = |pkid: &str| {
        let path = format!("/api/data/DataSync/?hierarchy={NODE}&owner={pkid}");
        api.get(&path)["resources"].as_array().map_or(0, Vec::len)
    };
    let complete = found.values().map(|(pkid, _)| owned(pkid)).max();
    for (name, known) in known {
        match (found.remove(name), known.delete) {
            (Some((pkid, email)), Progress::NotSent | Progress::Sent) => {
                if let Some(expected) = &known.pkid {
                    assert_eq!(&pkid, expected, "{name} was added again");
                }
                let email = email.as_str().map(str::to_owned);
                assert!(
                    known.emails.contains(&email),
                    "{name}: {email:?}, {known:?}"
                );
                assert_eq!(Some(owned(&pkid)), complete, "{name} is incomplete");
            }
            (None, Progress::Sent | Progress::Acknowledged) => {
                let pkid = known.pkid.as_deref().expect("it was added");
                assert_eq!(owned(pkid), 0, "{name} is deleted in part");
            }
            (found, _) => panic!("{name}: {found:?}, but {known:?}"),
        }
    }
    assert!(found.is_empty(), "no client has added {found:?}");
}
