//! Runs a group's rows in every refresh variant, one world per variant.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relation_e2e::faulty_proxy::{PASSWORD, PASSWORD_ENCODED, USER};
use relation_e2e::world::CLIENT_SECRET;
use tokio::task::JoinSet;

use crate::case::{self, Observation, Verdict};
use crate::page::PAGE;
use crate::row::{Group, RefreshVariant, TokenPair, VARIANTS};

/// Runs the group and compares the observations with its section of the page.
pub async fn run(group: Group) {
    let group = Arc::new(group);
    let mut running = JoinSet::new();
    for (number, variant) in VARIANTS.into_iter().enumerate() {
        let group = Arc::clone(&group);
        running.spawn(async move { (number, run_in(&group, variant).await) });
    }
    let mut done = running.join_all().await;
    done.sort_by_key(|(number, _)| *number);
    let by_variant: Vec<Vec<Verdict>> = done.into_iter().map(|(_, verdicts)| verdicts).collect();

    let complaints: Vec<&str> = by_variant
        .iter()
        .flatten()
        .flat_map(|verdict| verdict.complaints.iter().map(String::as_str))
        .collect();
    assert!(
        complaints.is_empty(),
        "{}:\n{}",
        group.title,
        complaints.join("\n")
    );

    let responses = by_variant
        .iter()
        .flatten()
        .filter(|verdict| verdict.delivered);
    let (responses, lost) = responses.fold((0, 0), |(responses, lost), verdict| {
        (responses + 1, lost + usize::from(verdict.lost))
    });
    assert_eq!(lost, 0, "of {responses} responses with tokens");

    let rows: Vec<(&str, Vec<(RefreshVariant, &Observation)>)> = group
        .rows
        .iter()
        .enumerate()
        .map(|(row, described)| {
            let observation = VARIANTS.into_iter().zip(&by_variant);
            let observation =
                observation.map(|(variant, verdicts)| (variant, &verdicts[row].observation));
            (described.name, observation.collect())
        })
        .collect();
    PAGE.compare(&group, &rows, responses);
}

async fn run_in(group: &Group, variant: RefreshVariant) -> Vec<Verdict> {
    let world = (group.world)()
        .mode(variant.mode)
        .reuse_detection(variant.reuse_detection)
        .setting("refresh.jitter", "0")
        .start()
        .await;
    let mut verdicts = Vec::new();
    let mut secrets = vec![
        CLIENT_SECRET.to_owned(),
        STANDARD.encode(format!("C0ffee:{CLIENT_SECRET}")),
        PASSWORD.to_owned(),
        PASSWORD_ENCODED.to_owned(),
        STANDARD.encode(format!("{USER}:{PASSWORD}")),
    ];
    for row in &group.rows {
        let run = case::run_row(&world, variant, row).await;
        for TokenPair {
            access_token,
            refresh_token,
        } in run.secrets
        {
            secrets.extend([access_token, refresh_token]);
        }
        verdicts.push(run.verdict);
    }
    let last = verdicts.last_mut().expect("a group has rows");
    if let Some(file) = file_with_one_of(world.directory(), &secrets) {
        let complaint = format!("{}: {file} holds a secret in clear", variant.name);
        last.complaints.push(complaint);
    }
    verdicts
}

/// Returns the first file in a directory with one of the secrets in clear.
fn file_with_one_of(directory: &Path, secrets: &[String]) -> Option<String> {
    let files = std::fs::read_dir(directory).expect("the directory is there");
    for file in files {
        let path = file.expect("the directory can be read").path();
        if path.is_dir() {
            match file_with_one_of(&path, secrets) {
                Some(found) => return Some(found),
                None => continue,
            }
        }
        let bytes = std::fs::read(&path).expect("a file can be read");
        let text = String::from_utf8_lossy(&bytes);
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            return Some(path.display().to_string());
        }
    }
    None
}

/// Formats a duration for the page, such as `6d 21h`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return "0 s".to_owned();
    }
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}
