//! The texts in German.

use chrono::{DateTime, Datelike, FixedOffset, Timelike};

use crate::NoticeKind;

use super::{Due, Facts, Labels, Texts};

pub(super) struct German;

const MONTHS: [&str; 12] = [
    "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.", "Nov.", "Dez.",
];
const DAYS: [&str; 7] = ["Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa.", "So."];

static LABELS: Labels = Labels {
    customer: "Kunde",
    node: "Knoten",
    grant: "Zustimmung",
    state: "Status",
    expires: "Läuft ab",
    expired: "Abgelaufen",
    occurred: "Festgestellt",
    count: "Vorkommen",
    details: "Einzelheiten",
    time: "Zeit",
    button: "Seite der Organisation öffnen",
    list_button: "Liste der Warnungen öffnen",
    automatic: "Diese Nachricht wurde automatisch gesendet.",
    login: "Der Link führt zu einer Seite, an der Sie sich anmelden.",
};

/// Returns `in 2 Tagen ab (9. Dez.)`.
fn when(facts: &Facts) -> String {
    let when = match facts.due {
        None => return "bald ab".to_owned(),
        Some(Due::Past) => "jetzt ab".to_owned(),
        Some(Due::Today) => "heute ab".to_owned(),
        Some(Due::Tomorrow) => "morgen ab".to_owned(),
        Some(Due::Days(1)) => "in 1 Tag ab".to_owned(),
        Some(Due::Days(days)) => format!("in {days} Tagen ab"),
    };
    match &facts.date {
        Some(date) => format!("{when} ({date})"),
        None => when,
    }
}

/// Returns `Verbindung zu Webex`, with the grant if it is not the usual one.
fn connection(facts: &Facts) -> String {
    match facts.grant.as_str() {
        "" | "organization" => "Verbindung zu Webex".to_owned(),
        grant => format!("Verbindung zu Webex ({})", German.grant(grant)),
    }
}

impl Texts for German {
    fn subject(&self, kind: NoticeKind, facts: &Facts) -> String {
        let connection = connection(facts);
        let text = match kind {
            NoticeKind::Expiring => format!("{connection} läuft {}", when(facts)),
            NoticeKind::Expired => match &facts.date {
                Some(date) => format!("{connection} ist am {date} abgelaufen"),
                None => format!("{connection} ist abgelaufen"),
            },
            NoticeKind::Reauthorize => format!("{connection} wurde abgelehnt, neu verbinden"),
            NoticeKind::MissingScope => {
                format!("{connection} fehlt eine Berechtigung, neu verbinden")
            }
            NoticeKind::Retrying => format!("{connection} lässt sich zurzeit nicht erneuern"),
            NoticeKind::ImportFailed => "Import oder Auftrag fehlgeschlagen".to_owned(),
            NoticeKind::HostTrouble => {
                "Der Host braucht Hilfe mit seinen Geheimnissen oder seinem Speicher".to_owned()
            }
            NoticeKind::Recovered if facts.customer.is_empty() => {
                "der Host funktioniert wieder".to_owned()
            }
            NoticeKind::Recovered => format!("{connection} funktioniert wieder"),
            NoticeKind::Endpoint => {
                "der Zustand eines Endpunkts für Benachrichtigungen hat sich geändert".to_owned()
            }
            NoticeKind::Test => "Test der Benachrichtigungen".to_owned(),
        };
        match facts.customer.as_str() {
            "" => text,
            customer => format!("{customer}: {text}"),
        }
    }

    fn lead(&self, kind: NoticeKind, facts: &Facts) -> String {
        let (connection, customer) = (connection(facts), &facts.customer);
        match kind {
            NoticeKind::Expiring => match &facts.time {
                Some(time) => format!("Die {connection} von {customer} läuft ab: {time}."),
                None => format!("Die {connection} von {customer} läuft bald ab."),
            },
            NoticeKind::Expired => match &facts.time {
                Some(time) => format!("Die {connection} von {customer} ist abgelaufen: {time}."),
                None => format!("Die {connection} von {customer} ist abgelaufen."),
            },
            NoticeKind::Reauthorize => format!(
                "Webex hat es abgelehnt, die {connection} von {customer} zu erneuern. Häufige Gründe: Die Person, die \
                 verbunden hat, hat ihr Passwort geändert, wurde deaktiviert oder ist kein voller Administrator mehr."
            ),
            NoticeKind::MissingScope => format!(
                "Der {connection} von {customer} fehlt eine Berechtigung (Scope), die gebraucht wird."
            ),
            NoticeKind::Retrying => format!(
                "Die Token der {connection} von {customer} ließen sich seit einiger Zeit nicht erneuern. Der Host \
                 versucht es weiter."
            ),
            NoticeKind::ImportFailed => format!(
                "Ein Import oder ein Auftrag für {customer} ist fehlgeschlagen. Die Verbindung selbst funktioniert."
            ),
            NoticeKind::HostTrouble => {
                "Der Host kann seine Geheimnisse nicht öffnen oder seinen Speicher nicht schreiben.".to_owned()
            }
            NoticeKind::Recovered if customer.is_empty() => "Der Host funktioniert wieder, nach einer früheren Benachrichtigung.".to_owned(),
            NoticeKind::Recovered => format!(
                "Die {connection} von {customer} funktioniert wieder, nach einer früheren Benachrichtigung."
            ),
            NoticeKind::Endpoint => {
                "Ein Webhook oder ein SNMP-Empfänger für Benachrichtigungen funktioniert nicht, ist abgeschaltet oder \
                 funktioniert wieder: siehe Einzelheiten."
                    .to_owned()
            }
            NoticeKind::Test => {
                "Ein Administrator hat diesen Test angefordert: Benachrichtigungen per E-Mail erreichen diese Adresse."
                    .to_owned()
            }
        }
    }

