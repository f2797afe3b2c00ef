//! Judges the server of a store: its release, its settings, its clock, and what keeps dead rows.

use std::time::Duration;

use relation_host::store::postgres::{Inspection, TableRows};
use relation_host::text::{format_count, format_span};

use super::address::Address;
use crate::check::CheckFinding;

/// The oldest release of PostgreSQL that the store works with.
const OLDEST_RELEASE: u32 = 15;
/// The difference between two clocks that is worth a warning, in milliseconds.
const MAX_SKEW: u64 = 1000;
/// How long a transaction of any program may take. Until it ends, no dead row is removed.
const MAX_TRANSACTION: Duration = Duration::from_secs(5 * 60);
/// The number of dead rows of a table that is worth a warning, if there are more of them than of others.
const MAX_DEAD_ROWS: u64 = 10_000;

/// Judges what an inspection has found.
pub(super) fn judge(found: &Inspection, address: &Address) -> Vec<CheckFinding> {
    vec![
        judge_release(found),
        judge_schema(found),
        judge_settings(found, address),
        judge_replicas(found),
        judge_encryption(found, address),
        judge_clock(found.clock_skew_millis),
        judge_transactions(found.oldest_transaction),
        judge_rows(&found.tables),
    ]
}

fn judge_release(found: &Inspection) -> CheckFinding {
    const CHECK: &str = "database";
    let text = format!("PostgreSQL {}", found.server_version);
    let release = found.server_version.split(|c: char| !c.is_ascii_digit());
    let release = release.map(str::parse).next().and_then(Result::ok);
    if release.is_some_and(|release: u32| release < OLDEST_RELEASE) {
        let message = format!("{text} is too old for the store");
        let hint = format!("upgrade the server to PostgreSQL {OLDEST_RELEASE} or later");
        return CheckFinding::error(CHECK, message, hint);
    }
    match found.read_only {
        false => CheckFinding::ok(CHECK, text),
        true => CheckFinding::error(
            CHECK,
            format!(
                "{text} is read-only: a standby, or a server with default_transaction_read_only"
            ),
            "name the primary in the URL, or every server, separated by commas",
        ),
    }
}

fn judge_schema(found: &Inspection) -> CheckFinding {
    const CHECK: &str = "database-schema";
    let (version, known) = (found.schema_version, found.known_schema_version);
    if version == known {
        return CheckFinding::ok(CHECK, format!("version {version}, that of this release"));
    }
    let message = format!("version {version}, and this release has {known}");
    match version < known {
        true => CheckFinding::error(
            CHECK,
            message,
            "run `relation-host init` of this release with the role that owns the schema",
        ),
        false => CheckFinding::error(
            CHECK,
            message,
            "use the release that wrote it, or a later one",
        ),
    }
}

/// Judges the settings with which a crash of the server loses data.
fn judge_settings(found: &Inspection, address: &Address) -> CheckFinding {
    const CHECK: &str = "database-settings";
    let unsafe_settings = [
        (found.fsync, "fsync"),
        (found.full_page_writes, "full_page_writes"),
    ];
    let unsafe_settings = unsafe_settings.iter().filter(|(is_on, _)| !is_on);
    let unsafe_settings: Vec<&str> = unsafe_settings.map(|(_, name)| *name).collect();
    if !unsafe_settings.is_empty() {
        let names = unsafe_settings.join(" and ");
        let message = format!("{names} off: a crash of the server loses or damages data");
        let hint = "set it to on in postgresql.conf, and restart the server";
        return match address.allow_unsafe_server {
            true => CheckFinding::warning(CHECK, message, hint),
            false => CheckFinding::error(CHECK, message, hint),
        };
    }
    match found.synchronous_commit.as_str() {
        "off" => CheckFinding::warning(
            CHECK,
            "synchronous_commit is off: a crash of the server loses commits that hosts count on",
            "set it to on for the role of the hosts: ALTER ROLE … SET synchronous_commit = on",
        ),
        "local" if !found.synchronous_standby_names.is_empty() => CheckFinding::warning(
            CHECK,
            "synchronous_commit is local: commits do not wait for the standbys",
            "set it to on for the role of the hosts: ALTER ROLE … SET synchronous_commit = on",
        ),
        value => CheckFinding::ok(
            CHECK,
            format!("fsync and full_page_writes are on, synchronous_commit is {value}"),
        ),
    }
}

