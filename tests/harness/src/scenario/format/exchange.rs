//! `[[step.http]]`: the expected requests and their responses, without an emulator.

use std::collections::BTreeMap;

use relation_toml::{DeValue, Item, Reader, Table, ValueError};

use super::{keys, values};
use crate::scenario::model::{
    BodyTemplate, RequestExpectation, ResponseFault, ResponseTemplate, ScriptedExchange,
};
use crate::scenario::pattern::Pattern;

const FAULTS: [(&str, ResponseFault); 8] = [
    ("timeout", ResponseFault::Timeout),
    ("unresolved", ResponseFault::Unresolved),
    ("refused", ResponseFault::Refused),
    ("untrusted", ResponseFault::Untrusted),
    ("reset", ResponseFault::Reset),
    ("garbled", ResponseFault::Garbled),
    ("cut", ResponseFault::Cut),
    ("stalled", ResponseFault::Stalled),
];

/// Reads one exchange.
pub fn read(mut table: Table<'_, '_>) -> Option<ScriptedExchange> {
    let position = table.position();
    let request = table
        .require_table("request", &keys::REQUEST)
        .and_then(read_request);
    let response = table
        .require_table("response", &keys::RESPONSE)
        .and_then(read_response);
    table.close();
    Some(ScriptedExchange {
        position,
        request: request?,
        response: response?,
    })
}

fn read_request(mut table: Table<'_, '_>) -> Option<RequestExpectation> {
    let reader = table.reader();
    let method = table.require("method", method);
    let url = table.require("url", values::parse_template);
    let query = table.take("query").map(|item| patterns(reader, item));
    let headers = table.take("headers").map(|item| patterns(reader, item));
    let mut body = |key| table.take(key).and_then(|item| Pattern::read(reader, item));
    let (form, json, text) = (body("form"), body("json"), body("body"));
    table.close();
    let headers = headers.unwrap_or_default().into_iter();
    Some(RequestExpectation {
        method: method?,
        url: url?,
        query: query.unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect(),
        form,
        json,
        body: text,
    })
}

fn patterns(reader: &Reader<'_>, item: Item<'_>) -> BTreeMap<String, Pattern> {
    let entries = reader.entries(item, "names and values").into_iter();
    entries
        .filter_map(|(name, item)| Some((name, Pattern::read(reader, item)?)))
        .collect()
}

fn method(value: DeValue<'_>) -> Result<String, ValueError> {
    let text = values::parse_text(value)?;
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    match known.contains(&text.as_str()) {
        true => Ok(text),
        false => Err(ValueError::new(format!("{text:?} is not a method of HTTP"))
            .hint(format!("one of {}", known.join(", ")))),
    }
}

fn read_response(mut table: Table<'_, '_>) -> Option<ResponseTemplate> {
    let reader = table.reader();
    let fault = table.get("fault", |value| values::parse_word(value, "fault", &FAULTS));
    let within = [ResponseFault::Cut, ResponseFault::Stalled];
    if fault.is_some_and(|fault| !within.contains(&fault)) {
        let reason = "a request with this fault has no response";
        table.reject(&["status", "headers", "json", "form", "body"], reason);
    }
    let bodies = ["json", "form", "body"];
    table.expect_at_most_one(&bodies);
    let status = table.get("status", status).unwrap_or(200);
    let headers = table.take("headers");
    let headers = headers.map(|item| values::read_named_texts(reader, item));
    let json = table
        .get("json", values::parse_json)
        .map(BodyTemplate::Json);
    let form = table.take("form");
    let form = form.map(|item| BodyTemplate::Form(values::read_named_texts(reader, item)));
    let text = table
        .get("body", values::parse_template)
        .map(BodyTemplate::Text);
    table.close();
    Some(ResponseTemplate {
        status,
        headers: headers.unwrap_or_default(),
        body: json.or(form).or(text).unwrap_or(BodyTemplate::Empty),
        fault,
    })
}

fn status(value: DeValue<'_>) -> Result<u16, ValueError> {
    match values::parse_count::<u16>(value)? {
        status @ 200..=599 => Ok(status),
        other => {
            Err(ValueError::new(format!("{other} is not a response status"))
                .hint("from 200 to 599"))
        }
    }
}
