//! The process of a platform: the workflow `Onboard`, and a workflow in Python.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::process::Stdio;
use std::time::Duration;

use relation_host::types::Pkid;
use relation_temporal::Onboard;
use relation_temporal::calls::{Add, ConsentRequest};
use relation_temporal::customer::Callback;
use relation_temporal::onboard::{OnboardInput, OnboardProgress};
use serde_json::{Value, json};
use support::customer::consent;
use support::{NODE, REDIRECT, World, eventually, server_program};
use temporalio_client::{
    WorkflowGetResultOptions, WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartOptions,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use webex_emulator::{Emulator, Listing};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/examples/temporal_onboard.py"
);

fn input(name: &str, consent_within_s: u64) -> OnboardInput {
    OnboardInput {
        add: Add {
            hierarchy: NODE.parse().unwrap(),
            fields: json!({ "name": name }).as_object().unwrap().clone(),
            input: None,
            idempotency_key: format!("onboard-{name}"),
        },
        consent: ConsentRequest {
            grant: Default::default(),
            redirect_uri: REDIRECT.to_owned(),
        },
        consent_within_s,
        import_within_s: 120,
        expected_users: 20,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn onboard_connects_imports_and_compensates() {
    let Some(program) = server_program() else {
        return;
    };
    let webex = Emulator::builder().generate(Listing::People, 20);
    let world = World::start(&program, webex).await;
    let mut worker = world.worker();
    let start = async |name: &str, within: u64| {
        let options = WorkflowStartOptions::new(world.task_queue().to_owned(), name.to_owned());
        let started =
            world
                .client
                .start_workflow(Onboard::run, input(name, within), options.build());
        started.await.unwrap()
    };
    let onboarding = start("Contoso", 3600).await;
    let link = eventually("there is a link", async || {
        let options = WorkflowQueryOptions::default();
        let progress = onboarding
            .query(Onboard::progress, (), options)
            .await
            .ok()?;
        progress.link
    })
    .await;
    let (input, _) = consent(&world, &link).await;
    let options = WorkflowSignalOptions::default();
    onboarding
        .signal(Onboard::callback, Callback { input }, options)
        .await
        .unwrap();
    let report = onboarding.get_result(WorkflowGetResultOptions::default());
    let report = report.await.unwrap();
    assert!(report.users >= 20, "{report:?}");

    // Nobody consents to the second one, so that its record is deleted.
    let onboarding = start("Fabrikam", 2).await;
    let failed = onboarding.get_result(WorkflowGetResultOptions::default());
    let failed = format!("{:?}", failed.await.unwrap_err());
    assert!(failed.contains("nobody has consented"), "{failed}");
    let options = WorkflowQueryOptions::default();
    let progress: OnboardProgress = onboarding
        .query(Onboard::progress, (), options)
        .await
        .unwrap();
    assert!(!exists(&world, &progress.pkid.unwrap()).await);
    assert!(exists(&world, &report.pkid).await);
    worker.kill().await.unwrap();
}

async fn exists(world: &World, pkid: &Pkid) -> bool {
    let host = &world.parts.host;
    let found = relation_temporal::snapshot::read(host, pkid).await.unwrap();
    found.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn workflow_in_python_calls_the_activities() {
    let Some(program) = server_program() else {
        return;
    };
    let python = program.with_file_name("python");
    if !python.is_file() {
        println!("SKIPPED: the packages of Python are not installed");
        return;
    }
    let world = World::start(&program, Emulator::builder()).await;
    let mut worker = world.worker();
    let mut script = tokio::process::Command::new(python)
        .args([SCRIPT, &world.address(), NODE, "Contoso", REDIRECT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let next = async |lines: &mut tokio::io::Lines<_>| {
        let line = tokio::time::timeout(Duration::from_secs(90), lines.next_line());
        line.await
            .unwrap()
            .unwrap()
            .expect("the script prints a line")
    };
    let link: Pkid = next(&mut lines).await.parse().unwrap();
    let (callback, _) = consent(&world, &link).await;
    let mut stdin = script.stdin.take().unwrap();
    let line = format!("{callback}\n");
    stdin.write_all(line.as_bytes()).await.unwrap();
    let result: Value = serde_json::from_str(&next(&mut lines).await).unwrap();
    assert_eq!(result["state"], "connected");
    assert!(script.wait().await.unwrap().success());
    worker.kill().await.unwrap();
}
