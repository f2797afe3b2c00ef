//! Fills a store with a million customers in a few minutes: copies one by statements over all rows.

use std::time::Instant;

use anyhow::Result;
use relation_test_postgres::Database;

use super::server::Server;
use crate::suites::note;

/// Copies the customer with the index 0, with all that belongs to its record, to the indexes from 1 to `{last}`. The
/// names, nodes and numbers are those of [`crate::customers`]. Rows are inserted roughly in the order of the primary
/// keys, so that few pages of the indexes are in use at a time. The tokens are those of the first customer, which cannot be opened in another row.
const COPY: [(&str, &str); 5] = [
    (
        "documents",
        "INSERT INTO relation.documents (model, pkid, hierarchy, version, body, keys)
        SELECT t.model, n.pkid, n.node, t.version,
            replace(replace(replace(t.body, t.pkid, n.pkid), 'Customer 0000000', n.name), t.number, n.number),
            replace(replace(replace(t.keys, t.pkid, n.pkid), 'Customer 0000000', n.name), t.number, n.number)
        FROM (SELECT *, '00000000-0000-4000-8000-000000000000' AS number FROM relation.documents) t,
            {customers} n",
    ),
    (
        "document_keys",
        "INSERT INTO relation.document_keys (model, name, digest, pkid)
        SELECT t.model, t.name,
            relation.digest(replace(replace(t.value, 'Customer 0000000', n.name), t.number, n.number)), n.pkid
        FROM (SELECT d.model, k.pair ->> 0 AS name, k.pair ->> 1 AS value,
                '00000000-0000-4000-8000-000000000000' AS number
            FROM relation.documents d, json_array_elements(d.keys::json) AS k (pair)
            WHERE d.pkid = repeat('0', 24)) t, {customers} n
        ORDER BY 1, 2, 3, 4",
    ),
    (
        "sorted_keys",
        "INSERT INTO relation.sorted_keys (model, name, node, long, prefix, pkid, rest)
        SELECT t.model, t.name,
            replace(replace(t.node, 'Reseller0', 'Reseller' || n.i / 1000), 'Customer0', 'Customer' || n.i),
            t.long, convert_to(replace(t.value, 'Customer 0000000', n.name), 'UTF8'), n.pkid, t.rest
        FROM (SELECT *, convert_from(prefix, 'UTF8') AS value FROM relation.sorted_keys) t
        CROSS JOIN LATERAL {customers} n",
    ),
    (
        "secrets",
        "INSERT INTO relation.secrets (model, pkid, name, sealed)
        SELECT t.model, lpad(to_hex(i), 24, '0'), t.name, t.sealed
        FROM generate_series(1, {last}) i, relation.secrets t",
    ),
    (
        "wakeups",
        "INSERT INTO relation.wakeups (model, pkid, id, due, deadline, payload, revision, attempts, scheduled)
        SELECT t.model, lpad(to_hex(i), 24, '0'), t.id, t.due + i,
            CASE t.deadline WHEN 9223372036854775807 THEN t.deadline ELSE t.deadline + i END,
            t.payload, nextval('relation.numbers'), t.attempts, t.scheduled
        FROM generate_series(1, {last}) i, relation.wakeups t",
    ),
];

/// The customers from 1 to `{last}`.
const CUSTOMERS: &str = "(
    SELECT i, lpad(to_hex(i), 24, '0') AS pkid, 'sys.Provider.Reseller' || i / 1000 || '.Customer' || i AS node,
        'Customer ' || lpad(i::text, greatest(7, length(i::text)), '0') AS name,
        '00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0') AS number
    FROM generate_series(1, {last}) i)";

/// Copies the only customer of a store until it has `customers`.
pub fn copy_customer(server: &Server, database: &Database, customers: u64) -> Result<()> {
    let begun = Instant::now();
    for (table, statement) in COPY {
        let last = customers.saturating_sub(1).to_string();
        let settings = "SET work_mem = '512MB'; SET jit = off;";
        let statement = statement.replace("{customers}", CUSTOMERS);
        let statement = statement.replace("{last}", &last);
        server.execute(database, &format!("{settings} {statement}"))?;
        let took = begun.elapsed().as_secs_f64();
        note(&format!(
            "postgres: {table} of {customers} customers after {took:.1} s"
        ));
    }
    server.execute(database, "VACUUM (ANALYZE)")?;
    server.execute(database, "CHECKPOINT")?;
    let took = begun.elapsed().as_secs_f64();
    note(&format!("postgres: {customers} customers in {took:.1} s"));
    Ok(())
}
