//! Traps and informs to Debian's `snmptrapd`, which is started by each test.
//!
//! Without `snmptrapd` the tests report that they were skipped; with `RELATION_REQUIRE_SNMP` set they fail instead.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code stops where it cannot continue"
)]

#[path = "snmptrapd/daemon.rs"]
mod daemon;
#[path = "snmptrapd/sender.rs"]
mod sender;

use std::process::Command;
use std::time::Duration;

use relation_notify::snmp::{AuthProtocol, MibRoot, Oid, SecurityLevel, SnmpKind};
use relation_notify::{DeliveryErrorKind, NoticeKind};

use self::daemon::{Trapd, find_program_or_skip};
use self::sender::{AUTH_SECRET, PRIVACY_SECRET, Sender, engine_id, notice, v2c, v3};

/// Returns the lines of `snmptrapd.conf` for the user `relation`: under this host's engine id for traps, and under
/// snmptrapd's own for informs.
fn user_lines(auth: &str) -> String {
    let engine = engine_id();
    format!(
        "createUser -e {engine} relation {auth} {AUTH_SECRET} AES {PRIVACY_SECRET}\n\
         createUser relation {auth} {AUTH_SECRET} AES {PRIVACY_SECRET}\n\
         authUser log relation authNoPriv\n"
    )
}

#[tokio::test]
async fn community_trap_is_logged_with_the_names_of_the_mib() {
    let Some(trapd) = Trapd::start("authCommunity log canary-community\n") else {
        return;
    };
    let sender = Sender::start(1);
    let receipt = sender
        .send(
            &trapd,
            SnmpKind::Trap,
            v2c("canary-community"),
            "one",
            NoticeKind::Expiring,
        )
        .await
        .unwrap();
    assert!(!receipt.confirmed);
    let line = trapd.wait_for("notice-one").await;
    for expected in [
        "SNMPv2-MIB::sysUpTime.0 = Timeticks: (0) 0:00:00.00",
        "SNMPv2-MIB::snmpTrapOID.0 = OID: RELATION-MIB::relationExpiring",
        "RELATION-MIB::relationCustomer.0 = STRING: Müller GmbH",
        "RELATION-MIB::relationNode.0 = STRING: sys.hcs.Mueller",
        "RELATION-MIB::relationState.0 = INTEGER: expiring(3)",
        "RELATION-MIB::relationSecondsLeft.0 = INTEGER: 172800 seconds",
        "RELATION-MIB::relationCount.0 = Gauge32: 2",
        "RELATION-MIB::relationSeverity.0 = INTEGER: major(3)",
        "RELATION-MIB::relationTime.0 = STRING: 2026-11-30,4:5:6.0,+0:0",
        "RELATION-MIB::relationNoticeId.0 = STRING: notice-one",
        "RELATION-MIB::relationGrant.0 = STRING: organization",
        "RELATION-MIB::relationText.0 = STRING: The refresh token expires in 2 days.",
        "RELATION-MIB::relationCode.0 = STRING: WEBEX_REFRESH_TOKEN_EXPIRING",
        "RELATION-MIB::relationRecord.0 = STRING: 5f0c1b2a3d4e5f6071829300",
        "RELATION-MIB::relationLink.0 = STRING: https://relation.example/records/1",
        "RELATION-MIB::relationExpires.0 = STRING: 2026-12-2,4:5:6.0,+0:0",
    ] {
        assert!(line.contains(expected), "{expected} is not in {line}");
    }
}

