//! The secrets that a transaction has opened.

use rusqlite::{Connection, params};

use super::error::{Result, corrupt, from_millis, parse_reference, to_millis};
use relation_types::transactions::{SecretAccess, SecretAccessOutcome};

const ADD: &str = "INSERT INTO transaction_reveals
    (transaction_id, at, owner_model, owner_pkid, name, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const LIST: &str = "SELECT at, owner_model, owner_pkid, name, outcome FROM transaction_reveals
    WHERE transaction_id = ?1 ORDER BY id";
const DELETE: &str = "DELETE FROM transaction_reveals WHERE transaction_id = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LIST, DELETE];

pub(super) fn add(
    connection: &Connection,
    transaction: &str,
    accesses: &[SecretAccess],
) -> Result<()> {
    for access in accesses {
        let owner = access.owner.as_ref();
        connection.prepare_cached(ADD)?.execute(params![
            transaction,
            to_millis(access.at),
            owner.map(|owner| &owner.model),
            owner.map(|owner| owner.pkid.as_str()),
            access.name,
            access.outcome.as_str()
        ])?;
    }
    Ok(())
}

/// Returns the accesses in their order.
pub(super) fn list(connection: &Connection, transaction: &str) -> Result<Vec<SecretAccess>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let mut rows = statement.query([transaction])?;
    let mut accesses = Vec::new();
    while let Some(row) = rows.next()? {
        let owner = match (row.get(1)?, row.get(2)?) {
            (Some(model), Some(pkid)) => Some(parse_reference(model, pkid)?),
            _ => None,
        };
        let outcome: String = row.get(4)?;
        accesses.push(SecretAccess {
            at: from_millis(row.get(0)?),
            owner,
            name: row.get(3)?,
            outcome: parse_outcome(&outcome)?,
        });
    }
    Ok(accesses)
}

pub(super) fn delete(connection: &Connection, transaction: &str) -> Result<()> {
    connection.prepare_cached(DELETE)?.execute([transaction])?;
    Ok(())
}

fn parse_outcome(text: &str) -> Result<SecretAccessOutcome> {
    use SecretAccessOutcome::{Absent, Failed, Opened};
    [Opened, Absent, Failed]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| corrupt(format!("the opening of a secret has the outcome {text}")))
}
