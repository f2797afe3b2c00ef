//! The spans of calls, for traces: one tree for each call.
//!
//! The spans have targets of their own, which the log levels of this library's targets do not cover. Without a subscriber
//! that is interested in them, no span is created. Their names and attributes come from closed sets, except for those of
//! [`CUSTOMER_SPAN_TARGET`].

use std::time::Duration;

use http::{Method, Request, Response};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::egress::{EgressError, Policy};
use crate::endpoints::{endpoint_name, path_template};
use crate::imports::Redactor;
use crate::limits::Limit;
use crate::store::StoreError;
use crate::types::{Hierarchy, Reference};

/// The target of the spans of calls and of their events, which have the level `INFO`.
pub const SPAN_TARGET: &str = "call_spans";
/// The target that adds a record's primary key and its name to the span of a call, at the level `INFO`.
pub const CUSTOMER_SPAN_TARGET: &str = "call_spans::customer";

/// The maximum length of a customer's name in a span, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The maximum length of the name of an action, in bytes.
const MAX_ACTION_BYTES: usize = 64;

/// Returns the root span of a call.
pub(crate) fn call_span(action: &str, subject: &Reference) -> Span {
    let workflow = workflow_name(action);
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        "call",
        otel.name = format!("call {workflow}").as_str(),
        otel.status_code = Empty,
        relation.workflow = workflow,
        relation.transaction = Empty,
        relation.node.depth = Empty,
        relation.outcome = Empty,
        relation.pkid = Empty,
        relation.customer = Empty,
    );
    if has_customers() {
        span.record("relation.pkid", subject.pkid.as_str());
    }
    span
}

/// Returns whether spans have the primary keys and names of customers.
fn has_customers() -> bool {
    tracing::enabled!(target: CUSTOMER_SPAN_TARGET, tracing::Level::INFO)
}

/// Returns the name of a workflow or an action of the plugin; `other` for a text of a caller that is neither.
fn workflow_name(action: &str) -> &str {
    let in_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ' ' | '(' | ')');
    match action.len() <= MAX_ACTION_BYTES && action.chars().all(in_names) {
        true => action,
        false => "other",
    }
}

/// Records the depth of the node of a call's record; the root has 1.
pub(crate) fn record_node(call: &Span, node: &Hierarchy) {
    if !call.is_disabled() {
        let depth = node.as_str().split('.').count();
        call.record("relation.node.depth", to_integer(depth));
    }
}

/// Records the name of a call's customer, if spans have names.
pub(crate) fn record_customer(call: &Span, name: &str, redactor: &Redactor) {
    if !call.is_disabled() && has_customers() {
        let name = redactor.redact(redactor.truncate(name, MAX_NAME_BYTES));
        call.record("relation.customer", name.as_str());
    }
}

/// Returns a number as OpenTelemetry has it. Unsigned numbers would become texts.
fn to_integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Records the end of a call.
pub(crate) fn record_outcome(call: &Span, outcome: &str, failed: bool) {
    call.record("relation.outcome", outcome);
    if failed {
        call.record("otel.status_code", "ERROR");
    }
}

/// Returns the span of an instance of the plugin.
pub(crate) fn instance_span() -> Span {
    tracing::info_span!(target: SPAN_TARGET, "instance", error.type = Empty, otel.status_code = Empty)
}

/// Records that an instance of the plugin did not return a result.
pub(crate) fn record_error(span: &Span, error: &str) {
    span.record("error.type", error);
    span.record("otel.status_code", "ERROR");
}

/// The operations of the store that have a span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoreSpan {
    Begin,
    Commit,
    End,
}

impl StoreSpan {
    fn create(self) -> Span {
        macro_rules! span {
            ($name:literal) => {
                tracing::info_span!(target: SPAN_TARGET, $name, error.type = Empty, otel.status_code = Empty)
            };
        }
        match self {
            Self::Begin => span!("store.begin"),
            Self::Commit => span!("store.commit"),
            Self::End => span!("store.end"),
        }
    }

