//! The errors of the routes in the OpenAPI document.

use crate::api::route::Route;

/// Returns the statuses of the errors of a route.
pub(super) fn errors(route: Route) -> Vec<(&'static str, &'static str)> {
    let mut errors = of_kind(route).to_vec();
    if route.takes_version() {
        let description = "The record has another version than If-Match.";
        errors.push(("412", description));
    }
    errors
}

fn of_kind(route: Route) -> &'static [(&'static str, &'static str)] {
    const UNAUTHENTICATED: (&str, &str) = ("401", "The request has no valid session or API key.");
    const QUERY: (&str, &str) = ("400", "The query, a header or the body cannot be read.");
    const FORBIDDEN: (&str, &str) = ("403", "The roles of the caller do not permit this.");
    const NOT_FOUND: (&str, &str) = (
        "404",
        "The object does not exist, or the caller may not see it.",
    );
    const DOWN: (&str, &str) = (
        "503",
        "The store or Webex is not available, or the installation has a problem.",
    );
    const RATE: (&str, &str) = (
        "429",
        "The caller, or the host at Webex, sends too many requests.",
    );
    const FAILED: (&str, &str) = ("500", "The plugin or the host failed.");
    match route {
        Route::OpenApi => &[QUERY, RATE],
        Route::ListRecords
        | Route::ListTransactions
        | Route::ListData
        | Route::ListImported
        | Route::GetRecord
        | Route::PreviewNotices
        | Route::GetTransaction
        | Route::GetData
        | Route::GetImported
        | Route::PollTransaction
        | Route::PollTransactions => &[
            QUERY,
            UNAUTHENTICATED,
            FORBIDDEN,
            NOT_FOUND,
            RATE,
            FAILED,
            DOWN,
        ],
        Route::AddRecord
        | Route::ReplaceRecord
        | Route::ModifyRecord
        | Route::DeleteRecord
        | Route::RunAction
        | Route::ModifyRecords
        | Route::DeleteRecords
        | Route::ReplayTransaction
        | Route::CancelTransaction => &[
            QUERY,
            UNAUTHENTICATED,
            FORBIDDEN,
            NOT_FOUND,
            (
                "409",
                "Something changed in the meantime, another call works on the record, or a person has to connect it.",
            ),
            ("413", "The request exceeds a limit."),
            ("415", "The body is not declared as JSON."),
            (
                "422",
                "Fields are wrong: `errors` has all of them; or the Idempotency-Key was used for a different request: `code`.",
            ),
            RATE,
            FAILED,
            DOWN,
        ],
    }
}
