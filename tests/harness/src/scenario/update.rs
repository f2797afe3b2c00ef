//! Accepts what was seen: rewrites the expectations of a step that failed, and nothing else of the file.
//!
//! Comments and layout stay. Generated values are written as the placeholders that a person would take;
//! what no expectation can accept (a step that could not be done, a text that must occur nowhere) is left
//! to a person.

use relation_host::types::{Pkid, Timestamp};
use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

use super::format::values::parse_moment;
use super::mismatch::{Mismatch, Segment};
use super::outcome::StepFailure;
use super::spans::span;
use super::template::plain;

/// A moment farther from the clock than this is more likely a number that is none.
const FAR: i128 = 20 * 366 * 86_400_000;

/// The mark of UTF-8 at the beginning of a text, which is not part of the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text with everything accepted in which `failure` differs: with its byte order mark and its line ends.
/// None: there is nothing to accept.
pub fn accept(text: &str, failure: &StepFailure) -> Option<String> {
    let unmarked = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mark = text.strip_suffix(unmarked).unwrap_or_default();
    let accepted = accept_lines(&unmarked.replace("\r\n", "\n"), failure)?;
    Some(format!("{mark}{}", with_line_ends_of(unmarked, &accepted)))
}

/// `text`, whose lines end with `\n`, with the line ends of `original`: those of the lines that it begins and
/// ends with like `original`, and else those that most lines have.
fn with_line_ends_of(original: &str, text: &str) -> String {
    let ends_with_cr = |line: &&str| line.ends_with("\r\n");
    let before: Vec<&str> = original.split_inclusive('\n').collect();
    let with_cr = before.iter().filter(|line| ends_with_cr(line)).count();
    let mostly_cr = with_cr * 2 > before.len();
    let now: Vec<&str> = text.split_inclusive('\n').collect();
    let is_same = |(before, now): &(&&str, &&str)| {
        before.trim_end_matches(['\r', '\n']) == now.trim_end_matches('\n')
    };
    let first = before.iter().zip(&now).take_while(is_same).count();
    let rest = before.len().min(now.len()) - first;
    let ends = before.iter().rev().zip(now.iter().rev());
    let last = ends.take(rest).take_while(is_same).count();
    let mut written = String::with_capacity(original.len().max(text.len()));
    for (index, line) in now.iter().enumerate() {
        let same = match index {
            index if index < first => before.get(index),
            index if index >= now.len() - last => before.get(index + before.len() - now.len()),
            _ => None,
        };
        let Some(content) = line.strip_suffix('\n') else {
            written.push_str(line);
            continue;
        };
        written.push_str(content);
        written.push_str(match same.map_or(mostly_cr, ends_with_cr) {
            true => "\r\n",
            false => "\n",
        });
    }
    written
}

fn accept_lines(text: &str, failure: &StepFailure) -> Option<String> {
    if failure.problem.is_some() {
        return None;
    }
    let mut document: DocumentMut = text.parse().ok()?;
    let steps = document.get_mut("step")?;
    let index = failure.step.checked_sub(1)?;
    let step: &mut dyn TableLike = match steps {
        Item::ArrayOfTables(steps) => steps.get_mut(index)?,
        Item::Value(Value::Array(steps)) => steps.get_mut(index)?.as_inline_table_mut()?,
        _ => return None,
    };
    let accepting = Accepting { failure };
    let mut changed = false;
    // Values first, then what is to be added; what is to be taken away from behind, so that places hold.
    let (gone, there): (Vec<&Mismatch>, Vec<&Mismatch>) = failure
        .mismatches
        .iter()
        .partition(|mismatch| mismatch.found.is_none());
    for mismatch in there {
        changed |= expectations(step, &mismatch.segments)
            .and_then(|(expect, path)| accepting.take(expect, path, mismatch))
            .is_some();
    }
    for mismatch in gone.iter().rev() {
        changed |= expectations(step, &mismatch.segments)
            .and_then(|(expect, path)| drop_at(expect, path))
            .is_some();
    }
    changed.then(|| document.to_string())
}

/// The expectations to which a way leads, made if they are not there, and the rest of the way: those of the
/// step, or of one of its calls at once.
fn expectations<'d, 'p>(
    step: &'d mut dyn TableLike,
    path: &'p [Segment],
) -> Option<(&'d mut Item, &'p [Segment])> {
    let (owner, path): (&mut dyn TableLike, _) = match path {
        [Segment::Key(key), Segment::Index(index), path @ ..] if key == "at-once" => {
            let call: &mut dyn TableLike = match step.get_mut(key)? {
                Item::ArrayOfTables(calls) => calls.get_mut(*index)?,
                Item::Value(Value::Array(calls)) => calls.get_mut(*index)?.as_inline_table_mut()?,
                _ => return None,
            };
            (call, path)
        }
        path => (step, path),
    };
    if !owner.contains_key("expect") {
        let mut expect = toml_edit::Table::new();
        expect.set_implicit(true);
        owner.insert("expect", Item::Table(expect));
    }
    Some((owner.get_mut("expect")?, path))
}