    /// Runs an operation of the store in its span. `code` names the error of a result.
    pub(crate) async fn run<T, E>(
        self,
        operation: impl Future<Output = Result<T, E>>,
        code: impl FnOnce(&E) -> &'static str,
    ) -> Result<T, E> {
        let span = self.create();
        let result = operation.instrument(span.clone()).await;
        if let Err(error) = &result {
            record_error(&span, code(error));
        }
        result
    }

    /// Runs an operation of the store in its span.
    pub(crate) async fn run_operation<T>(
        self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.run(operation, StoreError::code).await
    }
}

/// Returns the span of a request of the plugin, by OpenTelemetry's conventions. It has neither the query nor a header,
/// and the server only if the policy permits it.
pub(crate) fn request_span<B>(request: &Request<B>, policy: &Policy, redactor: &Redactor) -> Span {
    let method = method_name(request.method());
    let uri = request.uri();
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        "http",
        otel.name = format!("http {method} {}", endpoint_name(uri.path())).as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        server.address = Empty,
        server.port = Empty,
        url.template = path_template(uri.path()).as_str(),
    );
    if !span.is_disabled()
        && let Ok(target) = policy.check_target(uri)
    {
        let origin = target.origin();
        let host = redactor.redact(&origin.host().to_string());
        span.record("server.address", host.as_str());
        span.record("server.port", to_integer(origin.port()));
    }
    span
}

/// Returns the name of a method; `_OTHER` for one that HTTP does not define.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Records the head of a response, or the error.
pub(crate) fn record_response<B>(
    request: &Span,
    result: Result<&Response<B>, &EgressError>,
    retry_after: Option<Duration>,
) {
    if request.is_disabled() {
        return;
    }
    let status = match result {
        Ok(response) => response.status(),
        Err(error) => return record_error(request, error.class()),
    };
    request.record("http.response.status_code", to_integer(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        record_error(request, status.as_str());
    }
    if status == http::StatusCode::TOO_MANY_REQUESTS {
        let seconds = retry_after.map(|pause| to_integer(pause.as_secs()));
        tracing::info!(target: SPAN_TARGET, parent: request, retry_after_seconds = seconds, "rate limited");
    }
}

/// Adds the event that a call exceeded one of its limits to the current span.
pub(crate) fn note_limit(limit: Limit) {
    tracing::info!(target: SPAN_TARGET, limit = limit.name(), "limit exceeded");
}

/// Adds the event that an operation of the store is repeated after a delay to the current span.
pub(crate) fn note_store_retry(delay: Duration) {
    tracing::info!(target: SPAN_TARGET, delay_seconds = delay.as_secs_f64(), "store is unavailable, retry");
}

/// Adds the event that a call will be made again after a delay.
pub(crate) fn note_retry(call: &Span, delay: Duration) {
    tracing::info!(target: SPAN_TARGET, parent: call, delay_seconds = delay.as_secs_f64(), "retry scheduled");
}

/// Adds the event that another call holds the record to the current span.
pub(crate) fn note_busy() {
    tracing::info!(target: SPAN_TARGET, "record is busy");
}

/// Adds the event that a response was stashed or lost.
pub(crate) fn note_stash(call: &Span, stashed: bool) {
    match stashed {
        true => tracing::info!(target: SPAN_TARGET, parent: call, "response stashed"),
        false => tracing::info!(target: SPAN_TARGET, parent: call, "response lost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_has_no_text_of_a_caller() {
        for (action, expected) in [
            ("refresh", "refresh"),
            ("delete (dry run)", "delete (dry run)"),
            ("SyncUsers", "SyncUsers"),
            ("canary=7", "other"),
            ("a/b", "other"),
            (&"x".repeat(65), "other"),
        ] {
            assert_eq!(workflow_name(action), expected);
        }
    }

    #[test]
    fn no_span_is_created_without_a_listener() {
        let subject = Reference::record(crate::types::Pkid::random());
        assert!(call_span("refresh", &subject).is_disabled());
        assert!(instance_span().is_disabled());
        assert!(StoreSpan::Commit.create().is_disabled());
    }
}
