//! The program as a process, and its control plane.

use std::process::Stdio;

use http::Request;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{TestResponse, refresh_request, send, url};

pub struct Program {
    child: Child,
    pub stdout: BufReader<ChildStdout>,
    pub first_line: String,
    pub base_url: String,
}

impl Program {
    pub async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_webex-emulator"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).await.unwrap();
        let base_url = first_line
            .strip_prefix("webex emulator listening on ")
            .and_then(|rest| rest.split_once(' '))
            .map(|(url, _)| url.to_owned())
            .unwrap();
        Self {
            child,
            stdout,
            first_line,
            base_url,
        }
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> TestResponse {
        let request = Request::builder()
            .method(method)
            .uri(url(&self.base_url, &format!("/_emulator/{path}")))
            .body(if body.is_null() {
                String::new()
            } else {
                body.to_string()
            })
            .unwrap();
        send(request).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.control("POST", path, body).await;
        assert!(response.status.is_success(), "{path}: {response:?}");
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.control("GET", path, Value::Null).await.json()
    }

    pub async fn api(&self, path: &str, access_token: &str) -> TestResponse {
        let request = Request::get(url(&self.base_url, path))
            .header("authorization", format!("Bearer {access_token}"))
            .body(String::new());
        send(request.unwrap()).await.unwrap()
    }

    pub async fn refresh(&self, token: &str) -> TestResponse {
        send(refresh_request(&self.base_url, token)).await.unwrap()
    }

    pub async fn stop(mut self, signal: &str) -> (i32, String) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status();
        assert!(kill.await.unwrap().success());
        let mut rest = String::new();
        self.stdout.read_line(&mut rest).await.unwrap();
        let status = self.child.wait().await.unwrap();
        (status.code().unwrap(), rest)
    }
}