#[tokio::test]
async fn each_kind_has_a_notification_of_the_mib() {
    let Some(trapd) = Trapd::start("authCommunity log public\n") else {
        return;
    };
    let sender = Sender::start(1);
    for (number, (kind, name)) in [
        (NoticeKind::Expiring, "relationExpiring"),
        (NoticeKind::Expired, "relationExpired"),
        (NoticeKind::Reauthorize, "relationReauthorize"),
        (NoticeKind::MissingScope, "relationMissingScope"),
        (NoticeKind::Retrying, "relationRetrying"),
        (NoticeKind::ImportFailed, "relationImportFailed"),
        (NoticeKind::HostTrouble, "relationHostTrouble"),
        (NoticeKind::Recovered, "relationRecovered"),
        (NoticeKind::Test, "relationTest"),
        (NoticeKind::Endpoint, "relationEndpoint"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("kind-{number}-end");
        sender
            .send(&trapd, SnmpKind::Inform, v2c("public"), &id, kind)
            .await
            .unwrap();
        let line = trapd.wait_for(&id).await;
        let expected = format!("snmpTrapOID.0 = OID: RELATION-MIB::{name}\t");
        assert!(line.contains(&expected), "{expected} is not in {line}");
    }
    sender
        .send_digest(&trapd, v2c("public"), "digest-end")
        .await
        .unwrap();
    let line = trapd.wait_for("digest-end").await;
    assert!(
        line.contains("OID: RELATION-MIB::relationDigest\t"),
        "{line}"
    );
    assert!(line.contains("relationCount.0 = Gauge32: 9"), "{line}");
    assert!(line.contains("; and 7 more"), "{line}");
}

#[tokio::test]
async fn community_inform_is_confirmed() {
    let Some(trapd) = Trapd::start("authCommunity log public\n") else {
        return;
    };
    let sender = Sender::start(1);
    let receipt = sender
        .send(
            &trapd,
            SnmpKind::Inform,
            v2c("public"),
            "one",
            NoticeKind::Expired,
        )
        .await
        .unwrap();
    assert!(receipt.confirmed);
    trapd.wait_for("notice-one").await;
}

#[tokio::test]
async fn longest_texts_arrive() {
    let Some(trapd) = Trapd::start("authCommunity log public\n") else {
        return;
    };
    let sender = Sender::start(1);
    let mut long = notice("one", NoticeKind::Expired);
    long.customer = "Ü".repeat(1024);
    long.text = "😀".repeat(4000);
    long.node = "sys.".repeat(300);
    sender
        .send_notice(&trapd, SnmpKind::Inform, v2c("public"), long)
        .await
        .unwrap();
    let line = trapd.wait_for("notice-one").await;
    assert!(line.contains("😀…"), "{line}");
}

#[tokio::test]
async fn user_trap_is_accepted_for_every_protocol() {
    for (protocol, name) in [
        (AuthProtocol::Sha256, "SHA-256"),
        (AuthProtocol::Sha384, "SHA-384"),
        (AuthProtocol::Sha512, "SHA-512"),
        (AuthProtocol::Sha1, "SHA"),
    ] {
        let Some(trapd) = Trapd::start(&user_lines(name)) else {
            return;
        };
        let sender = Sender::start(1);
        for level in [SecurityLevel::AuthPriv, SecurityLevel::AuthNoPriv] {
            let id = format!("{level:?}-end");
            let version = v3(protocol, level, AUTH_SECRET, PRIVACY_SECRET);
            let receipt = sender
                .send(&trapd, SnmpKind::Trap, version, &id, NoticeKind::Expiring)
                .await
                .unwrap();
            assert!(!receipt.confirmed);
            trapd.wait_for(&id).await;
        }
    }
}

#[tokio::test]
async fn user_inform_is_confirmed_for_every_protocol() {
    for (protocol, name) in [
        (AuthProtocol::Sha256, "SHA-256"),
        (AuthProtocol::Sha384, "SHA-384"),
        (AuthProtocol::Sha512, "SHA-512"),
        (AuthProtocol::Sha1, "SHA"),
    ] {
        let Some(trapd) = Trapd::start(&user_lines(name)) else {
            return;
        };
        let sender = Sender::start(1);
        for level in [SecurityLevel::AuthPriv, SecurityLevel::AuthNoPriv] {
            // The second one uses the cached engine.
            for number in 1..=2 {
                let id = format!("{level:?}-{number}-end");
                let version = v3(protocol, level, AUTH_SECRET, PRIVACY_SECRET);
                let receipt = sender
                    .send(&trapd, SnmpKind::Inform, version, &id, NoticeKind::Expiring)
                    .await
                    .unwrap();
                assert!(receipt.confirmed);
                trapd.wait_for(&id).await;
            }
        }
    }
}

#[tokio::test]
async fn user_with_wrong_secrets_is_refused() {
    let Some(trapd) = Trapd::start(&user_lines("SHA-256")) else {
        return;
    };
    let sender = Sender::start(1);
    let sha256 = AuthProtocol::Sha256;
    let level = SecurityLevel::AuthPriv;
    let mut unknown = v3(sha256, level, AUTH_SECRET, PRIVACY_SECRET);
    sender::rename_user(&mut unknown, "stranger");
    for (version, expected) in [
        (
            v3(sha256, level, "canary-wrong-secret", PRIVACY_SECRET),
            "authentication secret or protocol differs",
        ),
        (
            v3(AuthProtocol::Sha512, level, AUTH_SECRET, PRIVACY_SECRET),
            "authentication secret or protocol differs",
        ),
        (
            v3(sha256, level, AUTH_SECRET, "canary-wrong-secret"),
            "privacy secret",
        ),
        (unknown, "does not know the user"),
    ] {
        for kind in [SnmpKind::Trap, SnmpKind::Inform] {
            let result = sender
                .send(
                    &trapd,
                    kind,
                    version.clone(),
                    "refused",
                    NoticeKind::Expiring,
                )
                .await;
            if kind == SnmpKind::Inform {
                let error = result.unwrap_err();
                assert!(
                    error.text.contains(expected),
                    "{expected} is not in {error}"
                );
                assert!(!error.text.contains("canary"), "{error}");
                assert_eq!(
                    error.kind,
                    DeliveryErrorKind::Temporary { retry_after: None }
                );
            }
        }
    }
    // A right one afterwards proves that the others were not only late.
    let right = v3(sha256, level, AUTH_SECRET, PRIVACY_SECRET);
    sender
        .send(
            &trapd,
            SnmpKind::Inform,
            right,
            "accepted",
            NoticeKind::Expiring,
        )
        .await
        .unwrap();
    trapd.wait_for("notice-accepted").await;
    assert!(!trapd.log().contains("notice-refused"), "{}", trapd.log());
}

#[tokio::test]
async fn restarted_sender_is_accepted_with_raised_boots() {
    let Some(trapd) = Trapd::start(&user_lines("SHA-256")) else {
        return;
    };
    let version = || {
        v3(
            AuthProtocol::Sha256,
            SecurityLevel::AuthPriv,
            AUTH_SECRET,
            PRIVACY_SECRET,
        )
    };
    let send = async |sender: &Sender, id: &str| {
        sender
            .send(&trapd, SnmpKind::Trap, version(), id, NoticeKind::Expiring)
            .await
            .unwrap();
    };
    let first = Sender::start(7);
    first.advance(Duration::from_secs(5000));
    send(&first, "first").await;
    trapd.wait_for("notice-first").await;

    // With the boots of before, the time goes back by more than the window.
    let not_raised = Sender::start(7);
    send(&not_raised, "dropped").await;
    let raised = Sender::start(8);
    send(&raised, "second").await;
    trapd.wait_for("notice-second").await;
    assert!(!trapd.log().contains("notice-dropped"), "{}", trapd.log());
}

#[tokio::test]
async fn restarted_receiver_is_discovered_again() {
    let config = user_lines("SHA-256");
    let Some(mut trapd) = Trapd::start(&config) else {
        return;
    };
    let sender = Sender::start(1);
    let version = || {
        v3(
            AuthProtocol::Sha256,
            SecurityLevel::AuthPriv,
            AUTH_SECRET,
            PRIVACY_SECRET,
        )
    };
    sender
        .send(
            &trapd,
            SnmpKind::Inform,
            version(),
            "first",
            NoticeKind::Expiring,
        )
        .await
        .unwrap();
    // The same engine id with raised boots.
    assert_eq!(trapd.restart(false), 1);
    sender
        .send(
            &trapd,
            SnmpKind::Inform,
            version(),
            "second",
            NoticeKind::Expiring,
        )
        .await
        .unwrap();
    trapd.wait_for("notice-second").await;
    // Another engine id.
    assert_eq!(trapd.restart(true), 2);
    sender
        .send(
            &trapd,
            SnmpKind::Inform,
            version(),
            "third",
            NoticeKind::Expiring,
        )
        .await
        .unwrap();
    trapd.wait_for("notice-third").await;
}

#[tokio::test]
async fn missing_receiver_is_an_error_of_an_inform() {
    let Some(mut trapd) = Trapd::start("authCommunity log public\n") else {
        return;
    };
    trapd.kill();
    let sender = Sender::start(1);
    let error = sender
        .send(
            &trapd,
            SnmpKind::Inform,
            v2c("public"),
            "lost",
            NoticeKind::Expiring,
        )
        .await
        .unwrap_err();
    assert!(error.text.contains("cannot reach 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn ipv6_receiver_is_reached() {
    let Some(trapd) = Trapd::start_on("::1", "authCommunity log public\n") else {
        return;
    };
    let sender = Sender::start(1);
    sender
        .send(
            &trapd,
            SnmpKind::Inform,
            v2c("public"),
            "six",
            NoticeKind::Expiring,
        )
        .await
        .unwrap();
    trapd.wait_for("notice-six").await;
}

#[tokio::test]
async fn other_enterprise_number_changes_the_identifiers() {
    let Some(trapd) = Trapd::start("authCommunity log public\n") else {
        return;
    };
    let sender = Sender::start(1);
    let root = MibRoot::new(Oid::parse("1.3.6.1.4.1.4711.8").unwrap()).unwrap();
    sender
        .send_with_root(&trapd, v2c("public"), "other", root)
        .await
        .unwrap();
    let line = trapd.wait_for("notice-other").await;
    assert!(
        line.contains("SNMPv2-SMI::enterprises.4711.8.1.8.0"),
        "{line}"
    );
}

#[test]
fn mib_has_no_findings_of_smilint() {
    let Some(smilint) = find_program_or_skip("smilint", "smitools") else {
        return;
    };
    let here = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(smilint)
        .args(["-s", "-l", "6", &format!("{here}/mibs/RELATION-MIB.txt")])
        .env("SMIPATH", format!("{here}/tests/mibs"))
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&printed), "");
}
