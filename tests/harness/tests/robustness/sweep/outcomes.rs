//! All points of all cases, and a check that a sweep can fail.

use relation_harness::sweep::{SweepReport, sweep};
use serde_json::json;
use tokio::task::JoinSet;

use super::cases::{ALL, Workflow, WorkflowCase};
use super::page;
use crate::world::VIOLATIONS;
use webex_emulator::Mode;

async fn reports() -> Vec<SweepReport> {
    let mut running = JoinSet::new();
    for (index, case) in ALL.iter().enumerate() {
        running.spawn(async move { (index, sweep(case).await.unwrap()) });
    }
    let mut reports = running.join_all().await;
    reports.sort_by_key(|(index, _)| *index);
    reports.into_iter().map(|(_, report)| report).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_point_ends_as_baseline_or_in_a_named_state() {
    let reports = reports().await;
    for report in &reports {
        println!("{report}");
        let end = &report.baseline.final_state;
        assert_eq!(end[VIOLATIONS], json!([]), "{}", report.case);
    }
    let unexplained: usize = reports.iter().map(|report| report.unexplained.len()).sum();
    assert_eq!(unexplained, 0, "see the output above");
    page::compare(&reports);
}

#[tokio::test(flavor = "multi_thread")]
async fn unnamed_outcome_is_reported() {
    let case = WorkflowCase {
        explains: false,
        ..WorkflowCase::new("refresh, tokens rotated", Workflow::Refresh, Mode::Rotate)
    };
    let report = sweep(&case).await.unwrap();
    assert!(!report.unexplained.is_empty(), "{report}");
    let text = report.to_string();
    assert!(
        text.contains("http.handle: sent, and the response lost"),
        "{text}"
    );
    assert!(
        text.contains(r#"+ "#) && text.contains("reauthorize"),
        "{text}"
    );
}
