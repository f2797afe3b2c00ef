//! Searches the demo's database file directly, without the store.

use std::path::Path;

use relation_app::{AppError, ErrorKind};
use relation_host::store::parent_directory;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Returns the tables in which a column contains one of `words`, and the number of such rows.
pub fn count_rows_containing(
    database: &Path,
    words: &[&str],
) -> Result<Vec<(String, usize)>, AppError> {
    scan(database, words).map_err(|error| {
        AppError::new(
            ErrorKind::Failed,
            format!("cannot look into the demo's database: {error}"),
        )
    })
}

fn scan(database: &Path, words: &[&str]) -> rusqlite::Result<Vec<(String, usize)>> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for table in tables {
        let mut rows = 0;
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = statement.column_count();
        let mut cursor = statement.query([])?;
        while let Some(row) = cursor.next()? {
            for column in 0..columns {
                if contains_any(row.get_ref(column)?, words) {
                    rows += 1;
                    break;
                }
            }
        }
        if rows > 0 {
            found.push((table, rows));
        }
    }
    Ok(found)
}

fn contains_any(value: ValueRef<'_>, words: &[&str]) -> bool {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            words.iter().any(|word| contains(bytes, word.as_bytes()))
        }
        _ => false,
    }
}

/// Returns the files in the directory of `database` that contain one of `words` in clear. Database pages that
/// are no longer in use are searched too.
pub fn find_files_containing(database: &Path, words: &[&str]) -> Result<Vec<String>, AppError> {
    let read_error = |error: std::io::Error| {
        AppError::new(
            ErrorKind::Failed,
            format!("cannot read the demo's database: {error}"),
        )
    };
    let directory = parent_directory(database);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        let bytes = std::fs::read(&path).map_err(read_error)?;
        if words.iter().any(|word| contains(&bytes, word.as_bytes())) {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && bytes.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_any_table_and_column() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE a (x TEXT, y BLOB); CREATE TABLE b (z TEXT);
                 INSERT INTO a VALUES ('Acme Ltd', NULL), ('x', CAST('by Acme' AS BLOB)), ('', x'00');
                 INSERT INTO b VALUES ('Other');",
            )
            .unwrap();
        assert_eq!(
            count_rows_containing(&path, &["Acme"]).unwrap(),
            [("a".to_owned(), 2)]
        );
        assert!(count_rows_containing(&path, &["Acne"]).unwrap().is_empty());
        assert_eq!(find_files_containing(&path, &["Acme"]).unwrap().len(), 1);
        assert!(find_files_containing(&path, &["Acne"]).unwrap().is_empty());
    }
}
