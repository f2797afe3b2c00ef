//! The beginning of a run: the store, its key, and the customers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use webex_emulator::{DEFAULT_SCOPES, Webex};

use crate::api_client::ApiClient;
use crate::ledger::Ledger;
use crate::{Options, hosts};

/// The node of every record.
pub const NODE: &str = "sys.Provider.Reseller";

/// The number of customers that are added concurrently.
const CONCURRENT: usize = 24;

/// The installation of the run itself, which bypasses the network of the hosts.
pub struct Setup {
    directory: PathBuf,
}

impl Setup {
    /// Creates the store and its key.
    pub fn create(root: &Path, store: &str, base_url: &str, options: &Options) -> Result<Self> {
        let directory = root.join("setup");
        fs::create_dir(&directory)?;
        hosts::configure(&directory, store, base_url, options)?;
        let setup = Self { directory };
        setup.run(&["init"])?;
        Ok(setup)
    }

    /// Returns the file with the key.
    pub fn key(&self) -> PathBuf {
        self.directory.join("relation.key")
    }

    /// Adds an API key for the clients, and returns it.
    pub fn add_api_key(&self) -> Result<String> {
        let role = ["--role", "provider-administrator", "--hierarchy", "sys"];
        let added = self.run(&[&["key", "add", "chaos"], &role[..]].concat())?;
        Ok(added["key"].as_str().context("a key")?.to_owned())
    }

    fn run(&self, arguments: &[&str]) -> Result<Value> {
        let ran = hosts::prepare_command(&self.directory)
            .args(arguments)
            .arg("--json")
            .output()?;
        let errors = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "{arguments:?}: {errors}");
        Ok(serde_json::from_slice(&ran.stdout)?)
    }
}

/// Adds the customers by the API of the hosts, each with tokens of an organization of its own.
pub fn add_customers(
    count: usize,
    webex: &Webex,
    ledger: &Ledger,
    apis: &[ApiClient],
) -> Result<()> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let adding = (0..CONCURRENT).map(|thread| {
            let api = &apis[thread % apis.len()];
            let next = &next;
            scope.spawn(move || -> Result<()> {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    add(number, webex, ledger, api)?;
                }
            })
        });
        let adding: Vec<_> = adding.collect();
        for thread in adding {
            thread.join().expect("it does not panic")?;
        }
        Ok(())
    })
}

fn add(number: usize, webex: &Webex, ledger: &Ledger, api: &ApiClient) -> Result<()> {
    let name = format!("customer-{number}");
    let organization = webex.create_organization(&name);
    let grant = webex.grant(&organization, DEFAULT_SCOPES);
    let (token, refresh) = (grant.access_token(), grant.refresh_token());
    ledger.note_issued(number, refresh);
    let body = json!({
        "name": name, "account_number_external": organization.uuid,
        "token": token, "token_repeat": token,
        "refresh_token": refresh, "refresh_token_repeat": refresh,
    });
    let path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}");
    let added = api.send(
        "POST",
        &path,
        &[("Idempotency-Key", name.as_str())],
        Some(&body),
    )?;
    ensure!(
        added.status < 300,
        "adding {name}: {} {}",
        added.status,
        added.body
    );
    Ok(())
}
