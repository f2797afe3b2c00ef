//! Changes to a JSON value: of valid things made slightly wrong, more is found than of noise.

use serde_json::Value;

use crate::input::Input;

/// One change of one value within another.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Which value: counted from the outermost, modulo how many there are.
    at: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Replace(Value),
    /// Takes the last character or element away, or the first member.
    Shorten,
    /// The member or element of this number, modulo how many there are.
    Remove(usize),
    Insert(String, Value),
    Rename(usize, String),
    Twice,
    /// A number, a text or a truth that differs a little.
    Nudge(i64),
}

/// Up to `most` changes, with members called as `names`.
pub fn edits(input: &mut Input<'_>, names: &[&str], most: usize) -> Vec<Edit> {
    let count = input.below(most.saturating_add(1));
    (0..count).map(|_| edit(input, names)).collect()
}

fn edit(input: &mut Input<'_>, names: &[&str]) -> Edit {
    let at = input.below(256);
    let what = match input.below(10) {
        0..=2 => What::Replace(input.json(names)),
        3 => What::Shorten,
        4 | 5 => What::Remove(input.below(64)),
        6 => What::Insert(input.name(names), input.json(names)),
        7 => What::Rename(input.below(64), input.name(names)),
        8 => What::Twice,
        _ => What::Nudge(*input.pick(&[1, -1, 1_000, 86_400_000, -86_400_000, i64::MAX])),
    };
    Edit { at, what }
}

/// Carries out the changes, one after another.
pub fn apply(value: &mut Value, edits: &[Edit]) {
    for edit in edits {
        let mut left = edit.at % nodes(value).max(1);
        if let Some(node) = nth(value, &mut left) {
            change(node, &edit.what);
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

fn change(value: &mut Value, what: &What) {
    match (what, value) {
        (What::Replace(new), value) => *value = new.clone(),
        (What::Shorten, Value::String(text)) => {
            text.pop();
        }
        (What::Shorten, Value::Array(items)) => {
            items.pop();
        }
        (What::Shorten, value) => remove(value, 0),
        (What::Remove(index), value) => remove(value, *index),
        (What::Insert(name, new), Value::Object(members)) => {
            members.insert(name.clone(), new.clone());
        }
        (What::Insert(_, new), Value::Array(items)) => items.push(new.clone()),
        (What::Insert(name, _), Value::String(text)) => text.push_str(name),
        (What::Rename(index, name), Value::Object(members)) => {
            let key = nth_key(members, *index);
            if let Some(old) = key.and_then(|key| members.remove(&key)) {
                members.insert(name.clone(), old);
            }
        }
        (What::Twice, Value::Array(items)) => items.extend_from_within(..),
        (What::Twice, Value::String(text)) => text.push_str(&text.clone()),
        (What::Twice, value) => *value = Value::Array(vec![value.clone(), value.clone()]),
        (What::Nudge(by), value) => nudge(value, *by),
        (What::Insert(..) | What::Rename(..), _) => {}
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

/// Replaces `secret` wherever it is, except in the members of the outermost object that are called as one
/// of `places`: a server that sends a token as a scope is told apart from a plugin that shows it.
pub fn keep_in_place(value: &mut Value, secret: &str, places: &[&str]) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if !(places.contains(&name.as_str()) && member.is_string()) {
                    keep_in_place(member, secret, &[]);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                keep_in_place(item, secret, &[]);
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
    fn each_value_can_be_reached_and_every_change_leaves_json() {
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
    fn a_secret_stays_where_it_belongs_and_nowhere_else() {
        let mut value = json!({"token": "a-S-b", "scope": "S", "more": [{"token": "S"}]});
        keep_in_place(&mut value, "S", &["token"]);
        assert_eq!(
            value,
            json!({"token": "a-S-b", "scope": "moved", "more": [{"token": "moved"}]})
        );
    }
}
