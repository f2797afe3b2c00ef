//! The texts in English.

use chrono::{DateTime, Datelike, FixedOffset, Timelike};

use crate::NoticeKind;

use super::{Due, Facts, Labels, Texts};

pub(super) struct English;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

static LABELS: Labels = Labels {
    customer: "Customer",
    node: "Node",
    grant: "Consent",
    state: "State",
    expires: "Expires",
    expired: "Expired",
    occurred: "Noticed",
    count: "Occurrences",
    details: "Details",
    time: "Time",
    button: "Open the organization's page",
    list_button: "Open the list of alerts",
    automatic: "This message was sent automatically.",
    login: "The link leads to a page that asks you to log in.",
};

/// Returns `in 2 days (9 Dec)`.
fn when(facts: &Facts) -> String {
    let when = match facts.due {
        None => return "soon".to_owned(),
        Some(Due::Past) => "now".to_owned(),
        Some(Due::Today) => "today".to_owned(),
        Some(Due::Tomorrow) => "tomorrow".to_owned(),
        Some(Due::Days(1)) => "in 1 day".to_owned(),
        Some(Due::Days(days)) => format!("in {days} days"),
    };
    match &facts.date {
        Some(date) => format!("{when} ({date})"),
        None => when,
    }
}

/// Returns ` on TIME`, or an empty text.
fn on(time: Option<&String>) -> String {
    time.map(|time| format!(" on {time}")).unwrap_or_default()
}

/// Returns `connection to Webex`, with the grant if it is not the usual one.
fn connection(facts: &Facts) -> String {
    match facts.grant.as_str() {
        "" | "organization" => "connection to Webex".to_owned(),
        grant => format!("connection to Webex ({})", English.grant(grant)),
    }
}

impl Texts for English {
    fn subject(&self, kind: NoticeKind, facts: &Facts) -> String {
        let connection = connection(facts);
        let text = match kind {
            NoticeKind::Expiring => format!("{connection} expires {}", when(facts)),
            NoticeKind::Expired => format!("{connection} has expired{}", on(facts.date.as_ref())),
            NoticeKind::Reauthorize => format!("{connection} was refused, connect again"),
            NoticeKind::MissingScope => format!("{connection} lacks a permission, connect again"),
            NoticeKind::Retrying => format!("{connection} cannot be refreshed at present"),
            NoticeKind::ImportFailed => "an import or an order failed".to_owned(),
            NoticeKind::HostTrouble => {
                "the host needs help with its secrets or its store".to_owned()
            }
            NoticeKind::Recovered if facts.customer.is_empty() => "the host works again".to_owned(),
            NoticeKind::Recovered => format!("{connection} works again"),
            NoticeKind::Endpoint => "the state of an endpoint of notices has changed".to_owned(),
            NoticeKind::Test => "test of the notices".to_owned(),
        };
        match facts.customer.as_str() {
            "" => text,
            customer => format!("{customer}: {text}"),
        }
    }

    fn lead(&self, kind: NoticeKind, facts: &Facts) -> String {
        let (connection, customer) = (connection(facts), &facts.customer);
        match kind {
            NoticeKind::Expiring => {
                let on = on(facts.time.as_ref());
                format!("The {connection} of {customer} expires{on}.")
            }
            NoticeKind::Expired => {
                let on = on(facts.time.as_ref());
                format!("The {connection} of {customer} has expired{on}.")
            }
            NoticeKind::Reauthorize => format!(
                "Webex has refused to renew the {connection} of {customer}. Common reasons: the administrator who \
                 connected has changed the password, was deactivated, or is no longer a full administrator."
            ),
            NoticeKind::MissingScope => format!(
                "The {connection} of {customer} was given without a permission (scope) that is needed."
            ),
            NoticeKind::Retrying => format!(
                "The tokens of the {connection} of {customer} could not be refreshed for some time. The host keeps trying."
            ),
            NoticeKind::ImportFailed => format!(
                "An import or an order for {customer} did not succeed. The connection itself works."
            ),
            NoticeKind::HostTrouble => {
                "The host cannot open its secrets or write its store.".to_owned()
            }
            NoticeKind::Recovered if customer.is_empty() => {
                "The host works again, after an earlier notice.".to_owned()
            }
            NoticeKind::Recovered => {
                format!("The {connection} of {customer} works again, after an earlier notice.")
            }
            NoticeKind::Endpoint => {
                "A webhook or an SNMP receiver of notices fails, is disabled, or works again: see the details."
                    .to_owned()
            }
            NoticeKind::Test => {
                "An administrator asked for this test: notices by e-mail reach this address."
                    .to_owned()
            }
        }
    }

