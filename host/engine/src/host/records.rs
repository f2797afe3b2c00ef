//! Shows stored records, checks the integration, and runs actions by name.

use serde_json::{Map, Value};

use super::call::CallRequest;
use super::outcome::summarize_action;
use super::{CallError, CallErrorKind, CallOutput, Host};
use crate::component::convert;
use crate::imports::convert as shared;
use crate::reports::{Finding, RecordDetails};
use crate::types::{Document, Failure, FieldError, Pkid};

/// The maximum number of documents that one instance reads.
const CHUNK: usize = 100;
/// The maximum length of the name of an action, in bytes.
const MAX_ACTION_BYTES: usize = 64;

impl Host {
    /// Reads stored records: returns one result for each document, in the same order. A document that is not a
    /// record of the plugin's release has a [`Failure`] in place of details. No transaction is stored.
    ///
    /// # Errors
    /// The plugin did not return a result.
    pub async fn show(
        &self,
        documents: &[Document],
    ) -> Result<Vec<Result<RecordDetails, Failure>>, CallError> {
        let mut shown = Vec::with_capacity(documents.len());
        for chunk in documents.chunks(CHUNK) {
            let results = self
                .instance(None, async |workflows, store| {
                    let stored = chunk.iter().cloned().map(shared::document_out);
                    let stored: Vec<_> = stored.collect();
                    workflows.call_show(store, &stored).await.map(Ok)
                })
                .await
                .and_then(|results| match results.len() == chunk.len() {
                    true => Ok(results),
                    false => Err(CallErrorKind::Refused(Failure::Internal(format!(
                        "the plugin returned {} results for {} records",
                        results.len(),
                        chunk.len()
                    )))),
                })
                .map_err(|kind| CallError {
                    transaction: None,
                    kind,
                })?;
            shown.extend(results.into_iter().zip(chunk).map(|(result, document)| {
                result
                    .map_err(shared::failure)
                    .and_then(|details| convert::record_details(details, document))
            }));
        }
        Ok(shown)
    }

    /// Asks Webex whether the installation's settings work, and returns what was found. Changes nothing. No
    /// transaction is stored.
    ///
    /// # Errors
    /// The plugin refused a setting, or did not return a result.
    pub async fn check_integration(&self) -> Result<Vec<Finding>, CallError> {
        let found = self
            .instance(None, async |workflows, store| {
                workflows.call_check_integration(store).await
            })
            .await;
        let found = found.map_err(|kind| CallError {
            transaction: None,
            kind,
        })?;
        Ok(found.into_iter().map(convert::finding).collect())
    }

    /// Runs an action of [`Host::describe`] on a record. The arguments and the result follow the action's schemas.
    ///
    /// # Errors
    /// The plugin refused the action, its arguments or the record, or did not return a result.
    pub async fn invoke(
        &self,
        action: &str,
        pkid: &Pkid,
        arguments: Map<String, Value>,
    ) -> Result<CallOutput<Value>, CallError> {
        check_action_name(action)?;
        let arguments = Value::Object(arguments).to_string();
        self.transact(
            CallRequest::for_record(action, pkid.clone()).with_input(&[&arguments]),
            async |workflows, store| {
                workflows
                    .call_invoke(store, action, pkid.as_str(), &arguments)
                    .await
            },
            convert::action_result,
            |result: &Value| summarize_action(action, result),
        )
        .await
    }
}

/// Checks the name of an action, which names the transaction.
pub(super) fn check_action_name(action: &str) -> Result<(), CallError> {
    let is_word = action.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word && (1..=MAX_ACTION_BYTES).contains(&action.len()) {
        return Ok(());
    }
    let message = format!(
        "{:?} is not the name of an action, which has 1 to {MAX_ACTION_BYTES} letters and digits",
        action.chars().take(MAX_ACTION_BYTES).collect::<String>()
    );
    Err(CallError {
        transaction: None,
        kind: CallErrorKind::Refused(Failure::Invalid(vec![FieldError {
            field: "action".to_owned(),
            message,
        }])),
    })
}
