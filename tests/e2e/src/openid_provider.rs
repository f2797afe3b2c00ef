//! A real OpenID provider: `oidc-provider`, installed from npm.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use relation_host::types::Timestamp;
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::optional_programs::report_skipped;
use crate::packages::{Package, REQUIRED, Registry};

const PACKAGE: Package = Package {
    registry: Registry::Npm,
    name: "oidc-provider",
    version: "9.13.3",
    others: &[],
};
const PROGRAM: &str = "openid_provider.mjs";

/// The client that the provider knows.
pub const CLIENT_ID: &str = "relation";
/// The secret of the client.
pub const SECRET: &str = "canary-client-secret";

/// The provider as a process. It ends when its input is closed.
pub struct OpenIdProvider {
    /// The issuer, which is its address too.
    pub issuer: String,
    process: Child,
    /// Kept open: the provider writes its notices there.
    _stdout: BufReader<ChildStdout>,
}

impl OpenIdProvider {
    /// Starts a provider for a page at this address, whose time begins now. Without the package, reports that and returns
    /// `None`, or fails the test if `RELATION_REQUIRE_CLIENTS` is set.
    pub fn start(public_url: &str, now: Timestamp) -> Option<Self> {
        let folder = match PACKAGE.install() {
            Ok(folder) => folder,
            Err(reason) => {
                report_skipped(&reason, REQUIRED);
                return None;
            }
        };
        // Modules find packages beside themselves only.
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let program = folder.join(PROGRAM);
        std::fs::copy(programs.join(PROGRAM), &program).expect("the folder can be written");
        let given = json!({
            "client_id": CLIENT_ID, "client_secret": SECRET, "now": now.0,
            "redirect_uri": format!("{public_url}login/oidc/callback"),
            "post_logout_redirect_uri": format!("{public_url}login"),
        });
        let mut process = Command::new("node")
            .arg(program)
            .env("OPENID_PROVIDER", given.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("the output is piped"));
        stdout.read_line(&mut line).expect("the port is printed");
        Some(Self {
            issuer: format!("http://127.0.0.1:{}", line.trim()),
            process,
            _stdout: stdout,
        })
    }

    /// Changes the person or the provider. Returns both.
    #[track_caller]
    pub fn control(&self, change: &Value) -> Value {
        let client = ApiClient::new(self.issuer.trim_start_matches("http://"), "");
        let response = client.send("POST", "/control", &[], Some(change));
        response.expect("the provider is there").expect(200)
    }
}

impl Drop for OpenIdProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