struct Accepting<'f> {
    failure: &'f StepFailure,
}

impl Accepting<'_> {
    /// Writes what was found where something else, or nothing, is expected.
    fn take(&self, expect: &mut Item, path: &[Segment], mismatch: &Mismatch) -> Option<()> {
        let found = mismatch.found.as_ref()?;
        let (root, rest) = path.split_first()?;
        let Segment::Key(root) = root else {
            return None;
        };
        let table = expect.as_table_like_mut()?;
        match root.as_str() {
            "nowhere" | "log" | "progress" => None,
            "error" if !table.contains_key("error") => {
                table.remove("result");
                table.remove("exact-result");
                let case = found.get("case").map_or(String::new(), plain);
                table.insert("error", Item::Value(case.into()));
                Some(())
            }
            "result" if !table.contains_key("result") => {
                self.write(table.get_mut("exact-result")?, root, rest, mismatch)
            }
            "storage" if rest.is_empty() => {
                let changes = found.as_object()?;
                let mut storage = InlineTable::new();
                for (name, models) in changes {
                    let counts = models.as_object().filter(|models| !models.is_empty());
                    let Some(models) = counts else { continue };
                    let mut table = InlineTable::new();
                    for (model, documents) in models {
                        let count = documents.as_array().map_or(0, Vec::len);
                        table.insert(model, i64::try_from(count).unwrap_or(i64::MAX).into());
                    }
                    storage.insert(name, table.into());
                }
                replace(table.get_mut("storage")?, storage.into());
                Some(())
            }
            "fired" if !table.contains_key("fired") => {
                let ids = self.failure.seen.fired.iter();
                let ids: Array = ids.map(|fired| self.in_short("fired", fired)).collect();
                table.insert("fired", Item::Value(ids.into()));
                Some(())
            }
            name => self.write(table.get_mut(name)?, root, rest, mismatch),
        }
    }

    fn write(
        &self,
        item: &mut Item,
        root: &str,
        path: &[Segment],
        mismatch: &Mismatch,
    ) -> Option<()> {
        let found = mismatch.found.as_ref()?;
        let Some((first, rest)) = path.split_first() else {
            match item {
                // One more than the list has.
                Item::Value(Value::Array(list)) if mismatch.expected.is_none() => {
                    list.push(self.in_short(root, found));
                }
                item => replace(item, self.generalised(found)),
            }
            return Some(());
        };
        match (item, first) {
            (Item::Value(value), _) => self.write_value(value, root, path, mismatch),
            (Item::ArrayOfTables(tables), Segment::Index(index)) => {
                let mut table = Item::Table(tables.get(*index)?.clone());
                self.write(&mut table, root, rest, mismatch)?;
                *tables.get_mut(*index)? = table.into_table().ok()?;
                Some(())
            }
            (Item::Table(table), Segment::Key(key)) => match table.get_mut(key) {
                Some(item) => self.write(item, root, rest, mismatch),
                None => {
                    let value = self.generalised(found);
                    table.insert(key, Item::Value(value));
                    Some(())
                }
            },
            _ => None,
        }
    }

    fn write_value(
        &self,
        value: &mut Value,
        root: &str,
        path: &[Segment],
        mismatch: &Mismatch,
    ) -> Option<()> {
        let found = mismatch.found.as_ref()?;
        let Some((first, rest)) = path.split_first() else {
            if let (Value::Array(list), true) = (&mut *value, mismatch.expected.is_none()) {
                list.push(self.in_short(root, found));
            } else {
                replace_value(value, self.generalised(found));
            }
            return Some(());
        };
        match (value, first) {
            (Value::Array(list), Segment::Index(index)) => match list.get_mut(*index) {
                None => {
                    list.push(self.in_short(root, found));
                    Some(())
                }
                Some(item) if item.is_str() && !rest.is_empty() => {
                    let short = match root {
                        "http" => self.in_short(root, self.failure.seen.http.get(*index)?),
                        _ => self.generalised(found),
                    };
                    replace_value(item, short);
                    Some(())
                }
                Some(item) => self.write_value(item, root, rest, mismatch),
            },
            (Value::InlineTable(table), Segment::Key(key)) => match table.get_mut(key) {
                Some(item) => self.write_value(item, root, rest, mismatch),
                None => {
                    table.insert(key, self.generalised(found));
                    Some(())
                }
            },
            _ => None,
        }
    }

    /// One of a list in as few words as name it.
    fn in_short(&self, root: &str, found: &Json) -> Value {
        let part = |name: &str| found.get(name).map(plain);
        let short = match root {
            "http" => {
                let end = part("status").or(part("fault")).unwrap_or_default();
                let (method, path) = (part("method"), part("path"));
                Some(format!(
                    "{} {} -> {end}",
                    method.unwrap_or_default(),
                    path.unwrap_or_default()
                ))
            }
            "fired" => part("wakeup"),
            "alerts" => part("code"),
            _ => None,
        };
        if let Some(short) = short {
            return short.into();
        }
        match found.get("name") {
            Some(name) if root == "storage" || root == "documents" => {
                let mut table = InlineTable::new();
                table.insert("name", self.generalised(name));
                table.into()
            }
            _ => self.generalised(found),
        }
    }

    /// A value as a person would write it: names and placeholders for what was generated.
    fn generalised(&self, found: &Json) -> Value {
        let mut bindings = self.failure.bindings.iter();
        let known = |(_, value): &(&str, &Json)| {
            *value == found && (value.is_string() || value.as_u64().is_some_and(|n| n > 1_000_000))
        };
        if let Some((name, _)) = bindings.find(known) {
            return format!("{{{name}}}").into();
        }
        match found {
            Json::Null => "<null>".into(),
            Json::Bool(flag) => (*flag).into(),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => match u64::try_from(number).ok().and_then(|n| self.away(n)) {
                    Some(away) => away.into(),
                    None => number.into(),
                },
                (None, Some(number)) => number.into(),
                (None, None) => "<number>".into(),
            },
            Json::String(text) => self.text(text).into(),
            Json::Array(items) => {
                let items = items.iter().map(|item| self.generalised(item));
                Value::Array(items.collect())
            }
            Json::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(name, value)| (name.as_str(), self.generalised(value)));
                Value::InlineTable(entries.collect())
            }
        }
    }

    fn text(&self, text: &str) -> String {
        if let Some(away) = parse_moment(text).and_then(|moment| self.away(moment.0)) {
            return away;
        }
        if text.parse::<Pkid>().is_ok() {
            return "<pkid>".to_owned();
        }
        let text = text.replace('{', "{{");
        match text.strip_prefix('<') {
            Some(rest) => format!("<<{rest}"),
            None => text,
        }
    }

    /// A moment, counted from the clock.
    fn away(&self, moment: u64) -> Option<String> {
        let Timestamp(now) = self.failure.now;
        let away = i128::from(moment) - i128::from(now);
        // Small numbers are counts, not moments of the year 1970.
        if away.abs() > FAR || moment < 946_684_800_000 {
            return None;
        }
        let seconds = u64::try_from(away.unsigned_abs() / 1000).ok()?;
        let span = span(std::time::Duration::from_secs(seconds));
        Some(match (seconds, away > 0) {
            (0, _) => "<now>".to_owned(),
            (_, true) => format!("<in {span}>"),
            (_, false) => format!("<{span} ago>"),
        })
    }
}

