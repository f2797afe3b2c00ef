//! The routes of the API: one table for the router, the OpenAPI document and the tests.

use axum::http::Method;
use axum::middleware::from_fn;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::{actions, bulk, models, notices, openapi, records, refuse_version, transactions};
use crate::Web;
use crate::access::Operation;

/// A route of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Lists records.
    ListRecords,
    /// Adds a record.
    AddRecord,
    /// Shows a record.
    GetRecord,
    /// Replaces the fields of a record.
    ReplaceRecord,
    /// Changes fields of a record.
    ModifyRecord,
    /// Deletes a record.
    DeleteRecord,
    /// Changes fields of several records.
    ModifyRecords,
    /// Deletes several records.
    DeleteRecords,
    /// Runs an action of a record.
    RunAction,
    /// Shows the coming notices of a record.
    PreviewNotices,
    /// Lists transactions.
    ListTransactions,
    /// Shows a transaction.
    GetTransaction,
    /// Polls a transaction.
    PollTransaction,
    /// Polls several transactions.
    PollTransactions,
    /// Submits the request of a transaction again.
    ReplayTransaction,
    /// Cancels a transaction.
    CancelTransaction,
    /// Lists the instances of a data model.
    ListData,
    /// Shows an instance of a data model.
    GetData,
    /// Lists the instances of an imported model.
    ListImported,
    /// Shows an instance of an imported model.
    GetImported,
    /// Returns the OpenAPI document.
    OpenApi,
}

impl Route {
    /// Every route.
    pub const ALL: &'static [Self] = &[
        Self::ListRecords,
        Self::AddRecord,
        Self::GetRecord,
        Self::ReplaceRecord,
        Self::ModifyRecord,
        Self::DeleteRecord,
        Self::ModifyRecords,
        Self::DeleteRecords,
        Self::RunAction,
        Self::PreviewNotices,
        Self::ListTransactions,
        Self::GetTransaction,
        Self::PollTransaction,
        Self::PollTransactions,
        Self::ReplayTransaction,
        Self::CancelTransaction,
        Self::ListData,
        Self::GetData,
        Self::ListImported,
        Self::GetImported,
        Self::OpenApi,
    ];

    /// Returns the method.
    pub fn method(self) -> Method {
        match self {
            Self::AddRecord
            | Self::RunAction
            | Self::ReplayTransaction
            | Self::CancelTransaction => Method::POST,
            Self::ReplaceRecord => Method::PUT,
            Self::ModifyRecord | Self::ModifyRecords => Method::PATCH,
            Self::DeleteRecord | Self::DeleteRecords => Method::DELETE,
            Self::ListRecords
            | Self::GetRecord
            | Self::PreviewNotices
            | Self::ListTransactions
            | Self::GetTransaction
            | Self::PollTransaction
            | Self::PollTransactions
            | Self::ListData
            | Self::GetData
            | Self::ListImported
            | Self::GetImported
            | Self::OpenApi => Method::GET,
        }
    }

    /// Returns the path, with its parameters in braces.
    pub fn path(self) -> &'static str {
        match self {
            Self::ListRecords | Self::AddRecord | Self::ModifyRecords | Self::DeleteRecords => {
                super::RECORDS
            }
            Self::GetRecord | Self::ReplaceRecord | Self::ModifyRecord | Self::DeleteRecord => {
                "/api/relation/SparkCustomer/{pkid}/"
            }
            Self::RunAction => "/api/relation/SparkCustomer/{pkid}/{action}/",
            Self::PreviewNotices => "/api/relation/SparkCustomer/{pkid}/notices/",
            Self::ListTransactions => super::TRANSACTIONS,
            Self::GetTransaction => "/api/tool/Transaction/{id}/",
            Self::PollTransaction => "/api/tool/Transaction/{id}/poll/",
            Self::PollTransactions => "/api/tool/Transaction/poll/",
            Self::ReplayTransaction => "/api/tool/Transaction/{id}/replay/",
            Self::CancelTransaction => "/api/tool/Transaction/{id}/cancel/",
            Self::ListData => "/api/data/{model}/",
            Self::GetData => "/api/data/{model}/{pkid}/",
            Self::ListImported => "/api/device/spark/{model}/",
            Self::GetImported => "/api/device/spark/{model}/{pkid}/",
            Self::OpenApi => "/api/openapi.json",
        }
    }

    /// Returns the operation that a principal needs at the object's node. [`Route::RunAction`],
    /// [`Route::ReplayTransaction`] and [`Route::CancelTransaction`] need that of the action as well.
    pub fn operation(self) -> Option<Operation> {
        match self {
            Self::AddRecord => Some(Operation::Add),
            Self::ReplaceRecord | Self::ModifyRecord | Self::ModifyRecords => {
                Some(Operation::Modify)
            }
            Self::DeleteRecord | Self::DeleteRecords => Some(Operation::Delete),
            Self::OpenApi => None,
            Self::ListRecords
            | Self::GetRecord
            | Self::RunAction
            | Self::PreviewNotices
            | Self::ListTransactions
            | Self::GetTransaction
            | Self::PollTransaction
            | Self::PollTransactions
            | Self::ReplayTransaction
            | Self::CancelTransaction
            | Self::ListData
            | Self::GetData
            | Self::ListImported
            | Self::GetImported => Some(Operation::Read),
        }
    }

    /// Returns whether the route compares the version of `If-Match`.
    pub fn takes_version(self) -> bool {
        matches!(
            self,
            Self::ReplaceRecord | Self::ModifyRecord | Self::DeleteRecord | Self::RunAction
        )
    }

    /// Returns the handler. A change that compares no version refuses one.
    pub(super) fn handler(self) -> MethodRouter<Web> {
        match self.takes_version() || self.method() == Method::GET {
            true => self.plain_handler(),
            false => self.plain_handler().route_layer(from_fn(refuse_version)),
        }
    }

    fn plain_handler(self) -> MethodRouter<Web> {
        let filter = MethodFilter::try_from(self.method()).unwrap_or(MethodFilter::GET);
        match self {
            Self::ListRecords => on(filter, records::list),
            Self::AddRecord => on(filter, records::add),
            Self::GetRecord => on(filter, records::get),
            Self::ReplaceRecord => on(filter, records::replace),
            Self::ModifyRecord => on(filter, records::modify),
            Self::DeleteRecord => on(filter, records::delete),
            Self::RunAction => on(filter, actions::act),
            Self::PreviewNotices => on(filter, notices::preview),
            Self::ListTransactions => on(filter, transactions::list),
            Self::GetTransaction => on(filter, transactions::get),
            Self::PollTransaction => on(filter, transactions::poll),
            Self::PollTransactions => on(filter, transactions::poll_several),
            Self::ModifyRecords => on(filter, bulk::modify),
            Self::DeleteRecords => on(filter, bulk::delete),
            Self::ReplayTransaction => on(filter, transactions::replay),
            Self::CancelTransaction => on(filter, transactions::cancel),
            Self::ListData => on(filter, models::list_data),
            Self::GetData => on(filter, models::get_data),
            Self::ListImported => on(filter, models::list_imported),
            Self::GetImported => on(filter, models::get_imported),
            Self::OpenApi => on(filter, openapi::serve),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_routes_are_the_same() {
        let mut seen = std::collections::HashSet::new();
        for route in Route::ALL {
            assert!(seen.insert((route.method(), route.path())), "{route:?}");
        }
    }
}
