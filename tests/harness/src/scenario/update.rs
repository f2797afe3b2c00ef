//! Accepts observations: rewrites the expectations of a failed step, and nothing else in the file.
//!
//! Comments and layout are kept. Generated values are written as placeholders. Some failures cannot be
//! accepted, such as a step that could not be done, or a text that must not occur.

use relation_host::types::{Pkid, Timestamp};
use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, TableLike, Value};

use super::durations::format_duration;
use super::format::values::parse_rfc3339;
use super::mismatch::{Mismatch, Segment};
use super::outcome::StepFailure;
use super::template::to_text;

/// The largest distance of a moment from the clock; a number farther away is probably not a moment.
const MAX_DISTANCE_MS: i128 = 20 * 366 * 86_400_000;

/// The byte order mark of UTF-8, which is not part of the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Accepts the mismatches of `failure`. Returns the new text, with its byte order mark and line ends, or `None`
/// if there is nothing to accept.
pub fn accept(text: &str, failure: &StepFailure) -> Option<String> {
    let unmarked = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mark = text.strip_suffix(unmarked).unwrap_or_default();
    let accepted = accept_lines(&unmarked.replace("\r\n", "\n"), failure)?;
    Some(format!("{mark}{}", with_line_ends_of(unmarked, &accepted)))
}

/// Restores the line ends of `original` in `text`, whose lines end with `\n`. Equal lines at the beginning and
/// the end keep theirs; other lines get those of the majority.
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
    let updater = Updater { failure };
    let mut changed = false;
    // Values first, then additions. Removals come last and in reverse, so that indices stay valid.
    let (gone, there): (Vec<&Mismatch>, Vec<&Mismatch>) = failure
        .mismatches
        .iter()
        .partition(|mismatch| mismatch.found.is_none());
    for mismatch in there {
        changed |= expectations(step, &mismatch.segments)
            .and_then(|(expect, path)| updater.accept_mismatch(expect, path, mismatch))
            .is_some();
    }
    for mismatch in gone.iter().rev() {
        changed |= expectations(step, &mismatch.segments)
            .and_then(|(expect, path)| remove_at(expect, path))
            .is_some();
    }
    changed.then(|| document.to_string())
}

/// Returns the expectations of the step, or of one of its concurrent calls, and the rest of the path. Missing
/// expectations are created.
fn expectations<'d, 'p>(
    step: &'d mut dyn TableLike,
    path: &'p [Segment],
) -> Option<(&'d mut Item, &'p [Segment])> {
    let (owner, path): (&mut dyn TableLike, _) = match path {
        [Segment::Key(key), Segment::Index(index), path @ ..] if key == "concurrently" => {
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

struct Updater<'f> {
    failure: &'f StepFailure,
}

impl Updater<'_> {
    /// Writes the found value of a mismatch.
    fn accept_mismatch(
        &self,
        expect: &mut Item,
        path: &[Segment],
        mismatch: &Mismatch,
    ) -> Option<()> {
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
                let case = found.get("case").map_or(String::new(), to_text);
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
                let ids = self.failure.observation.fired.iter();
                let ids: Array = ids.map(|fired| self.shorthand("fired", fired)).collect();
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
                // An additional item of the list.
                Item::Value(Value::Array(list)) if mismatch.expected.is_none() => {
                    list.push(self.shorthand(root, found));
                }
                item => replace(item, self.generalize(found)),
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
                    let value = self.generalize(found);
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
                list.push(self.shorthand(root, found));
            } else {
                replace_value(value, self.generalize(found));
            }
            return Some(());
        };
        match (value, first) {
            (Value::Array(list), Segment::Index(index)) => match list.get_mut(*index) {
                None => {
                    list.push(self.shorthand(root, found));
                    Some(())
                }
                Some(item) if item.is_str() && !rest.is_empty() => {
                    let short = match root {
                        "http" => self.shorthand(root, self.failure.observation.http.get(*index)?),
                        _ => self.generalize(found),
                    };
                    replace_value(item, short);
                    Some(())
                }
                Some(item) => self.write_value(item, root, rest, mismatch),
            },
            (Value::InlineTable(table), Segment::Key(key)) => match table.get_mut(key) {
                Some(item) => self.write_value(item, root, rest, mismatch),
                None => {
                    table.insert(key, self.generalize(found));
                    Some(())
                }
            },
            _ => None,
        }
    }

    /// Returns the shortest form of a list item.
    fn shorthand(&self, root: &str, found: &Json) -> Value {
        let part = |name: &str| found.get(name).map(to_text);
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
                table.insert("name", self.generalize(name));
                table.into()
            }
            _ => self.generalize(found),
        }
    }

    /// Writes a value as a person would: names and placeholders for generated values.
    fn generalize(&self, found: &Json) -> Value {
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
                (Some(number), _) => match u64::try_from(number)
                    .ok()
                    .and_then(|n| self.relative_moment(n))
                {
                    Some(away) => away.into(),
                    None => number.into(),
                },
                (None, Some(number)) => number.into(),
                (None, None) => "<number>".into(),
            },
            Json::String(text) => self.text(text).into(),
            Json::Array(items) => {
                let items = items.iter().map(|item| self.generalize(item));
                Value::Array(items.collect())
            }
            Json::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(name, value)| (name.as_str(), self.generalize(value)));
                Value::InlineTable(entries.collect())
            }
        }
    }

    fn text(&self, text: &str) -> String {
        if let Some(away) = parse_rfc3339(text).and_then(|moment| self.relative_moment(moment.0)) {
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

    /// Writes a moment relative to the clock.
    fn relative_moment(&self, moment: u64) -> Option<String> {
        let Timestamp(now) = self.failure.now;
        let away = i128::from(moment) - i128::from(now);
        // Small numbers are counts, not moments in 1970.
        if away.abs() > MAX_DISTANCE_MS || moment < 946_684_800_000 {
            return None;
        }
        let seconds = u64::try_from(away.unsigned_abs() / 1000).ok()?;
        let span = format_duration(std::time::Duration::from_secs(seconds));
        Some(match (seconds, away > 0) {
            (0, _) => "<now>".to_owned(),
            (_, true) => format!("<in {span}>"),
            (_, false) => format!("<{span} ago>"),
        })
    }
}

/// Removes an expectation without a found value. In a table the value becomes `<absent>`.
fn remove_at(item: &mut Item, path: &[Segment]) -> Option<()> {
    let (first, rest) = path.split_first()?;
    match (item, first) {
        (Item::Value(value), _) => remove_in(value, path),
        (Item::ArrayOfTables(tables), Segment::Index(index)) => {
            if rest.is_empty() {
                tables.get(*index)?;
                tables.remove(*index);
                return Some(());
            }
            let mut table = Item::Table(tables.get(*index)?.clone());
            remove_at(&mut table, rest)?;
            *tables.get_mut(*index)? = table.into_table().ok()?;
            Some(())
        }
        (Item::Table(table), Segment::Key(key)) => {
            if rest.is_empty() {
                replace(table.get_mut(key)?, "<absent>".into());
                return Some(());
            }
            remove_at(table.get_mut(key)?, rest)
        }
        _ => None,
    }
}

fn remove_in(value: &mut Value, path: &[Segment]) -> Option<()> {
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
        (Value::Array(list), Segment::Index(index)) => remove_in(list.get_mut(*index)?, rest),
        (Value::InlineTable(table), Segment::Key(key)) => remove_in(table.get_mut(key)?, rest),
        _ => None,
    }
}

/// Replaces a value and keeps the surrounding layout.
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