/// Takes an expectation away of which nothing was found; in a table it is said to be absent.
fn drop_at(item: &mut Item, path: &[Segment]) -> Option<()> {
    let (first, rest) = path.split_first()?;
    match (item, first) {
        (Item::Value(value), _) => drop_in(value, path),
        (Item::ArrayOfTables(tables), Segment::Index(index)) => {
            if rest.is_empty() {
                tables.get(*index)?;
                tables.remove(*index);
                return Some(());
            }
            let mut table = Item::Table(tables.get(*index)?.clone());
            drop_at(&mut table, rest)?;
            *tables.get_mut(*index)? = table.into_table().ok()?;
            Some(())
        }
        (Item::Table(table), Segment::Key(key)) => {
            if rest.is_empty() {
                replace(table.get_mut(key)?, "<absent>".into());
                return Some(());
            }
            drop_at(table.get_mut(key)?, rest)
        }
        _ => None,
    }
}

fn drop_in(value: &mut Value, path: &[Segment]) -> Option<()> {
    let Some((first, rest)) = path.split_first() else {
        replace_value(value, "<absent>".into());
        return Some(());
    };
    match (value, first) {
        (Value::Array(list), Segment::Index(index)) if rest.is_empty() => {
            list.get(*index)?;
            list.remove(*index);
            Some(())
        }
        (Value::Array(list), Segment::Index(index)) => drop_in(list.get_mut(*index)?, rest),
        (Value::InlineTable(table), Segment::Key(key)) => drop_in(table.get_mut(key)?, rest),
        _ => None,
    }
}

/// Puts a value in place of another one, and leaves what is around it.
fn replace(item: &mut Item, value: Value) {
    match item {
        Item::Value(old) => replace_value(old, value),
        item => *item = Item::Value(value),
    }
}

fn replace_value(old: &mut Value, mut value: Value) {
    *value.decor_mut() = old.decor().clone();
    *old = value;
}

#[cfg(test)]
mod tests;
