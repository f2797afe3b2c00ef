//! `[step.expect]`: the expectations of a step.

use relation_toml::{DeValue, Item, Reader, Section, SourcePosition, Table, ValueError};

use super::{keys, values};
use crate::scenario::model::{
    Amount, Expectations, ExpectedChanges, ExpectedDocuments, ExpectedStorage, ExpectedWakeups,
    Lines, OccurrenceCount, Occurrences,
};
use crate::scenario::pattern::{Expected, Pattern, parse_text};

/// Reads `[step.expect]`.
pub fn read(mut table: Table<'_, '_>) -> Expectations {
    let reader = table.reader();
    let expect = Expectations {
        fired: table.take("fired").and_then(|item| {
            occurrences(reader, item, &keys::FIRED, |word| {
                Ok(vec![("wakeup", parse_text(word)?)])
            })
        }),
        http: table
            .take("http")
            .and_then(|item| occurrences(reader, item, &keys::REQUESTED, request_line)),
        storage: table.take("storage").and_then(|item| storage(reader, item)),
        documents: table.take("documents").map(|item| documents(reader, item)),
        wakeups: table.take("wakeups").and_then(|item| wakeups(reader, item)),
        alerts: table.take("alerts").and_then(|item| {
            amount(reader, item, &|reader, item| {
                read_entry(reader, item, &keys::ALERT, &|word| {
                    Ok(vec![("code", parse_text(word)?)])
                })
            })
        }),
        nowhere: nowhere(reader, table.take("nowhere")),
        ..call_expectations(&mut table)
    };
    table.close();
    expect
}

/// Reads `[step.concurrently.expect]`.
pub fn read_call_expectations(mut table: Table<'_, '_>) -> Expectations {
    let expect = call_expectations(&mut table);
    table.close();
    expect
}

/// Reads the expectations of a single call, which concurrent calls have too.
fn call_expectations(table: &mut Table<'_, '_>) -> Expectations {
    let reader = table.reader();
    table.expect_at_most_one(&["result", "exact-result"]);
    if table.has("error") && (table.has("result") || table.has("exact-result")) {
        table.report("a call has a result or an error, not both");
    }
    let result = table.take("result");
    let result = result.and_then(|item| Pattern::read(reader, item));
    let exact = table.take("exact-result");
    let exact = exact.and_then(|item| Pattern::read_closed(reader, item));
    Expectations {
        result: result.or(exact),
        error: table.take("error").and_then(|item| error(reader, item)),
        log: table.take("log").map(|item| lines(reader, item)),
        progress: table.take("progress").map(|item| lines(reader, item)),
        transaction: table
            .take("transaction")
            .and_then(|item| Pattern::read(reader, item)),
        ..Expectations::default()
    }
}

fn lines(reader: &Reader<'_>, item: Item<'_>) -> Lines {
    let position = reader.position(item.span.start);
    let items = reader.items(item, "a list of lines").into_iter();
    let lines = items
        .filter_map(|item| Pattern::read(reader, item))
        .collect();
    Lines { position, lines }
}

fn nowhere(
    reader: &Reader<'_>,
    item: Option<Item<'_>>,
) -> Vec<(SourcePosition, crate::scenario::template::Template)> {
    let items = item.map(|item| reader.items(item, "a list of texts"));
    let items = items.unwrap_or_default().into_iter();
    items
        .filter_map(|item| {
            let position = reader.position(item.span.start);
            Some((position, reader.parse_item(item, values::parse_template)?))
        })
        .collect()
}

