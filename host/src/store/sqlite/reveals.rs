//! Which secrets a transaction has opened.

use rusqlite::{Connection, params};

use super::fault::{Done, corrupt, millis, moment, reference};
use crate::transactions::{Reveal, RevealOutcome};

const ADD: &str = "INSERT INTO transaction_reveals
    (transaction_id, at, owner_model, owner_pkid, name, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const OF: &str = "SELECT at, owner_model, owner_pkid, name, outcome FROM transaction_reveals
    WHERE transaction_id = ?1 ORDER BY id";
const FORGET: &str = "DELETE FROM transaction_reveals WHERE transaction_id = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OF, FORGET];

pub(super) fn add(connection: &Connection, transaction: &str, reveals: &[Reveal]) -> Done<()> {
    for reveal in reveals {
        let owner = reveal.owner.as_ref();
        connection.prepare_cached(ADD)?.execute(params![
            transaction,
            millis(reveal.at),
            owner.map(|owner| &owner.model),
            owner.map(|owner| owner.pkid.as_str()),
            reveal.name,
            reveal.outcome.as_str()
        ])?;
    }
    Ok(())
}

/// In the order in which they were opened.
pub(super) fn of(connection: &Connection, transaction: &str) -> Done<Vec<Reveal>> {
    let mut statement = connection.prepare_cached(OF)?;
    let mut rows = statement.query([transaction])?;
    let mut reveals = Vec::new();
    while let Some(row) = rows.next()? {
        let owner = match (row.get(1)?, row.get(2)?) {
            (Some(model), Some(pkid)) => Some(reference(model, pkid)?),
            _ => None,
        };
        let outcome: String = row.get(4)?;
        reveals.push(Reveal {
            at: moment(row.get(0)?),
            owner,
            name: row.get(3)?,
            outcome: outcome_of(&outcome)?,
        });
    }
    Ok(reveals)
}

pub(super) fn forget(connection: &Connection, transaction: &str) -> Done<()> {
    connection.prepare_cached(FORGET)?.execute([transaction])?;
    Ok(())
}

fn outcome_of(text: &str) -> Done<RevealOutcome> {
    use RevealOutcome::{Absent, Failed, Opened};
    [Opened, Absent, Failed]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| corrupt(format!("the opening of a secret has the outcome {text}")))
}
