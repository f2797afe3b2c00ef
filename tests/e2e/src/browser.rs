//! A real browser: headless Chromium, driven by chromedriver through a handful of commands of the
//! W3C's WebDriver protocol.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::optional_programs::{find_program, report_skipped};
use crate::process::{TIMEOUT, eventually};

/// Environment variable that makes a missing browser an error, so that its tests cannot be skipped.
const REQUIRED: &str = "RELATION_REQUIRE_BROWSER";

/// The key of an element in the protocol's responses (W3C WebDriver, section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long the browser may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// No sandbox, since tests run as root in containers; and no traffic of the browser's own.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A key that is not a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// To the next control.
    Tab,
    /// To the control before.
    ShiftTab,
    /// Follows a link, presses a button, or sends a form.
    Enter,
    /// Presses a button, or changes a checkbox.
    Space,
    /// The next choice.
    ArrowDown,
    /// The choice before.
    ArrowUp,
}

impl Key {
    /// Returns the keys of the keyboard that are pressed together (W3C WebDriver, section 17.4.2).
    fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Tab => &["\u{E004}"],
            Self::ShiftTab => &["\u{E008}", "\u{E004}"],
            Self::Enter => &["\u{E007}"],
            Self::Space => &[" "],
            Self::ArrowDown => &["\u{E015}"],
            Self::ArrowUp => &["\u{E013}"],
        }
    }
}

/// An element as assistive technology describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementDescription {
    /// Such as `link` or `textbox`.
    pub role: String,
    /// The accessible name.
    pub label: String,
}

/// A browser with one window, closed when dropped.
pub struct Browser {
    runtime: Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
    driver: Child,
    /// `http://127.0.0.1:PORT/session/ID` once a session exists.
    session: String,
    /// Profile and output; removed last.
    _directory: TempDir,
}

