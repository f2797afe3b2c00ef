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
            "automate:platform/types@0.1.0/reference": [#[derive(Hash, PartialOrd, Ord)]],
            "automate:spark-customer/workflows@0.1.0/import-count": [#[derive(Default)]],
            // Records store both.
            "automate:spark-customer/workflows@0.1.0/grant": [
                #[derive(Default, Hash, serde::Serialize, serde::Deserialize)]
                #[serde(rename_all = "kebab-case")]
            ],
            "automate:spark-customer/workflows@0.1.0/state": [
                #[derive(Default, serde::Serialize, serde::Deserialize)]
                #[serde(rename_all = "kebab-case")]
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
    Check, Document, Filter, Key, OnUnavailable, Page, Scope, UniqueCheck, VersionCheck,
};
pub use bindings::automate::platform::transactions::Level;
pub use bindings::automate::platform::types::{FieldError, Reference};
pub use bindings::exports::automate::spark_customer::workflows::{
    Action, AddReport, Alert, Authorization, Choice, ConnectReport, ConnectionReport, Deletion,
    Expiry, ExpiryReport, Field, FieldKind, Grant, GrantStatus, ImportCount, Model, RefreshOutcome,
    RefreshReport, RemovedDocument, Revocation, SettingDescription, State, SyncReport, WakeReport,
};
