//! The faults that wait for their requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Fault, FaultKind};
use crate::gate::Stage;

/// Whether a path is the prefix, or lies below it.
pub(crate) fn path_matches(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The faults that one request meets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) latency: Option<(Duration, Stage)>,
    pub(crate) fault: Option<FaultKind>,
}

/// All faults that are not used up.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pending: Mutex<Vec<Fault>>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of those not used up.
    pub(crate) fn fork(&self) -> Self {
        Self {
            pending: Mutex::new(self.lock().clone()),
        }
    }

    pub(crate) fn inject(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Takes what meets a request to this path, with this `grant_type` if it has one.
    pub(crate) fn take(&self, path: &str, grant_type: Option<&str>) -> Plan {
        let mut plan = Plan::default();
        let mut pending = self.lock();
        for fault in pending
            .iter_mut()
            .filter(|fault| fault.meets(path, grant_type))
        {
            if fault.lets_pass() {
                continue;
            }
            match fault.kind {
                FaultKind::Latency { latency, stage } if plan.latency.is_none() => {
                    plan.latency = Some((latency, stage));
                    fault.use_up();
                }
                FaultKind::Latency { .. } => {}
                _ if plan.fault.is_none() => plan.fault = Some(fault.use_up()),
                _ => {}
            }
        }
        pending.retain(|fault| fault.count != Some(0));
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prefix_ends_at_a_segment() {
        assert!(path_matches("/v1/people", "/v1/people/me"));
        assert!(path_matches("/v1/people/", "/v1/people"));
        assert!(path_matches("/", "/v1/people"));
        assert!(!path_matches("/v1/people", "/v1/peoples"));
    }

    #[test]
    fn faults_are_met_in_their_order_and_used_up() {
        let faults = Faults::default();
        faults.inject(Fault::status("/v1", 503).times(2));
        faults.inject(Fault::latency("/v1", Duration::from_secs(1)));
        faults.inject(Fault::reset_after("/v1"));
        let kinds: Vec<_> = (0..4)
            .map(|_| {
                let plan = faults.take("/v1/access_token", None);
                (plan.latency.is_some(), plan.fault.map(|fault| fault.name()))
            })
            .collect();
        assert_eq!(
            kinds,
            [
                (true, Some("status")),
                (false, Some("status")),
                (false, Some("reset-after")),
                (false, None)
            ]
        );
    }

    #[test]
    fn a_null_count_lasts_until_cleared() {
        let faults = Faults::default();
        let fault = r#"{"path": "/v1", "count": null, "kind": "reset-before"}"#;
        faults.inject(serde_json::from_str(fault).unwrap());
        assert!((0..10).all(|_| faults.take("/v1", None).fault.is_some()));
        faults.clear();
        assert!(faults.take("/v1", None).fault.is_none());
    }

    #[test]
    fn a_fault_can_wait_for_a_later_request_or_for_one_grant_type() {
        let faults = Faults::default();
        faults.inject(Fault::status("/v1", 500).skipping(1));
        faults.inject(Fault::reset_before("/v1").for_grant_type("authorization_code"));
        let kind = |grant_type| {
            let fault = faults.take("/v1/x", grant_type).fault;
            fault.map(|fault| fault.name())
        };
        assert_eq!(kind(Some("refresh_token")), None);
        assert_eq!(kind(Some("refresh_token")), Some("status"));
        assert_eq!(kind(None), None);
        assert_eq!(kind(Some("authorization_code")), Some("reset-before"));
    }

    #[test]
    fn a_fault_that_could_not_happen_is_refused_with_the_reason() {
        for (fault, part) in [
            (r#"{"path": "/v1", "kind": "status", "status": 99}"#, "99"),
            (r#"{"path": "v1", "kind": "reset-after"}"#, "`path`"),
            (r#"{"kind": "reset-after"}"#, "`path`"),
            (
                r#"{"path": "/v1", "kind": "rate-limited", "retry-after": "3"}"#,
                "unknown field `retry-after`",
            ),
        ] {
            let error = serde_json::from_str::<Fault>(fault).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