/// A shorthand text, as entries of the table that it stands for.
type ShorthandEntries = Vec<(&'static str, Expected)>;

/// Reads a table with the keys of `section`, or a shorthand text.
fn read_entry(
    reader: &Reader<'_>,
    item: Item<'_>,
    section: &'static Section,
    shorthand: &dyn Fn(&str) -> Result<ShorthandEntries, ValueError>,
) -> Option<Pattern> {
    let position = reader.position(item.span.start);
    if let DeValue::String(text) = &item.value {
        return match shorthand(text) {
            Ok(entries) => Some(object(position, entries)),
            Err(error) => {
                reader.report(&item.span, &item.key, error);
                None
            }
        };
    }
    match reader.check_keys(&item, section) {
        true => Pattern::read(reader, item),
        false => None,
    }
}

fn object(position: SourcePosition, entries: ShorthandEntries) -> Pattern {
    let entries = entries
        .into_iter()
        .map(|(name, expected)| (name.to_owned(), Pattern { position, expected }));
    Pattern {
        position,
        expected: Expected::Object {
            entries: entries.collect(),
            closed: false,
        },
    }
}

fn error(reader: &Reader<'_>, item: Item<'_>) -> Option<Pattern> {
    read_entry(reader, item, &keys::ERROR, &|word| {
        let cases = [
            "invalid",
            "not-found",
            "conflict",
            "reauthorize",
            "rate-limited",
            "unavailable",
            "limit-exceeded",
            "internal",
            "trap",
            "host",
        ];
        let words = cases.map(|case| (case, case));
        let case = values::parse_word(DeValue::String(word.into()), "case of errors", &words)?;
        Ok(vec![("case", parse_text(case)?)])
    })
}

/// Reads `POST /v1/access_token`, optionally with the end of the request: `POST /v1/access_token -> 503`.
fn request_line(line: &str) -> Result<ShorthandEntries, ValueError> {
    let (request, end) = match line.split_once("->") {
        Some((request, end)) => (request, Some(end.trim())),
        None => (line, None),
    };
    let Some((method, path)) = request.trim().split_once(' ') else {
        return Err(ValueError::new(format!("{line:?} is not a request"))
            .hint("such as \"POST /v1/access_token\" or \"GET /v1/roles -> 503\""));
    };
    let mut entries = vec![
        ("method", parse_text(method)?),
        ("path", parse_text(path.trim())?),
    ];
    match end.map(|end| (end, end.parse::<u16>())) {
        Some((_, Ok(status))) => entries.push(("status", Expected::Number(status.into()))),
        Some((fault, Err(_))) => entries.push(("fault", parse_text(fault)?)),
        None => {}
    }
    Ok(entries)
}

fn occurrences(
    reader: &Reader<'_>,
    item: Item<'_>,
    section: &'static Section,
    shorthand: impl Fn(&str) -> Result<ShorthandEntries, ValueError>,
) -> Option<Occurrences> {
    let position = reader.position(item.span.start);
    match &item.value {
        // An empty table expects no entries.
        DeValue::Table(entries) if entries.is_empty() => {
            let (items, open) = (Vec::new(), false);
            let expected = Expected::List { items, open };
            Some(Occurrences::Listed(Pattern { position, expected }))
        }
        DeValue::Table(_) => {
            let counts = reader.entries_of(item).into_iter();
            let counts = counts.filter_map(|(written, item)| {
                let pattern = match shorthand(&written) {
                    Ok(entries) => Some(object(reader.position(item.span.start), entries)),
                    Err(error) => {
                        reader.report(&item.span, &item.key, error);
                        None
                    }
                };
                let times = number(reader, item);
                Some(OccurrenceCount {
                    pattern: pattern?,
                    times: times?,
                    written,
                })
            });
            Some(Occurrences::Counted(counts.collect()))
        }
        DeValue::Array(_) => {
            let mut items = reader.items_of(item);
            let open = ends_open(&mut items);
            let items = items
                .into_iter()
                .filter_map(|item| read_entry(reader, item, section, &shorthand))
                .collect();
            let expected = Expected::List { items, open };
            Some(Occurrences::Listed(Pattern { position, expected }))
        }
        _ => {
            let expected = format!("a list of {}, or a table of how often each", section.name);
            reader.report_kind(&item, &expected);
            None
        }
    }
}

/// Removes a final `"..."`, and returns whether there was one.
fn ends_open(items: &mut Vec<Item<'_>>) -> bool {
    let open = items
        .last()
        .is_some_and(|last| last.value.as_str() == Some("..."));
    if open {
        items.pop();
    }
    open
}

/// Reads a number, or a placeholder for one.
fn number(reader: &Reader<'_>, item: Item<'_>) -> Option<Pattern> {
    let (span, key) = (item.span.clone(), item.key.clone());
    let pattern = Pattern::read(reader, item)?;
    if matches!(
        pattern.expected,
        Expected::Number(_) | Expected::Between(..)
    ) {
        return Some(pattern);
    }
    let error = ValueError::new("expected how often, as a number");
    reader.report(&span, &key, error.hint("such as 3 or \"<2 to 4>\""));
    None
}

fn amount(
    reader: &Reader<'_>,
    item: Item<'_>,
    parse_item: &dyn Fn(&Reader<'_>, Item<'_>) -> Option<Pattern>,
) -> Option<Amount> {
    let position = reader.position(item.span.start);
    if !matches!(item.value, DeValue::Array(_)) {
        return number(reader, item).map(Amount::Count);
    }
    let mut items = reader.items_of(item);
    let open = ends_open(&mut items);
    let items = items
        .into_iter()
        .filter_map(|item| parse_item(reader, item));
    Some(Amount::Listed {
        position,
        items: items.collect(),
        open,
    })
}

fn plain(reader: &Reader<'_>, item: Item<'_>) -> Option<Pattern> {
    Pattern::read(reader, item)
}

/// Reads numbers of documents, or documents, by model.
fn documents(reader: &Reader<'_>, item: Item<'_>) -> ExpectedDocuments {
    let position = reader.position(item.span.start);
    let entries = reader
        .entries(item, "models and their documents")
        .into_iter();
    let by_model = entries
        .filter_map(|(model, item)| Some((model, amount(reader, item, &plain)?)))
        .collect();
    ExpectedDocuments { position, by_model }
}

fn is_empty(item: &Item<'_>) -> bool {
    matches!(&item.value, DeValue::Table(entries) if entries.is_empty())
}

fn storage(reader: &Reader<'_>, item: Item<'_>) -> Option<ExpectedStorage> {
    let position = reader.position(item.span.start);
    if let DeValue::String(word) = &item.value {
        let word = values::parse_word(
            DeValue::String(word.clone()),
            "word for the store",
            &[("unchanged", ())],
        );
        return match word {
            Ok(()) => Some(ExpectedStorage::Unchanged(position)),
            Err(error) => {
                reader.report(&item.span, &item.key, error);
                None
            }
        };
    }
    if is_empty(&item) {
        return Some(ExpectedStorage::Unchanged(position));
    }
    let mut table = reader.table(item, &keys::STORAGE)?;
    let mut models = |key| table.take(key).map(|item| documents(reader, item));
    let (added, changed, removed) = (models("added"), models("changed"), models("removed"));
    let secrets = table.take("secrets");
    table.close();
    // An empty table expects no changes of secrets.
    let none = secrets
        .as_ref()
        .filter(|item| is_empty(item))
        .map(|item| Amount::Listed {
            position: reader.position(item.span.start),
            items: Vec::new(),
            open: false,
        });
    let mut secrets = secrets.and_then(|item| reader.table(item, &keys::STORED_SECRETS));
    let mut names = |key| {
        let item = secrets.as_mut().and_then(|table| table.take(key));
        item.and_then(|item| amount(reader, item, &plain))
            .or_else(|| none.clone())
    };
    let (set, other, unset) = (names("set"), names("changed"), names("unset"));
    if let Some(table) = secrets {
        table.close();
    }
    Some(ExpectedStorage::Changed(Box::new(ExpectedChanges {
        added,
        changed,
        removed,
        secrets_set: set,
        secrets_changed: other,
        secrets_unset: unset,
    })))
}

fn wakeups(reader: &Reader<'_>, item: Item<'_>) -> Option<ExpectedWakeups> {
    let position = reader.position(item.span.start);
    if item.value.as_str() == Some("none") || is_empty(&item) {
        return Some(ExpectedWakeups::None(position));
    }
    let expected = "\"none\", or ids and when they are due";
    let entries = reader.entries(item, expected).into_iter();
    let entries = entries.filter_map(|(id, item)| Some((id, Pattern::read(reader, item)?)));
    Some(ExpectedWakeups::Due(entries.collect()))
}
