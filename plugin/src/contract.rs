//! The types of the contract, generated from `wit/` for the component and the native library.
//!
//! `crate::platform` and `crate::reports` re-export them for the workflows. Only [`Failure`],
//! [`Change`] and the input of `add` have types of their own there: they carry error texts and secrets.
//!
//! [`Failure`]: crate::platform::Failure
//! [`Change`]: crate::platform::Change

#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]
pub(crate) mod bindings {
    wit_bindgen::generate!({
        path: "../wit/spark-customer",
        world: "automate:spark-customer/spark-customer",
        generate_all,
        additional_derives: [PartialEq, Eq],
        // It has a resource of `wasi:io`.
        additional_derives_ignore: ["stream-error"],
        additional_type_attributes: {
            "automate:platform/types@0.1.0/reference": [
                #[derive(Hash, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
            ],
            // Records store both.
            "automate:spark-customer/workflows@0.1.0/grant": [
                #[derive(Default, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
                #[serde(rename_all = "kebab-case")]
            ],
            "automate:spark-customer/workflows@0.1.0/state": [
                #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
                #[serde(rename_all = "kebab-case")]
            ],
            // The results of actions, which are JSON.
            "automate:spark-customer/workflows@0.1.0/alert": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/authorization": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/connection-report": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/expiry": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/expiry-report": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/failed-refresh": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/grant-status": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/import-count": [
                #[derive(Default, serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/refresh-outcome": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
                #[serde(rename_all = "kebab-case")]
            ],
            "automate:spark-customer/workflows@0.1.0/refresh-report": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
            "automate:spark-customer/workflows@0.1.0/sync-report": [
                #[derive(serde::Serialize, schemars::JsonSchema)]
            ],
        },
        additional_member_attributes: {
            "automate:spark-customer/workflows@0.1.0/grant.organization": [#[default]],
            "automate:spark-customer/workflows@0.1.0/state.not-connected": [#[default]],
        },
    });
}

pub use bindings::automate::platform::scheduling::Wakeup;
pub use bindings::automate::platform::storage::{
    Check, Comparison, Document, Filter, Key, OnUnavailable, Page, PkidPage, Scope, UniqueCheck,
    VersionCheck,
};
pub use bindings::automate::platform::transactions::Level;
pub use bindings::automate::platform::types::{FieldError, Reference};
pub use bindings::exports::automate::spark_customer::workflows::{
    AccessTokenReport, Action, AddReport, Alert, Authorization, Choice, ConnectReport,
    ConnectionReport, Deletion, Expiry, ExpiryReport, FailedRefresh, Field, FieldKind, Finding,
    FindingLevel, Grant, GrantStatus, ImportCount, Model, OwnedDocument, RecordDetails,
    RefreshOutcome, RefreshReport, RemovedDocument, Revocation, SettingDescription, State,
    SyncReport, WakeReport,
};
