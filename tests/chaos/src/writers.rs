//! Clients of the API that add and modify records, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::setup::NODE;

/// The records of one writer.
const RECORDS: usize = 25;

/// The pause between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(50);

/// The pause after a write that was not acknowledged.
const LONG_PAUSE: Duration = Duration::from_millis(300);

/// A writer's knowledge of one record.
#[derive(Clone, Debug, Default)]
pub struct KnownRecord {
    /// The primary key, if the add was acknowledged.
    pub pkid: Option<String>,
    /// The values that the field may have: the first was acknowledged last, the others were sent later.
    pub values: Vec<Option<String>>,
    /// Values that were accepted and not stored yet: each may come later, in any order.
    pub queued: Vec<String>,
}

/// The results of one writer.
#[derive(Debug, Default)]
pub struct Written {
    /// The records by name.
    pub known: BTreeMap<String, KnownRecord>,
    /// The number of acknowledged writes.
    pub acknowledged: usize,
    /// The number of writes that were not acknowledged: an error, or no response.
    pub unknown: usize,
    /// Responses that should never come.
    pub wrong: Vec<String>,
}

/// The running writers.
pub struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Written>>,
}

impl Writers {
    /// Starts writers, each of which sends its requests to random hosts.
    pub fn start(count: usize, apis: &[ApiClient], seed: u64) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let threads = (0..count).map(|number| {
            let writer = Writer {
                number,
                apis: apis.to_vec(),
                random: Rng::with_seed(seed.wrapping_add(number as u64)),
                written: Written::default(),
            };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || writer.run(&stop))
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }

    /// Stops them, and returns their results together.
    pub fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        for thread in self.threads {
            let written = thread.join().expect("a writer does not panic");
            all.known.extend(written.known);
            all.acknowledged += written.acknowledged;
            all.unknown += written.unknown;
            all.wrong.extend(written.wrong);
        }
        all
    }
}

/// The outcome of one write.
enum Sent {
    /// The write was acknowledged as done.
    Done(Value),
    /// The write was accepted, and is done later.
    Queued,
    /// The write may have been done.
    Unknown,
}

struct Writer {
    number: usize,
    apis: Vec<ApiClient>,
    random: Rng,
    written: Written,
}

impl Writer {
    fn run(mut self, stop: &AtomicBool) -> Written {
        let mut number = 0u64;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let record = self.random.usize(0..RECORDS);
            let name = format!("writer-{}-{record}", self.number);
            let acknowledged = match self.written.known.get(&name).and_then(|it| it.pkid.clone()) {
                Some(pkid) => self.modify(&name, &pkid, number),
                None => self.add(&name),
            };
            match acknowledged {
                true => self.written.acknowledged += 1,
                false => self.written.unknown += 1,
            }
            std::thread::sleep(if acknowledged { PAUSE } else { LONG_PAUSE });
        }
        self.written
    }

    /// Adds the record, or repeats the add with the same key.
    fn add(&mut self, name: &str) -> bool {
        let path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}");
        let key = [("Idempotency-Key", name)];
        self.written.known.entry(name.to_owned()).or_default();
        let Sent::Done(added) = self.send("POST", &path, &key, &json!({ "name": name })) else {
            return false;
        };
        let known = self.written.known.entry(name.to_owned()).or_default();
        known.pkid = added["pkid"].as_str().map(str::to_owned);
        known.values = vec![None];
        known.pkid.is_some()
    }

    fn modify(&mut self, name: &str, pkid: &str, number: u64) -> bool {
        let value = format!("{name}-{number}@example.com");
        let known = self.written.known.entry(name.to_owned()).or_default();
        known.values.push(Some(value.clone()));
        let path = format!("/api/relation/SparkCustomer/{pkid}/");
        let sent = self.send("PATCH", &path, &[], &json!({ "account_email": value }));
        let known = self.written.known.entry(name.to_owned()).or_default();
        match sent {
            Sent::Done(_) => known.values = vec![Some(value)],
            Sent::Queued => known.queued.push(value),
            Sent::Unknown => {}
        }
        matches!(sent, Sent::Done(_))
    }

    /// Sends a write to some host.
    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Sent {
        let host = self.random.usize(0..self.apis.len());
        let Ok(response) = self.apis[host].send(method, path, headers, Some(body)) else {
            return Sent::Unknown;
        };
        match response.status {
            200 | 201 => Sent::Done(response.body),
            202 => Sent::Queued,
            // Busy, or an error of the host.
            409 | 429 | 500.. => Sent::Unknown,
            status => {
                let text = format!("{method} {path}: {status} {}", response.body);
                self.written.wrong.push(text);
                Sent::Unknown
            }
        }
    }
}
