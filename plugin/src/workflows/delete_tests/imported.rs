//! Deletion of any number of imported documents.

use super::*;
use crate::workflows::sync::sync;

/// Creates a connected record with `count` imported licenses and a finished or unfinished import.
fn with_licenses(count: u32, finished: bool) -> MemoryPlatform {
    let platform = connected();
    let items: Vec<Value> = (0..count).map(|n| json!({"id": format!("L{n}")})).collect();
    let page = json!({"items": items}).to_string();
    platform.expect(
        Method::GET,
        "/roles",
        json_response(200, json!({"items": [{"id": "R1"}]})),
    );
    let next = "<https://webexapis.com/v1/licenses?cursor=2>; rel=next";
    let link = [("Link", next)];
    let headers: &[(&str, &str)] = match finished {
        true => &[],
        false => &link,
    };
    platform.expect(Method::GET, "/licenses", raw_response(200, headers, page));
    if !finished {
        platform.expect(Method::GET, "/licenses", json_response(503, json!({})));
    }
    let imported = sync(&platform, PKID, "roles-licenses", false);
    assert_eq!(imported.is_ok(), finished);
    platform.assert_script_done();
    platform
}

fn models(deletion: &Deletion) -> Vec<(&str, usize)> {
    let mut models: Vec<(&str, usize)> = Vec::new();
    for RemovedDocument { reference, .. } in &deletion.documents {
        match models.last_mut() {
            Some((model, count)) if *model == reference.model => *count += 1,
            _ => models.push((&reference.model, 1)),
        }
    }
    models
}

#[test]
fn few_imported_documents_go_in_one_commit() {
    let platform = with_licenses(3, true);
    let commits = platform.commits();
    let deletion = delete(&platform, PKID, false).unwrap();
    assert_eq!(platform.commits() - commits, 1);
    assert_eq!(
        models(&deletion),
        [
            (IMPORT_MODEL, 1),
            ("device/spark/Role", 1),
            ("device/spark/License", 3),
            (SCHEDULE, 2),
            (DATA_SYNC, 3),
            (SHADOW_MODEL, 1),
            (RECORD_MODEL, 1),
        ]
    );
    assert!(platform.documents().is_empty());
}

#[test]
fn dry_run_lists_imported_documents() {
    let platform = with_licenses(3, false);
    let before = platform.documents();
    let deletion = delete(&platform, PKID, true).unwrap();
    let listed: Vec<&Reference> = deletion
        .documents
        .iter()
        .map(|document| &document.reference)
        .collect();
    assert!(
        before
            .iter()
            .all(|document| listed.contains(&&document.reference))
    );
    assert_eq!(listed.len(), before.len());
    assert_eq!(platform.documents(), before);
}

#[test]
fn many_imported_documents_go_before_the_record() {
    let platform = with_licenses(1_700, true);
    let commits = platform.commits();
    platform.inject_commit_fault(
        4,
        CommitFault::RunFirst(Box::new(|platform| {
            let record = Record::load(platform, PKID).unwrap();
            assert_eq!(record.body.owned_documents.len(), 6);
            assert_eq!(platform.documents_of(SCHEDULE).len(), 2);
        })),
    );
    let deletion = delete(&platform, PKID, false).unwrap();
    assert_eq!(platform.commits() - commits, 4);
    assert_eq!(deletion.documents.len(), 1_700 + 9);
    assert!(platform.documents().is_empty() && platform.all_wakeups().is_empty());
}

#[test]
fn interrupted_delete_completes_when_repeated() {
    for finished in [false, true] {
        for nth in 1..=4 {
            for reply_lost in [false, true] {
                let platform = with_licenses(1_700, finished);
                let lost = Failure::Unavailable("the store is gone".to_owned());
                let interruption = match reply_lost {
                    true => CommitFault::LoseResult(lost),
                    false => CommitFault::Fail(lost),
                };
                platform.inject_commit_fault(nth, interruption);
                delete(&platform, PKID, false).unwrap_err();
                match delete(&platform, PKID, false) {
                    Ok(_) => {}
                    Err(Failure::NotFound(_)) => assert!(reply_lost && nth == 4),
                    Err(failure) => panic!("{failure:?}"),
                }
                assert!(platform.documents().is_empty(), "commit {nth}");
                assert!(platform.secrets().is_empty() && platform.all_wakeups().is_empty());
            }
        }
    }
}

#[test]
fn import_restarts_after_an_interrupted_delete() {
    let platform = with_licenses(1_700, false);
    let lost = Failure::Unavailable("the store is gone".to_owned());
    platform.inject_commit_fault(2, CommitFault::Fail(lost));
    delete(&platform, PKID, false).unwrap_err();
    let page = json!({"items": [{"id": "L0"}, {"id": "L1699"}]});
    platform.expect(
        Method::GET,
        "/roles",
        json_response(200, json!({"items": [{"id": "R1"}]})),
    );
    platform.expect(Method::GET, "/licenses?orgId", json_response(200, page));
    let report = sync(&platform, PKID, "roles-licenses", true).unwrap();
    platform.assert_script_done();
    assert_eq!(report.models[1].found, 2);
    assert_eq!(platform.documents_of("device/spark/License").len(), 2);
}
