//! Faults that are not used up.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::{Fault, FaultKind};
use crate::gate::ProcessingStage;

/// Returns whether a path is the prefix, or lies below it.
pub(crate) fn path_matches(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The faults that one request hits.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFaults {
    pub(crate) latency: Option<(Duration, ProcessingStage)>,
    pub(crate) fault: Option<FaultKind>,
}

/// All faults that are not used up.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pending: Mutex<Vec<Fault>>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.pending.lock()
    }

    /// Copies those that are not used up.
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

    /// Takes the faults that a request to this path hits, with this `grant_type` if it has one.
    pub(crate) fn take(&self, path: &str, grant_type: Option<&str>) -> RequestFaults {
        let mut met = RequestFaults::default();
        let mut pending = self.lock();
        for fault in pending
            .iter_mut()
            .filter(|fault| fault.applies_to(path, grant_type))
        {
            if fault.consume_skip() {
                continue;
            }
            match fault.kind {
                FaultKind::Latency { latency, stage } if met.latency.is_none() => {
                    met.latency = Some((latency, stage));
                    fault.use_up();
                }
                FaultKind::Latency { .. } => {}
                _ if met.fault.is_none() => met.fault = Some(fault.use_up()),
                _ => {}
            }
        }
        pending.retain(|fault| fault.count != Some(0));
        met
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
    fn faults_apply_in_order_and_are_used_up() {
        let faults = Faults::default();
        faults.inject(Fault::status("/v1", 503).times(2));
        faults.inject(Fault::latency("/v1", Duration::from_secs(1)));
        faults.inject(Fault::reset_after("/v1"));
        let kinds: Vec<_> = (0..4)
            .map(|_| {
                let met = faults.take("/v1/access_token", None);
                (met.latency.is_some(), met.fault.map(|fault| fault.name()))
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
    fn fault_can_skip_requests_or_need_a_grant_type() {
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
    fn impossible_fault_is_rejected_with_a_reason() {
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
