//! Tests of the texts about transactions.

use relation_host::transactions::Originator;

use super::*;

fn transaction(id: &str, status: Status) -> Transaction {
    Transaction {
        id: id.to_owned(),
        action: "refresh".to_owned(),
        subject: None,
        subject_name: "Acme".to_owned(),
        hierarchy: None,
        originator: None,
        request: None,
        status,
        progress: None,
        message: "done".to_owned(),
        submitted: Timestamp(0),
        started: Timestamp(1000),
        completed: Some(Timestamp(1250)),
        log: Vec::new(),
        secret_accesses: Vec::new(),
        omitted_accesses: 0,
    }
}

#[test]
fn detail_shows_the_node_and_the_originator() {
    let mut shown = transaction("a", Status::Success);
    let render = |transaction: &Transaction| {
        let detail = TransactionDetail {
            transaction: transaction.clone(),
            parts: Vec::new(),
        };
        render_detail(&detail, Timestamp(2000))
    };
    let plain = render(&shown);
    assert!(
        !plain.contains("node") && !plain.contains("user"),
        "{plain}"
    );
    shown.hierarchy = Some("sys.Acme".parse().unwrap());
    shown.originator = Some(Originator {
        user: "Jo".to_owned(),
        external_id: Some("4711".to_owned()),
        external_reference: None,
    });
    let text = render(&shown);
    let words: Vec<&str> = text.split_whitespace().collect();
    for expected in [["node", "sys.Acme"], ["user", "Jo"], ["id", "4711"]] {
        assert!(words.windows(2).any(|pair| pair == expected), "{text}");
    }
    assert!(!text.contains("reference"), "{text}");
}

#[test]
fn transaction_is_printed_at_start_and_end() {
    let mut printed = PrintedStatuses::default();
    assert!(printed.note_status(&transaction("a", Status::Processing)));
    assert!(!printed.note_status(&transaction("a", Status::Processing)));
    assert!(printed.note_status(&transaction("a", Status::Success)));
    assert!(!printed.note_status(&transaction("a", Status::Success)));
    assert!(printed.note_status(&transaction("b", Status::Success)));
}

#[test]
fn transaction_is_rendered_on_one_line() {
    assert_eq!(
        render_line(&transaction("t1", Status::Success)),
        "1970-01-01 00:00:01 UTC Success    refresh Acme: done (t1)"
    );
    assert_eq!(
        format_took(&transaction("t1", Status::Success), Timestamp(0)),
        "250 ms"
    );
}

#[test]
fn status_parses_in_either_case() {
    assert_eq!(parse_status("processing"), Ok(Status::Processing));
    assert_eq!(parse_status("Fail"), Ok(Status::Fail));
    assert_eq!(parse_status("queued"), Ok(Status::Queued));
    assert!(parse_status("waiting").is_err());
}
