//! Changes to a JSON value: slightly wrong variants of valid values find more than noise.

use serde_json::Value;

use crate::input::Input;

/// One change of one value within another.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Index of the value, counted from the outermost, modulo their number.
    at: usize,
    kind: EditKind,
}

#[derive(Clone, Debug)]
enum EditKind {
    Replace(Value),
    /// Removes the last character or element, or the first member.
    Shorten,
    /// Removes the member or element of this index, modulo their number.
    Remove(usize),
    Insert(String, Value),
    Rename(usize, String),
    Twice,
    /// Changes a number, a text or a boolean a little.
    Nudge(i64),
}

/// Returns up to `max` changes, with member names from `names`.
pub fn edits(input: &mut Input<'_>, names: &[&str], max: usize) -> Vec<Edit> {
    let count = input.below(max.saturating_add(1));
    (0..count).map(|_| edit(input, names)).collect()
}

fn edit(input: &mut Input<'_>, names: &[&str]) -> Edit {
    let at = input.below(256);
    let kind = match input.below(10) {
        0..=2 => EditKind::Replace(input.json(names)),
        3 => EditKind::Shorten,
        4 | 5 => EditKind::Remove(input.below(64)),
        6 => EditKind::Insert(input.name(names), input.json(names)),
        7 => EditKind::Rename(input.below(64), input.name(names)),
        8 => EditKind::Twice,
        _ => EditKind::Nudge(*input.pick(&[1, -1, 1_000, 86_400_000, -86_400_000, i64::MAX])),
    };
    Edit { at, kind }
}

/// Applies the changes, one after another.
pub fn apply(value: &mut Value, edits: &[Edit]) {
    for edit in edits {
        let mut left = edit.at % nodes(value).max(1);
        if let Some(node) = nth(value, &mut left) {
            change(node, &edit.kind);
        }
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

fn nth<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, left)),
        _ => None,
    }
}

fn change(value: &mut Value, kind: &EditKind) {
    match (kind, value) {
        (EditKind::Replace(new), value) => *value = new.clone(),
        (EditKind::Shorten, Value::String(text)) => {
            text.pop();
        }
        (EditKind::Shorten, Value::Array(items)) => {
            items.pop();
        }
        (EditKind::Shorten, value) => remove(value, 0),
        (EditKind::Remove(index), value) => remove(value, *index),
        (EditKind::Insert(name, new), Value::Object(members)) => {
            members.insert(name.clone(), new.clone());
        }
        (EditKind::Insert(_, new), Value::Array(items)) => items.push(new.clone()),
        (EditKind::Insert(name, _), Value::String(text)) => text.push_str(name),
        (EditKind::Rename(index, name), Value::Object(members)) => {
            let key = nth_key(members, *index);
            if let Some(old) = key.and_then(|key| members.remove(&key)) {
                members.insert(name.clone(), old);
            }
        }
        (EditKind::Twice, Value::Array(items)) => items.extend_from_within(..),
        (EditKind::Twice, Value::String(text)) => text.push_str(&text.clone()),
        (EditKind::Twice, value) => *value = Value::Array(vec![value.clone(), value.clone()]),
        (EditKind::Nudge(by), value) => nudge(value, *by),
        (EditKind::Insert(..) | EditKind::Rename(..), _) => {}
    }
}

fn remove(value: &mut Value, index: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            items.remove(index % items.len());
        }
        Value::Object(members) => {
            if let Some(key) = nth_key(members, index) {
                members.remove(&key);
            }
        }
        other => *other = Value::Null,
    }
}

fn nth_key(members: &serde_json::Map<String, Value>, index: usize) -> Option<String> {
    members.keys().nth(index % members.len().max(1)).cloned()
}

fn nudge(value: &mut Value, by: i64) {
    match value {
        Value::Bool(truth) => *truth = !*truth,
        Value::Number(number) => {
            if let Some(whole) = number.as_u64() {
                *value = Value::from(whole.wrapping_add_signed(by));
            } else if let Some(whole) = number.as_i64() {
                *value = Value::from(whole.wrapping_add(by));
            }
        }
        Value::String(text) => text.insert(0, if by > 0 { ' ' } else { '-' }),
        other => *other = Value::from(by),
    }
}

/// Replaces `secret` everywhere except in the members of the outermost object named in `members_to_keep`. A token that
/// a server sends as a scope is not a leak of the plugin.
pub fn keep_only_in(value: &mut Value, secret: &str, members_to_keep: &[&str]) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if !(members_to_keep.contains(&name.as_str()) && member.is_string()) {
                    keep_only_in(member, secret, &[]);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                keep_only_in(item, secret, &[]);
            }
        }
        Value::String(text) if text.contains(secret) => *text = text.replace(secret, "moved"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_edit_leaves_valid_json() {
        let original =
            json!({"name": "Acme", "connection": {"generation": 3, "scopes": ["a", "b"]}});
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..64).map(|_| random.u8(..)).collect();
            let mut value = original.clone();
            apply(
                &mut value,
                &edits(&mut Input::new(&bytes), &["name", "state"], 4),
            );
            let text = value.to_string();
            assert!(
                serde_json::from_str::<Value>(&text).is_ok() || text.contains("[[[["),
                "{text}"
            );
        }
    }

    #[test]
    fn secret_is_kept_only_in_its_member() {
        let mut value = json!({"token": "a-S-b", "scope": "S", "more": [{"token": "S"}]});
        keep_only_in(&mut value, "S", &["token"]);
        assert_eq!(
            value,
            json!({"token": "a-S-b", "scope": "moved", "more": [{"token": "moved"}]})
        );
    }
}