fn judge_replicas(found: &Inspection) -> CheckFinding {
    const CHECK: &str = "database-standbys";
    match found.synchronous_standby_names.trim() {
        "" => CheckFinding::warning(
            CHECK,
            "no synchronous standby: a failover loses the last commits, and the refresh tokens in them",
            "set synchronous_standby_names if this server has standbys; without one, archive the WAL",
        ),
        names => CheckFinding::ok(CHECK, format!("commits wait for {names}")),
    }
}

fn judge_encryption(found: &Inspection, address: &Address) -> CheckFinding {
    const CHECK: &str = "database-tls";
    match (found.tls, address.is_remote) {
        (true, _) => CheckFinding::ok(CHECK, "the connection is encrypted"),
        (false, false) => CheckFinding::ok(CHECK, "the connection stays on this machine"),
        (false, true) => CheckFinding::warning(
            CHECK,
            "the connection to the server is not encrypted",
            "leave `sslmode` out of the URL, or set it to require; `sslrootcert` names the authority of the certificate",
        ),
    }
}

/// Judges the database's clock minus this machine's.
fn judge_clock(skew_millis: i64) -> CheckFinding {
    const CHECK: &str = "database-clock";
    let distance = skew_millis.unsigned_abs();
    let text = match (distance < MAX_SKEW, skew_millis > 0) {
        (true, _) => {
            return CheckFinding::ok(CHECK, "the database's clock agrees with this machine's");
        }
        (false, true) => "ahead of",
        (false, false) => "behind",
    };
    let distance = format_span(Duration::from_millis(distance));
    CheckFinding::warning(
        CHECK,
        format!("the database's clock is {distance} {text} this machine's"),
        "set both clocks by NTP: due times follow the clocks of the hosts, leases the database's",
    )
}

fn judge_transactions(oldest: Option<Duration>) -> CheckFinding {
    const CHECK: &str = "database-transactions";
    match oldest {
        Some(age) if age > MAX_TRANSACTION => CheckFinding::warning(
            CHECK,
            format!(
                "the oldest transaction is open for {}: no newer dead row can be removed",
                format_span(age)
            ),
            "pg_stat_activity and pg_prepared_xacts name its program; end it, and set idle_in_transaction_session_timeout",
        ),
        Some(age) => CheckFinding::ok(CHECK, format!("the oldest is {} old", format_span(age))),
        None => CheckFinding::ok(CHECK, "no other is open, as far as this role sees"),
    }
}

