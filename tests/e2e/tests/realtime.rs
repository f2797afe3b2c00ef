//! One customer's lifecycle in real time. The emulated Webex, the administrator's commands and the service have a
//! process each.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use relation_e2e::database::Database;
use relation_e2e::process::{CLIENT_ID, Program, RunningProgram, Workspace, eventually};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const SECRET: &str = "client-secret-of-the-real-time-test";
/// Short enough for a test, long enough for a busy machine.
const TTL_ARGUMENTS: [&str; 4] = ["--access-ttl", "4s", "--refresh-ttl", "12s"];

/// The emulator's program.
struct Webex {
    base_url: String,
    /// For requests to its control plane.
    runtime: Runtime,
    running: RunningProgram,
}

impl Webex {
    fn start(program: Program) -> Self {
        let running = program.args(TTL_ARGUMENTS).start();
        let base_url = eventually("the emulator listens", || {
            let printed = running.stdout();
            let url = printed
                .split_whitespace()
                .find(|word| word.starts_with("http://"))?;
            printed.ends_with('\n').then(|| url.to_owned())
        });
        Self {
            base_url,
            runtime: Runtime::new().unwrap(),
            running,
        }
    }

    /// Sends a request to the control plane.
    fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let origin = self.base_url.strip_suffix("/v1").unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{origin}/_emulator/{path}"))
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = async {
            let response = client
                .request(request)
                .await
                .expect("the emulator responds");
            let status = response.status();
            assert!(status.is_success(), "{path}: {status}");
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let body = self.runtime.block_on(response);
        serde_json::from_slice(&body).expect("a JSON response")
    }

    fn token_requests(&self) -> usize {
        let requests = self.control("GET", "requests", Value::Null);
        let all = requests.as_array().unwrap().iter();
        all.filter(|request| request["path"] == "/v1/access_token")
            .count()
    }
}

fn state(workspace: &Workspace) -> String {
    let shown = workspace.json(["show", "Contoso"]);
    shown["connection"]["state"].as_str().unwrap().to_owned()
}

#[test]
fn lifecycle_runs_in_real_time() {
    // The emulator must run before its address can be configured.
    let beside = Workspace::new("http://127.0.0.1:9/v1", SECRET);
    let webex = Webex::start(beside.program(
        "webex-emulator",
        [
            "--client-id",
            CLIENT_ID,
            "--client-secret-file",
            "client-secret",
        ],
    ));
    let workspace = Workspace::new(&webex.base_url, SECRET)
        .with_config_line("expiry.thresholds = [\"6s\", \"3s\"]");

    let organization = webex.control("POST", "organizations", json!({ "displayName": "Contoso" }));
    let grant = webex.control(
        "POST",
        "grants",
        json!({ "organization": organization["id"] }),
    );
    let added = workspace
        .relation([
            "add",
            "--hierarchy",
            "sys.Provider.Reseller",
            "--name",
            "Contoso",
        ])
        .arg("--account-number")
        .arg(organization["uuid"].as_str().unwrap())
        .args(["--tokens", "-", "--json"])
        .stdin(grant.to_string())
        .run()
        .succeeds()
        .json();
    let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
    let service = workspace.relation(["run"]).start();

    // Connected beyond the expiry of its first access token, and never near the end of the refresh token.
    eventually("it is refreshed", || {
        (webex.token_requests() >= 3).then_some(())
    });
    assert_eq!(state(&workspace), "connected");
    let alerts = |workspace: &Workspace| workspace.json(["show", "Contoso"])["alerts"].clone();
    assert_eq!(alerts(&workspace), json!([]));

    // From now on the refresh token is not prolonged.
    webex.control("POST", "mode", json!({ "mode": "frozen-clock" }));
    eventually("a person is warned", || {
        let alerts = alerts(&workspace);
        let codes = alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| &alert["code"]);
        let mut warnings = codes.filter(|code| *code == "WEBEX_REFRESH_TOKEN_EXPIRING");
        warnings.next().is_some().then_some(())
    });
    let warned = state(&workspace);
    assert!(
        ["connected", "expiring"].contains(&warned.as_str()),
        "{warned}"
    );
    eventually("the connection has expired", || {
        (state(&workspace) == "expired").then_some(())
    });

    let thresholds = |alerts: &Value| -> Vec<(String, u64)> {
        let mut all: Vec<_> = alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| {
                let code = alert["code"].as_str().unwrap().to_owned();
                (code, alert["threshold"].as_u64().unwrap())
            })
            .collect();
        all.sort();
        all
    };
    let expiring = |threshold| ("WEBEX_REFRESH_TOKEN_EXPIRING".to_owned(), threshold);
    assert_eq!(
        thresholds(&alerts(&workspace)),
        [
            ("WEBEX_REFRESH_TOKEN_EXPIRED".to_owned(), 0),
            expiring(3000),
            expiring(6000)
        ]
    );
    let refused = workspace.relation(["refresh", "Contoso"]).run().exits(4);
    assert!(refused.stderr.contains("\nhint: "), "{}", refused.stderr);
    let violations = webex.control("GET", "violations", Value::Null);
    assert_eq!(violations, json!([]));

    workspace
        .relation(["delete", "Contoso", "--yes"])
        .run()
        .succeeds();
    service.terminate();
    service.wait().succeeds();
    let database = Database::open(&workspace.path("relation.db"));
    for text in [pkid.as_str(), "Contoso"] {
        let mut tables = database.tables_that_mention(text);
        assert!(
            tables.contains(&"transactions".to_owned()),
            "{text}: {tables:?}"
        );
        tables.retain(|table| !table.starts_with("transaction"));
        assert!(tables.is_empty(), "{text} is still in {tables:?}");
    }
    webex.running.terminate();
    webex.running.wait().succeeds();
}