impl Browser {
    /// Starts a browser with a fresh profile. Without an installed browser it reports that and
    /// returns `None`, or fails the test if `RELATION_REQUIRE_BROWSER` is set.
    pub fn start() -> Option<Self> {
        let (Some(browser), Some(driver)) = (
            ["chromium", "chromium-browser", "google-chrome"]
                .into_iter()
                .find_map(find_program),
            find_program("chromedriver"),
        ) else {
            let advice = "chromium and chromedriver are not installed \
                          (Debian: apt-get install chromium chromium-driver)";
            report_skipped(advice, REQUIRED);
            return None;
        };
        let directory = TempDir::new().expect("a temporary directory");
        let output = directory.path().join("chromedriver.log");
        let log = File::create(&output).expect("the directory can be written");
        let mut command = Command::new(driver);
        command.arg("--port=0").stdin(Stdio::null());
        // Keep crash reports and the like in the temporary directory.
        command.env("XDG_CONFIG_HOME", directory.path());
        command.stdout(log).stderr(Stdio::null());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // The browser's processes are in the driver's group and end with it.
            command.process_group(0);
        }
        let driver = command.spawn().expect("chromedriver starts");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut this = Self {
            runtime,
            client,
            driver,
            session: String::new(),
            _directory: directory,
        };
        let port = eventually("chromedriver listens", || {
            let printed = std::fs::read_to_string(&output).ok()?;
            let (_, rest) = printed.split_once("started successfully on port ")?;
            let (port, _) = rest.split_once('.')?;
            Some(port.to_owned())
        });
        let root = format!("http://127.0.0.1:{port}/session");
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        let profile = this._directory.path().join("profile");
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let options = json!({ "binary": browser, "args": arguments });
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = this.send(Method::POST, &root, &capabilities);
        let id = session["sessionId"].as_str().expect("a session has an id");
        this.session = format!("{root}/{id}");
        // Wait for a slow page, as a person would.
        let timeout = u64::try_from(TIMEOUT.as_millis()).expect("a minute or so");
        this.command(Method::POST, "timeouts", &json!({ "implicit": timeout }));
        Some(this)
    }

    /// Opens an address and waits until its page has loaded.
    pub fn open(&self, url: &str) {
        self.command(Method::POST, "url", &json!({ "url": url }));
    }

    /// Clicks the first element that matches this CSS selector, on this page or the one that is
    /// loading. The next page may still be loading afterwards: see [`Self::wait_for_url`].
    pub fn click(&self, selector: &str) {
        let path = format!("element/{}/click", self.element(selector));
        self.command(Method::POST, &path, &json!({}));
    }

    /// Types a text into the first element that matches this CSS selector, in place of its content.
    pub fn type_text(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command(
            Method::POST,
            &format!("element/{element}/clear"),
            &json!({}),
        );
        let keys = json!({ "text": text });
        self.command(Method::POST, &format!("element/{element}/value"), &keys);
    }

    /// Clicks the first link, button or summary with this text, which a text for screen readers may follow.
    pub fn click_text(&self, text: &str) {
        let xpath = format!(
            "//*[self::a or self::button or self::summary]\
             [normalize-space(.)=\"{text}\" or starts-with(normalize-space(.), \"{text} \")]"
        );
        // A page that reloads itself leaves the element that was found.
        eventually(&format!("{text:?} is clicked"), || {
            let path = format!("element/{}/click", self.find("xpath", &xpath));
            let url = format!("{}/{path}", self.session);
            match self.try_send(Method::POST, &url, &json!({})) {
                Ok(_) => Some(()),
                Err(error) if error.contains("stale element") => None,
                Err(error) => panic!("{error}"),
            }
        });
    }

    /// Presses keys one after the other.
    pub fn press(&self, keys: &[Key]) {
        let actions = keys.iter().flat_map(|key| {
            let codes = key.codes();
            let down = codes.iter().map(|code| ("keyDown", *code));
            let up = codes.iter().rev().map(|code| ("keyUp", *code));
            down.chain(up)
        });
        self.use_keyboard(actions.map(|(kind, code)| (kind, code.to_owned())));
    }

    /// Types a text on the keyboard, into whatever has the focus.
    pub fn type_keys(&self, text: &str) {
        let actions = text.chars().flat_map(|char| {
            let code = char.to_string();
            [("keyDown", code.clone()), ("keyUp", code)]
        });
        self.use_keyboard(actions);
    }

    fn use_keyboard(&self, actions: impl Iterator<Item = (&'static str, String)>) {
        let actions: Vec<Value> = actions
            .map(|(kind, code)| json!({ "type": kind, "value": code }))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        let body = json!({ "actions": [keyboard] });
        self.command(Method::POST, "actions", &body);
    }

    /// Describes the element that has the focus.
    pub fn active_element(&self) -> ElementDescription {
        let found = self.command(Method::GET, "element/active", &Value::Null);
        let element = found[ELEMENT].as_str().expect("an element");
        ElementDescription {
            role: self.read(&format!("element/{element}/computedrole")),
            label: self.read(&format!("element/{element}/computedlabel")),
        }
    }

    /// Runs a script in the page, and returns what it returns.
    pub fn execute(&self, script: &str) -> Value {
        self.try_execute(script)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a script in the page, and returns what it returns.
    ///
    /// # Errors
    /// The script failed, or its page was left meanwhile.
    pub fn try_execute(&self, script: &str) -> Result<Value, String> {
        let body = json!({ "script": script, "args": [] });
        let url = format!("{}/execute/sync", self.session);
        self.try_send(Method::POST, &url, &body)
    }

    /// Runs a script in the page that calls its last argument with the result, and returns the result.
    pub fn execute_async(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.command(Method::POST, "execute/async", &body)
    }

    /// Runs a script in every page that is opened from now on, before the page's own.
    pub fn run_in_new_pages(&self, script: &str) {
        self.use_devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": script }),
        );
    }

    /// Sets the size of the window in CSS pixels, and the number of pixels of the screen for each.
    pub fn set_size(&self, width: u32, height: u32, scale: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.use_devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Chooses between the dark and the light scheme of colors.
    pub fn set_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let media = json!({ "features": [feature] });
        self.use_devtools("Emulation.setEmulatedMedia", media);
    }

    fn use_devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command(Method::POST, "goog/cdp/execute", &body)
    }

    /// Returns the lines of the console since the last call, each with its source, such as `network`.
    pub fn take_console(&self) -> Vec<(String, String)> {
        let lines = self.command(Method::POST, "se/log", &json!({ "type": "browser" }));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = lines.as_array().expect("a list").iter();
        lines
            .map(|line| (text(&line["source"]), text(&line["message"])))
            .collect()
    }

    /// Stores a picture of the window as a PNG file, for a person.
    pub fn save_screenshot(&self, file: &std::path::Path) {
        use base64::Engine as _;
        let picture = self.read("screenshot");
        let engine = base64::engine::general_purpose::STANDARD;
        let bytes = engine.decode(picture).expect("the picture is base64");
        std::fs::write(file, bytes).expect("the picture can be written");
    }

    /// Returns the visible text of the first element that matches this CSS selector.
    pub fn text(&self, selector: &str) -> String {
        let path = format!("element/{}/text", self.element(selector));
        self.read(&path)
    }

    /// Waits for a page whose address begins like this, and returns the whole address.
    pub fn wait_for_url(&self, beginning: &str) -> String {
        eventually(&format!("the browser is at {beginning}"), || {
            Some(self.url()).filter(|url| url.starts_with(beginning))
        })
    }

    /// Returns the address of the page.
    pub fn url(&self) -> String {
        self.read("url")
    }

    /// Returns the title of the page.
    pub fn title(&self) -> String {
        self.read("title")
    }

    /// Returns the page as HTML.
    pub fn source(&self) -> String {
        self.read("source")
    }

    /// Returns the page's content security policy, which keeps it from loading anything from
    /// another origin. Fails the test without one.
    pub fn policy(&self) -> String {
        let script = "const done = arguments[0]; \
                      document.addEventListener('securitypolicyviolation', \
                          event => done(event.originalPolicy)); \
                      fetch('http://127.0.0.1:1/').then(() => done(null), \
                          () => setTimeout(() => done(null), 1000));";
        let policy = self.execute_async(script);
        let policy = policy.as_str().expect("a policy forbids the request");
        policy.to_owned()
    }

    fn element(&self, selector: &str) -> String {
        self.find("css selector", selector)
    }

    fn find(&self, using: &str, value: &str) -> String {
        let wanted = json!({ "using": using, "value": value });
        let found = self.command(Method::POST, "element", &wanted);
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    fn read(&self, what: &str) -> String {
        let value = self.command(Method::GET, what, &Value::Null);
        value.as_str().expect("a text").to_owned()
    }

    fn command(&self, method: Method, path: &str, body: &Value) -> Value {
        self.send(method, &format!("{}/{path}", self.session), body)
    }

    /// Sends one command and returns its `value`; fails the test with the driver's message.
    fn send(&self, method: Method, url: &str, body: &Value) -> Value {
        self.try_send(method, url, body)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends one command and returns its `value`, or the driver's message.
    fn try_send(&self, method: Method, url: &str, body: &Value) -> Result<Value, String> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => body.to_string().into(),
        };
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .expect("a request");
        let (status, body) = self.runtime.block_on(async {
            let exchange = async {
                let response = self.client.request(request).await;
                let response = response.expect("chromedriver responds");
                let status = response.status();
                let body = response.into_body().collect().await;
                (
                    status,
                    body.expect("chromedriver's response is complete")
                        .to_bytes(),
                )
            };
            let response = tokio::time::timeout(TIMEOUT, exchange).await;
            response.unwrap_or_else(|_| panic!("chromedriver is silent about {url}"))
        });
        let mut response: Value = serde_json::from_slice(&body).expect("chromedriver returns JSON");
        let value = response["value"].take();
        match status.is_success() {
            true => Ok(value),
            false => Err(format!(
                "the browser refused {url}: {}: {}",
                value["error"], value["message"]
            )),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let end = Request::delete(&self.session).body(Full::default());
            let end = self.client.request(end.expect("a request"));
            // A browser that is slow to close is killed below.
            let _ = self
                .runtime
                .block_on(async { tokio::time::timeout(CLOSE_TIMEOUT, end).await });
        }
        #[cfg(unix)]
        if let Some(group) = Pid::from_raw(self.driver.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
