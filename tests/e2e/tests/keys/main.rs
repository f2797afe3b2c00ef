//! The keys of the secrets, as an operator handles them: list, rotate, retire, change the provider, back up. Some
//! secrets do not open; some tests run under load.

mod backup;
mod damage;
mod interrupted;
mod load;
mod operation;
mod providers;

use relation_e2e::process::Workspace;
use serde_json::Value;

/// Returns the data keys from `keys list`: id, number of secrets, and of those that do not open.
fn listed(workspace: &Workspace) -> Vec<(u64, u64, u64)> {
    let list = workspace.json(["keys", "list"]);
    let keys = list["data_keys"].as_array().unwrap().iter();
    let number = |key: &Value, name: &str| key[name].as_u64().unwrap();
    keys.map(|key| {
        (
            number(key, "id"),
            number(key, "secrets"),
            number(key, "unopened"),
        )
    })
    .collect()
}

/// Returns the last line that a command with `--json` has written.
fn last(stdout: &str) -> Value {
    let line = stdout.lines().last().expect("at least one line");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
