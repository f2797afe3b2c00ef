//! The grants of a record: how they are named, which of them a command is about, and what came of
//! each.

use clap::ValueEnum;
use relation_host::Called;
use relation_host::reports::{Grant, State};
use serde::Serialize;

use super::Context;
use super::failure::Failed;
use super::records::Record;

/// A grant as it is named on the command line.
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

/// Which grant of a record a command is about.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Which {
    /// The grant [default: every grant of the record that has tokens; with --json each is then a
    /// line of its own]
    #[arg(long, value_name = "GRANT")]
    grant: Option<GrantArg>,
}

impl Which {
    /// The grants that are meant, the organisation's first; it is meant where none has tokens.
    pub fn of(self, record: &Record) -> Vec<Grant> {
        if let Some(grant) = self.grant {
            return vec![grant.into()];
        }
        let grants = record.summary().grants.into_iter();
        let connected = grants.filter(|granted| granted.state != State::NotConnected);
        let connected: Vec<Grant> = connected.map(|granted| granted.grant).collect();
        match connected.is_empty() {
            true => vec![Grant::Organization],
            false => connected,
        }
    }
}

/// What came of the calls for several grants, printed one by one; ends as the first that failed.
pub struct Each<'a> {
    context: &'a Context,
    lines: bool,
    failed: Option<Failed>,
    unwritten: Option<Failed>,
}

impl<'a> Each<'a> {
    /// Of so many grants; one alone is printed as a document.
    pub fn of(context: &'a Context, grants: &[Grant]) -> Self {
        Self {
            context,
            lines: grants.len() > 1,
            failed: None,
            unwritten: None,
        }
    }

    /// Prints what a call answered, and remembers the failure that it means, if any.
    pub fn answered<T: Serialize>(
        &mut self,
        called: Result<Called<T>, Failed>,
        human: impl FnOnce(&T) -> String,
        failure: impl FnOnce(&T) -> Option<Failed>,
    ) {
        let failed = match called {
            Ok(called) => {
                let written = match self.lines {
                    true => self.context.called_line(&called, human),
                    false => self.context.called(&called, human),
                };
                self.unwritten = self.unwritten.take().or(written.err());
                failure(&called.value).map(|failed| Failed {
                    transaction: Some(called.transaction),
                    ..failed
                })
            }
            Err(failed) => Some(failed),
        };
        // The first is what somebody looks at first.
        self.failed = self.failed.take().or(failed);
    }

    /// As the first that failed, if one did; else as the first that could not be printed.
    pub fn end(self) -> Result<(), Failed> {
        self.failed.or(self.unwritten).map_or(Ok(()), Err)
    }
}
