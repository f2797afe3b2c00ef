//! Every story's points, and the proof that a sweep can fail.

use relation_harness::sweep::{Report, sweep};
use serde_json::json;
use tokio::task::JoinSet;

use super::page;
use super::stories::{ALL, Told, Workflow};
use crate::world::VIOLATIONS;
use webex_emulator::Mode;

async fn reports() -> Vec<Report> {
    let mut running = JoinSet::new();
    for (place, told) in ALL.iter().enumerate() {
        running.spawn(async move { (place, sweep(told).await.unwrap()) });
    }
    let mut reports = running.join_all().await;
    reports.sort_by_key(|(place, _)| *place);
    reports.into_iter().map(|(_, report)| report).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_workflow_ends_as_undisturbed_or_in_a_state_that_has_a_name() {
    let reports = reports().await;
    for report in &reports {
        println!("{report}");
        let end = &report.undisturbed.remains;
        assert_eq!(end[VIOLATIONS], json!([]), "{}", report.story);
    }
    let unexplained: usize = reports.iter().map(|report| report.unexplained.len()).sum();
    assert_eq!(unexplained, 0, "see the output above");
    page::compare(&reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_has_named_is_a_finding() {
    let told = Told {
        explains: false,
        ..Told::of("refresh, tokens rotated", Workflow::Refresh, Mode::Rotate)
    };
    let report = sweep(&told).await.unwrap();
    assert!(!report.unexplained.is_empty(), "{report}");
    let text = report.to_string();
    assert!(
        text.contains("http.handle: carried out, and the answer lost"),
        "{text}"
    );
    assert!(
        text.contains(r#"+ "#) && text.contains("reauthorize"),
        "{text}"
    );
}
