//! A host that kills itself with SIGKILL at one step of one workflow, for the tests that sweep over
//! all steps. It prints a line for each step it reaches.
//!
//! `victim COMPONENT DIRECTORY WEBEX NOW STEP due|notices|deliver|connect|complete|sync PKID [ADDRESS]`. WEBEX is the
//! emulator as `HOST:PORT`, NOW the time in milliseconds, and STEP the step to end at (0: none).
//! The commands: run what is due, begin a consent that comes back to ADDRESS, complete the one
//! with this callback, or import everything. `notices` runs what is due with an outbox, whose handler
//! appends the id of each notice to the file `told`; `deliver` sends notices to webhooks at ADDRESS. The store is the
//! file in DIRECTORY, or the one at the address in `RELATION_VICTIM_STORE`.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use relation_app::config::Config;
use relation_app::notices::Notices;
use relation_e2e::artifacts;
use relation_e2e::faulty_store::{FaultyStore, Moment, Operation, StoreFaults};
use relation_e2e::world::CLIENT_SECRET;
use relation_host::clock::ManualClock;
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::reports::{Grant, SyncSelector};
use relation_host::schedule::DispatcherOptions;
use relation_host::store::Store;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::types::{Pkid, Timestamp};
use relation_host::{
    ComponentSource, HandledWakeup, HandlerError, HandlerOptions, Host, NextRun, Outbox,
    WakeupHandler, WakeupResult, wakeup_kinds,
};
use secrecy::SecretString;

/// Counts steps, and kills the process at one of them.
#[derive(Clone)]
struct Steps {
    passed: Arc<AtomicUsize>,
    last: usize,
}

impl Steps {
    fn step(&self, name: &str) {
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{name}").expect("the test reads it");
        stdout.flush().expect("the test reads it");
        if number == self.last {
            let kill = format!("kill -9 {}", std::process::id());
            let _ = Command::new("sh").args(["-c", &kill]).status();
            panic!("still alive");
        }
    }
}

/// The handler of notices in the victim.
enum VictimOutbox<'a> {
    /// No outbox.
    None,
    /// A handler that notes ids.
    Teller,
    /// The runner, with webhooks at this origin.
    Webhooks(&'a str),
}

/// A handler that delivers notices by writing their ids to a file.
struct Teller {
    file: PathBuf,
    steps: Steps,
}

#[async_trait]
impl WakeupHandler for Teller {
    async fn run(&self, wakeup: &HandledWakeup) -> Result<WakeupResult, HandlerError> {
        self.steps.step("before telling");
        let mut told = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        writeln!(told, "{}", wakeup.document.reference.pkid)?;
        self.steps.step("after telling");
        Ok(NextRun::DeleteSubject.into())
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        component,
        directory,
        webex,
        now,
        step,
        what,
        pkid,
        rest @ ..,
    ] = &arguments[..]
    else {
        panic!("see the documentation of this program");
    };
    let steps = Steps {
        passed: Arc::default(),
        last: step.parse().expect("a number"),
    };
    let now = Timestamp(now.parse().expect("milliseconds"));
    let outbox = match (what.as_str(), rest) {
        ("notices", _) => VictimOutbox::Teller,
        ("deliver", [origin]) => VictimOutbox::Webhooks(origin),
        _ => VictimOutbox::None,
    };
    let directory = Path::new(directory);
    let host = host(component, directory, webex, now, &steps, outbox).await;
    let pkid: Pkid = pkid.parse().expect("a pkid");
    match (what.as_str(), rest) {
        ("due" | "notices", []) | ("deliver", [_]) => {
            let dispatcher = host.dispatcher(DispatcherOptions::default());
            dispatcher
                .run_until_idle()
                .await
                .expect("the store responds");
        }
        ("connect", [redirect]) => {
            let begun = host.connect(&pkid, Grant::Organization, redirect).await;
            let _ = begun.expect("a consent can begin");
        }
        ("complete", [callback]) => {
            let callback = SecretString::from(callback.as_str());
            let completed = host.complete_connect(&pkid, &callback).await;
            let _ = completed.expect("the consent is completed");
        }
        ("sync", []) => {
            let imported = host.sync(&pkid, SyncSelector::ALL, false).await;
            let _ = imported.expect("everything is imported");
        }
        _ => panic!("see the documentation of this program"),
    }
}