fn judge_rows(tables: &[TableRows]) -> CheckFinding {
    const CHECK: &str = "database-rows";
    let is_bloated = |table: &&TableRows| table.dead > MAX_DEAD_ROWS && table.dead > table.live;
    let bloated: Vec<&TableRows> = tables.iter().filter(is_bloated).collect();
    if bloated.is_empty() {
        let dead: u64 = tables.iter().map(|table| table.dead).sum();
        let dead = format_count(dead, "dead row", "dead rows");
        return CheckFinding::ok(CHECK, format!("{dead} in the busy tables"));
    }
    let texts = bloated.iter().map(|TableRows { table, live, dead }| {
        format!("relation.{table} has {dead} dead rows beside {live} others")
    });
    let vacuum = bloated
        .iter()
        .map(|table| format!("VACUUM relation.{};", table.table));
    let (texts, vacuum): (Vec<_>, Vec<_>) = (texts.collect(), vacuum.collect());
    CheckFinding::warning(
        CHECK,
        texts.join(", "),
        format!(
            "end old transactions, look whether autovacuum runs, and run {} as the owner",
            vacuum.join(" ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use relation_host::reports::FindingLevel;

    use super::*;

    fn inspection() -> Inspection {
        Inspection {
            server_version: "15.18 (Debian 15.18-0+deb12u1)".to_owned(),
            schema_version: 1,
            known_schema_version: 1,
            tls: true,
            read_only: false,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            synchronous_standby_names: "ANY 1 (a, b)".to_owned(),
            clock_skew_millis: -20,
            oldest_transaction: Some(Duration::from_secs(2)),
            tables: Vec::new(),
            hosts: Vec::new(),
        }
    }

    fn judge_at(url: &str, change: impl FnOnce(&mut Inspection)) -> Vec<CheckFinding> {
        let mut found = inspection();
        change(&mut found);
        let address = Address::parse(url, Path::new("")).unwrap();
        let mut findings = judge(&found, &address);
        for CheckFinding { finding, .. } in &findings {
            let is_ok = finding.level == FindingLevel::Ok;
            assert_eq!(is_ok, finding.hint.is_empty(), "{finding:?}");
        }
        findings.retain(|each| each.finding.level != FindingLevel::Ok);
        findings
    }

    #[test]
    fn sound_server_has_no_warning() {
        assert_eq!(judge_at("//h/d", |_| ()).len(), 0);
        let local = judge_at("///d?host=/run/pg", |found| found.tls = false);
        assert_eq!(local.len(), 0);
    }

    #[test]
    fn each_defect_has_its_finding() {
        type Change = fn(&mut Inspection);
        let changes: [(&str, FindingLevel, &str, Change); 12] = [
            ("database", FindingLevel::Error, "too old", |found| {
                found.server_version = "14.2".to_owned();
            }),
            ("database", FindingLevel::Error, "read-only", |found| {
                found.read_only = true
            }),
            (
                "database-schema",
                FindingLevel::Error,
                "version 1",
                |found| {
                    found.known_schema_version = 2;
                },
            ),
            (
                "database-schema",
                FindingLevel::Error,
                "version 2",
                |found| {
                    found.schema_version = 2;
                },
            ),
            (
                "database-settings",
                FindingLevel::Error,
                "fsync off",
                |found| found.fsync = false,
            ),
            (
                "database-settings",
                FindingLevel::Error,
                "full_page_writes off",
                |found| {
                    found.full_page_writes = false;
                },
            ),
            (
                "database-settings",
                FindingLevel::Warning,
                "synchronous_commit is off",
                |found| {
                    found.synchronous_commit = "off".to_owned();
                },
            ),
            (
                "database-standbys",
                FindingLevel::Warning,
                "no synchronous standby",
                |found| {
                    found.synchronous_standby_names.clear();
                },
            ),
            (
                "database-tls",
                FindingLevel::Warning,
                "not encrypted",
                |found| found.tls = false,
            ),
            (
                "database-clock",
                FindingLevel::Warning,
                "ahead of",
                |found| {
                    found.clock_skew_millis = 90_000;
                },
            ),
            (
                "database-transactions",
                FindingLevel::Warning,
                "is open for",
                |found| {
                    found.oldest_transaction = Some(Duration::from_secs(3600));
                },
            ),
            (
                "database-rows",
                FindingLevel::Warning,
                "relation.wakeups has 20000",
                |found| {
                    found.tables = vec![TableRows {
                        table: "wakeups".to_owned(),
                        live: 5,
                        dead: 20_000,
                    }];
                },
            ),
        ];
        for (check, level, text, change) in changes {
            let findings = judge_at("//h/d?sslmode=disable", change);
            let [found] = findings.as_slice() else {
                panic!("{check}: {findings:?}");
            };
            assert_eq!(found.finding.check, check);
            assert_eq!(found.finding.level, level, "{check}");
            assert!(found.finding.message.contains(text), "{found:?}");
        }
        let told = judge_at("//h/d?allow-unsafe-server=true", |found| {
            found.fsync = false
        });
        assert_eq!(told[0].finding.level, FindingLevel::Warning);
    }
}
