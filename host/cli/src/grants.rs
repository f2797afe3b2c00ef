//! The grants of a record: their names on the command line, their selection, and the report of each.

use clap::ValueEnum;
use relation_app::AppError;
use relation_app::records::{self, StoredRecord};
use relation_host::reports::{Grant, State};
use relation_host::{CallOutput, Host};
use serde::Serialize;

use super::Context;
use super::commands::view::Notes;

/// A grant on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GrantArg {
    /// The organization itself
    Organization,
    /// The customers of a wholesale partner
    WholesaleCustomers,
    /// The users of a wholesale partner's customers
    WholesaleUsers,
}

impl From<GrantArg> for Grant {
    fn from(grant: GrantArg) -> Self {
        match grant {
            GrantArg::Organization => Self::Organization,
            GrantArg::WholesaleCustomers => Self::WholesaleCustomers,
            GrantArg::WholesaleUsers => Self::WholesaleUsers,
        }
    }
}

/// Selects the grants of a record.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct GrantSelector {
    /// The grant [default: every grant of the record that has tokens; with --json, each on a line of its own]
    #[arg(long, value_name = "GRANT")]
    grant: Option<GrantArg>,
}

impl GrantSelector {
    /// Returns the selected grants, the organization's first. Returns only the organization's if no grant has
    /// tokens.
    ///
    /// # Errors
    /// The plugin cannot read the record.
    pub async fn select(self, host: &Host, record: &StoredRecord) -> Result<Vec<Grant>, AppError> {
        if let Some(grant) = self.grant {
            return Ok(vec![grant.into()]);
        }
        let details = records::show(host, record).await?;
        let grants = details.connection.grants.into_iter();
        let connected = grants.filter(|status| status.state != State::NotConnected);
        let connected: Vec<Grant> = connected.map(|status| status.grant).collect();
        Ok(match connected.is_empty() {
            true => vec![Grant::Organization],
            false => connected,
        })
    }
}

/// A printer of the results of calls for several grants. It ends with the first error.
pub struct GrantReporter<'a> {
    context: &'a Context,
    lines: bool,
    error: Option<AppError>,
    write_error: Option<AppError>,
}

impl<'a> GrantReporter<'a> {
    /// Creates the reporter. The result of a single grant is printed as a document, not as a line.
    pub fn new(context: &'a Context, grants: &[Grant]) -> Self {
        Self {
            context,
            lines: grants.len() > 1,
            error: None,
            write_error: None,
        }
    }

    /// Prints the result of a call, and keeps the error that the result implies, if any. `render_text` gets
    /// [`Notes::Hidden`] if the error that [`finish`](Self::finish) returns has the notes and the message.
    pub fn report<T: Serialize>(
        &mut self,
        call_output: Result<CallOutput<T>, AppError>,
        render_text: impl FnOnce(&T, Notes) -> String,
        failure: impl FnOnce(&T) -> Option<AppError>,
    ) {
        let error = match call_output {
            Ok(call_output) => {
                let error = failure(&call_output.value);
                // Only the first error is reported; the text then omits its message.
                let notes = match error.is_some() && self.error.is_none() {
                    true => Notes::Hidden,
                    false => Notes::Shown,
                };
                let render_text = |value: &T| render_text(value, notes);
                let written = match self.lines {
                    true => self.context.print_call_line(&call_output, render_text),
                    false => self.context.print_call(&call_output, render_text),
                };
                self.write_error = self.write_error.take().or(written.err());
                error.map(|error| AppError {
                    transaction: Some(call_output.transaction),
                    ..error
                })
            }
            Err(error) => Some(error),
        };
        self.error = self.error.take().or(error);
    }

    /// Returns the first error of a call, or else the first error of printing.
    pub fn finish(self) -> Result<(), AppError> {
        self.error.or(self.write_error).map_or(Ok(()), Err)
    }
}