    fn consequence(&self, kind: NoticeKind, facts: &Facts) -> String {
        match kind {
            NoticeKind::Expiring => {
                "Wenn kein Administrator die Organisation vorher neu verbindet, lassen sich ihre Token nicht mehr \
                 erneuern: Importe und Änderungen in Webex enden."
                    .to_owned()
            }
            NoticeKind::Expired | NoticeKind::Reauthorize => {
                "Importe und Änderungen in Webex ruhen, bis ein Administrator der Organisation sie neu verbindet."
                    .to_owned()
            }
            NoticeKind::MissingScope => {
                "Funktionen, die die Berechtigung brauchen, arbeiten nicht, bis ein Administrator der Organisation sie \
                 neu verbindet. Alle anderen laufen weiter."
                    .to_owned()
            }
            NoticeKind::Retrying => match &facts.time {
                Some(time) => format!(
                    "Es ist nichts zu tun, wenn der Grund bekannt ist und vergeht. Hält er an, läuft die Verbindung ab \
                     ({time}), und ein Administrator der Organisation muss sie neu verbinden."
                ),
                None => "Es ist nichts zu tun, wenn der Grund bekannt ist und vergeht. Hält er an, läuft die Verbindung \
                         ab."
                    .to_owned(),
            },
            NoticeKind::ImportFailed => {
                "Bis zum nächsten Erfolg bleiben die Daten aus Webex, wie sie sind, und der Auftrag ist nicht \
                 ausgeführt."
                    .to_owned()
            }
            NoticeKind::HostTrouble => {
                "Bis ein Betreiber das behebt, lassen sich Verbindungen nicht erneuern und laufen nacheinander ab."
                    .to_owned()
            }
            NoticeKind::Endpoint => {
                "Ein abgeschalteter Endpunkt bekommt keine Benachrichtigungen, bis ein Administrator ihn repariert und \
                 einen Test sendet."
                    .to_owned()
            }
            NoticeKind::Recovered | NoticeKind::Test => "Es ist nichts zu tun.".to_owned(),
        }
    }

    fn state(&self, kind: NoticeKind) -> &'static str {
        match kind {
            NoticeKind::Expiring => "Läuft bald ab",
            NoticeKind::Expired => "Abgelaufen",
            NoticeKind::Reauthorize => "Neu verbinden",
            NoticeKind::MissingScope => "Berechtigung fehlt",
            NoticeKind::Retrying => "Neuer Versuch",
            NoticeKind::ImportFailed => "Import oder Auftrag fehlgeschlagen",
            NoticeKind::HostTrouble => "Störung des Hosts",
            NoticeKind::Recovered => "Funktioniert wieder",
            NoticeKind::Endpoint => "Endpunkt für Benachrichtigungen",
            NoticeKind::Test => "Test",
        }
    }

    fn grant(&self, grant: &str) -> String {
        match grant {
            "organization" => "Organisation".to_owned(),
            "wholesale-customers" => "Wholesale-Kunden".to_owned(),
            "wholesale-users" => "Wholesale-Benutzer".to_owned(),
            other => other.to_owned(),
        }
    }

    fn why(&self, node: &str, address: &str) -> String {
        format!(
            "Sie erhalten diese Nachricht, weil die Einstellungen der Benachrichtigungen von {node} die Adresse \
             {address} nennen. Ein Administrator von {node} kann das dort ändern."
        )
    }

    fn digest_subject(&self, total: u64, node: &str) -> String {
        match total {
            1 => format!("{node}: 1 Benachrichtigung über eine Verbindung zu Webex"),
            _ => format!("{node}: {total} Benachrichtigungen über Verbindungen zu Webex"),
        }
    }

    fn digest_lead(&self, total: u64, node: &str) -> String {
        match total {
            1 => format!(
                "Es gibt 1 Benachrichtigung über eine Verbindung zu Webex bei {node} oder darunter."
            ),
            _ => format!(
                "Es gibt {total} Benachrichtigungen über Verbindungen zu Webex bei {node} oder darunter, die \
                 dringendsten zuerst."
            ),
        }
    }

    fn more(&self, more: u64) -> String {
        format!("und {more} weitere")
    }

    fn date(&self, time: &DateTime<FixedOffset>) -> String {
        let month = MONTHS.get(time.month0() as usize).unwrap_or(&"");
        format!("{}. {month}", time.day())
    }

    fn time(&self, time: &DateTime<FixedOffset>, zone: &str) -> String {
        let day = DAYS
            .get(time.weekday().num_days_from_monday() as usize)
            .unwrap_or(&"");
        let (date, year) = (self.date(time), time.year());
        format!(
            "{day}, {date} {year}, {:02}:{:02} Uhr {zone}",
            time.hour(),
            time.minute()
        )
    }

    fn labels(&self) -> &'static Labels {
        &LABELS
    }
}