async fn host(
    component: &str,
    directory: &Path,
    webex: &str,
    now: Timestamp,
    steps: &Steps,
    outbox: VictimOutbox<'_>,
) -> Host {
    let clock = Arc::new(ManualClock::new(now));
    let store: Arc<dyn Store> = match std::env::var("RELATION_VICTIM_STORE") {
        Ok(address) => relation_test_stores::open_in_child(&address).await,
        Err(_) => {
            let database = directory.join("relation.db");
            let store = SqliteStore::open(&database, &SqliteOptions::default());
            Arc::new(store.expect("the store opens"))
        }
    };
    let faults = StoreFaults::new(Arc::clone(&clock));
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(store, faults.clone()));
    let key = KeyFile::new(directory.join("relation.key"));
    let sealer = Sealer::open(&*store, key, now).await.expect("the key fits");
    let relay = relay(webex.to_owned(), steps.clone());
    let policy = Policy::parse(&[format!("http://{relay}")]).expect("an origin");
    let client = Client::new(policy, ClientOptions::default()).expect("the client starts");
    let settings = [
        ("webex.base-url", format!("http://{relay}/v1")),
        ("webex.client-id", "C0ffee".to_owned()),
        ("refresh.jitter", "0".to_owned()),
    ];
    let sealer = Arc::new(sealer);
    let mut builder = Host::builder();
    match outbox {
        VictimOutbox::None => {}
        VictimOutbox::Teller => {
            let teller = Arc::new(Teller {
                file: directory.join("told"),
                steps: steps.clone(),
            });
            builder = builder.outbox(Outbox::default()).wakeup_handler(
                wakeup_kinds::NOTICE,
                teller,
                HandlerOptions::default(),
            );
        }
        VictimOutbox::Webhooks(origin) => {
            let mut config = Config::without_file(directory);
            config.notices.webhook_origins = vec![origin.to_owned()];
            let notices = Notices::new(&config, Arc::clone(&store), Arc::clone(&sealer));
            builder = notices.configure(builder);
        }
    }
    let host = builder
        .component(ComponentSource::File(component.into()))
        .store(store)
        .sealer(sealer)
        .clock(clock)
        .settings(settings.map(|(key, value)| (key.to_owned(), value)).into())
        .secret_setting("webex.client-secret", SecretString::from(CLIENT_SECRET))
        .egress(client)
        .stash(directory.join("relation.db-stash"))
        .component_cache(artifacts::component_cache())
        .build()
        .await
        .expect("the host starts");
    let steps = steps.clone();
    faults.watch(move |operation, moment| {
        let operation = match operation {
            Operation::Begin => "begin",
            Operation::Commit => "commit",
            Operation::Report => "report",
            Operation::End => "end",
            Operation::Read | Operation::Sealed | Operation::Other => return,
        };
        let moment = match moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        steps.step(&format!("{moment} {operation}"));
    });
    host
}

/// Forwards requests to Webex, with a step before each is sent and one after its response has
/// arrived.
fn relay(webex: String, steps: Steps) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens").to_string();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (webex, steps) = (webex.clone(), steps.clone());
            let client = client.expect("a connection");
            std::thread::spawn(move || {
                let mut server = TcpStream::connect(webex).expect("Webex listens");
                let mut requests = BufReader::new(client.try_clone().expect("a connection"));
                let mut responses = BufReader::new(server.try_clone().expect("a connection"));
                let mut client = client;
                while let Some(request) = message(&mut requests) {
                    let line = String::from_utf8_lossy(&request);
                    let target = line.split([' ', '?']).nth(1).unwrap_or_default();
                    steps.step(&format!("before sending {target}"));
                    server.write_all(&request).expect("Webex reads");
                    let response = message(&mut responses).expect("Webex responds");
                    steps.step(&format!("after the response of {target}"));
                    client.write_all(&response).expect("the host reads");
                }
            });
        }
    });
    address
}

/// Reads one message of HTTP/1.1 with a known length; returns `None` at the end of the connection.
fn message(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let begin = bytes.len();
        if from.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&bytes[begin..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        assert!(!line.starts_with("transfer-encoding:"), "{line}");
        if line == "\r\n" {
            break;
        }
    }
    let begin = bytes.len();
    bytes.resize(begin + length, 0);
    from.read_exact(&mut bytes[begin..]).ok()?;
    Some(bytes)
}
