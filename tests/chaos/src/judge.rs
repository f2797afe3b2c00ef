//! The judgment at the end: which promises were broken, with the evidence.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::api_client::ApiClient;
use crate::faults::{Allowance, InjectedFault};
use crate::ledger::{Ledger, Millis, TokenRequest};
use crate::setup::NODE;
use crate::writers::Written;

/// The longest time of a call: `limits.time` of the hosts. An answer is stored, or in the stash, when it is over.
pub const CALL: Millis = 8_000;

/// The longest time from the end of a fault until refreshes run again: a host waits for a lease, and then for a poll.
pub const LONGEST_RECOVERY: Millis = 30_000;

/// The findings of the judgment.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// Broken promises, with the evidence.
    pub violations: Vec<String>,
    /// Refresh tokens that were used again because an answer was lost as the promises allow, by reason.
    pub allowed_reuses: BTreeMap<&'static str, usize>,
    /// Customers that must connect again for such a reason.
    pub disconnected: usize,
    /// Customers whose stored refresh token Webex has accepted after the last fault.
    pub usable: usize,
    /// Accepted refreshes.
    pub refreshes: usize,
    /// Acknowledged writes of the API's clients.
    pub acknowledged_writes: usize,
    /// Writes of these clients without an acknowledgment.
    pub unknown_writes: usize,
}

impl Verdict {
    fn violate(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Judges the requests. Returns the customers that the promises allow to be disconnected.
    pub fn judge_requests(
        &mut self,
        ledger: &Ledger,
        allowances: &[Allowance],
        faults: &[InjectedFault],
    ) -> BTreeSet<usize> {
        let requests = ledger.requests();
        self.refreshes = requests
            .iter()
            .filter(|request| request.is_accepted)
            .count();
        let mut excused = BTreeSet::new();
        for reuse in ledger.reuses() {
            let (first, second) = (requests[reuse.first], requests[reuse.second]);
            let customer = first.customer.unwrap_or_default();
            match find_allowance(&first, allowances) {
                Some(reason) => {
                    *self.allowed_reuses.entry(reason).or_default() += 1;
                    excused.insert(customer);
                }
                // The organization is disconnected already, and its host does not know yet.
                None if excused.contains(&customer) => {}
                None => self.violate(format!(
                    "a refresh token of customer {customer} was used again after it had succeeded: {}, then {}; {}",
                    describe(&first),
                    describe(&second),
                    name_fault(faults, second.arrived)
                )),
            }
        }
        for overlap in ledger.overlaps() {
            let (first, second) = (requests[overlap.first], requests[overlap.second]);
            self.violate(format!(
                "two requests were in flight with one refresh token: {}, {}; {}",
                describe(&first),
                describe(&second),
                name_fault(faults, second.arrived)
            ));
        }
        excused
    }

    /// Judges the recoveries.
    pub fn judge_recoveries(&mut self, faults: &[InjectedFault]) {
        for fault in faults {
            if fault.recovery_ms.is_none_or(|took| took > LONGEST_RECOVERY) {
                self.violate(format!(
                    "refreshes did not run again within {} s after {:?} at {} s",
                    LONGEST_RECOVERY / 1000,
                    fault.kind,
                    fault.began_ms / 1000
                ));
            }
        }
    }

    /// Judges the stored tokens by their use: Webex must have accepted that of each customer after the last fault, but for
    /// excused customers.
    pub fn judge_tokens(
        &mut self,
        refreshed: &BTreeSet<usize>,
        customers: usize,
        excused: &BTreeSet<usize>,
    ) {
        self.usable = refreshed.len();
        let missing: BTreeSet<usize> = (0..customers)
            .filter(|it| !refreshed.contains(it))
            .collect();
        self.disconnected = missing.intersection(excused).count();
        let lost: Vec<_> = missing.difference(excused).collect();
        if !lost.is_empty() {
            self.violate(format!(
                "{} customers were not refreshed after the last fault: {:?}",
                lost.len(),
                lost.iter().take(20).collect::<Vec<_>>()
            ));
        }
    }

    /// Judges the writes: each record has the acknowledged value, or one that was sent later.
    pub fn judge_writes(&mut self, written: &Written, api: &ApiClient) -> Result<()> {
        self.acknowledged_writes = written.acknowledged;
        self.unknown_writes = written.unknown;
        for wrong in &written.wrong {
            self.violate(format!("a write was refused: {wrong}"));
        }
        for (name, known) in &written.known {
            let path = format!("/api/relation/SparkCustomer/?hierarchy={NODE}&name={name}");
            let listed = api.send("GET", &path, &[], None)?.body;
            let found = listed["resources"].as_array().context("a list")?;
            let found: Vec<_> = found
                .iter()
                .filter(|record| record["data"]["name"] == name.as_str())
                .collect();
            let Some(pkid) = &known.pkid else {
                if found.len() > 1 {
                    self.violate(format!("{name} was added {} times", found.len()));
                }
                continue;
            };
            let [record] = found[..] else {
                self.violate(format!(
                    "{name} was acknowledged, and {} records have this name",
                    found.len()
                ));
                continue;
            };
            let value = record["data"]["account_email"].as_str().map(str::to_owned);
            let is_queued = value
                .as_ref()
                .is_some_and(|value| known.queued.contains(value));
            if record["pkid"] != pkid.as_str() || !(is_queued || known.values.contains(&value)) {
                self.violate(format!(
                    "{name} ({pkid}) should have one of {:?}, and has {value:?}",
                    known.values
                ));
            }
        }
        Ok(())
    }

    /// Judges the stash of a host: everything in it must have been applied.
    pub fn judge_stash(&mut self, host: usize, files: &[String]) {
        if !files.is_empty() {
            self.violate(format!("the stash of host {host} still has {files:?}"));
        }
    }

    /// Judges a host that has ended without a signal.
    pub fn judge_ended(&mut self, host: usize) {
        self.violate(format!("host {host} has ended by itself"));
    }
}

/// Returns why the answer to a request may have been lost.
fn find_allowance(request: &TokenRequest, allowances: &[Allowance]) -> Option<&'static str> {
    let gone = "the host had gone before the answer came";
    let known = request
        .returned
        .or(request.processed)
        .unwrap_or(request.arrived);
    allowances
        .iter()
        .find(|allowance| {
            allowance.host == request.host
                && request.arrived <= allowance.to
                && known + CALL >= allowance.from
        })
        .map(|allowance| allowance.reason)
        .or_else(|| request.returned.is_none().then_some(gone))
}

fn describe(request: &TokenRequest) -> String {
    format!(
        "by host {} at {} ms (answered at {:?})",
        request.host, request.arrived, request.returned
    )
}

fn name_fault(faults: &[InjectedFault], at: Millis) -> String {
    match faults.iter().rev().find(|fault| fault.began_ms <= at) {
        Some(fault) => format!(
            "the last fault was {:?} from {} to {} ms",
            fault.kind, fault.began_ms, fault.ended_ms
        ),
        None => "before any fault".to_owned(),
    }
}