    fn consequence(&self, kind: NoticeKind, facts: &Facts) -> String {
        match kind {
            NoticeKind::Expiring => {
                "If no administrator connects the organization again before then, its tokens can no longer be renewed: \
                 imports and changes in Webex stop."
                    .to_owned()
            }
            NoticeKind::Expired | NoticeKind::Reauthorize => {
                "Imports and changes in Webex stop until an administrator of the organization connects it again."
                    .to_owned()
            }
            NoticeKind::MissingScope => {
                "Functions that need the permission do not work until an administrator of the organization connects it \
                 again. All others go on."
                    .to_owned()
            }
            NoticeKind::Retrying => match &facts.time {
                Some(time) => format!(
                    "No action is needed if the reason is known and passes. If it lasts until {time}, the connection \
                     expires, and an administrator of the organization has to connect it again."
                ),
                None => "No action is needed if the reason is known and passes. If it lasts, the connection expires."
                    .to_owned(),
            },
            NoticeKind::ImportFailed => {
                "Until the next success, data from Webex stays as it is, and the order is not carried out.".to_owned()
            }
            NoticeKind::HostTrouble => {
                "Until an operator has repaired it, connections cannot be renewed, and they expire one after the other."
                    .to_owned()
            }
            NoticeKind::Endpoint => {
                "An endpoint that is disabled gets no notices until an administrator repairs it and sends a test."
                    .to_owned()
            }
            NoticeKind::Recovered | NoticeKind::Test => "No action is needed.".to_owned(),
        }
    }

    fn state(&self, kind: NoticeKind) -> &'static str {
        match kind {
            NoticeKind::Expiring => "Expires soon",
            NoticeKind::Expired => "Expired",
            NoticeKind::Reauthorize => "Connect again",
            NoticeKind::MissingScope => "Scope missing",
            NoticeKind::Retrying => "Retrying",
            NoticeKind::ImportFailed => "Import or order failed",
            NoticeKind::HostTrouble => "Trouble of the host",
            NoticeKind::Recovered => "Works again",
            NoticeKind::Endpoint => "Endpoint of notices",
            NoticeKind::Test => "Test",
        }
    }

    fn grant(&self, grant: &str) -> String {
        match grant {
            "organization" => "Organization".to_owned(),
            "wholesale-customers" => "Wholesale customers".to_owned(),
            "wholesale-users" => "Wholesale users".to_owned(),
            other => other.to_owned(),
        }
    }

    fn why(&self, node: &str, address: &str) -> String {
        format!(
            "You get this message because the notice settings of {node} name {address}. An administrator of {node} can \
             change that there."
        )
    }

    fn digest_subject(&self, total: u64, node: &str) -> String {
        match total {
            1 => format!("{node}: 1 notice about a connection to Webex"),
            _ => format!("{node}: {total} notices about connections to Webex"),
        }
    }

    fn digest_lead(&self, total: u64, node: &str) -> String {
        match total {
            1 => format!("There is 1 notice about a connection to Webex at {node} or below."),
            _ => format!(
                "There are {total} notices about connections to Webex at {node} or below, the most urgent first."
            ),
        }
    }

    fn more(&self, more: u64) -> String {
        format!("and {more} more")
    }

    fn date(&self, time: &DateTime<FixedOffset>) -> String {
        let month = MONTHS.get(time.month0() as usize).unwrap_or(&"");
        format!("{} {month}", time.day())
    }

    fn time(&self, time: &DateTime<FixedOffset>, zone: &str) -> String {
        let day = DAYS
            .get(time.weekday().num_days_from_monday() as usize)
            .unwrap_or(&"");
        let (date, year) = (self.date(time), time.year());
        format!(
            "{day}, {date} {year}, {:02}:{:02} {zone}",
            time.hour(),
            time.minute()
        )
    }

    fn labels(&self) -> &'static Labels {
        &LABELS
    }
}
