//! The secrets in what callers hand over: a plugin that says them aloud is not to be believed more than
//! one that has opened them.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

/// The tokens in a token endpoint's answer; all of it, where it is none.
pub(super) fn tokens_in(answer: Option<&SecretString>) -> Vec<SecretString> {
    let Some(answer) = answer else {
        return Vec::new();
    };
    match serde_json::from_str::<Map<String, Value>>(answer.expose_secret()) {
        Ok(fields) => fields.into_iter().filter_map(token).collect(),
        Err(_) => vec![answer.clone()],
    }
}

/// `access_token`, `refresh_token` and what others there are.
fn token((name, value): (String, Value)) -> Option<SecretString> {
    match value {
        Value::String(token) if name.ends_with("token") => Some(token.into()),
        _ => None,
    }
}

/// The code in the address to which a browser came back: as it stands there, and decoded.
pub(super) fn code_in(callback: &SecretString) -> Vec<SecretString> {
    let address = callback.expose_secret();
    let query = address.split_once('?').map_or(address, |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let pairs = query.split('&');
    let written = pairs.filter_map(|pair| Some(pair.strip_prefix("code=")?.to_owned()));
    let decoded = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "code")
        .map(|(_, code)| code.into_owned());
    written.chain(decoded).map(SecretString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secrets: Vec<SecretString>) -> Vec<String> {
        let secrets = secrets.iter();
        secrets
            .map(|secret| secret.expose_secret().to_owned())
            .collect()
    }

    #[test]
    fn every_token_of_an_answer_is_one_and_nothing_else() {
        let answer =
            r#"{"access_token":"A","refresh_token":"R","token_type":"Bearer","expires_in":1}"#;
        let tokens = shown(tokens_in(Some(&answer.into())));
        assert_eq!(tokens, ["A", "R"]);
        assert_eq!(shown(tokens_in(None)), [""; 0]);
    }

    #[test]
    fn what_is_no_answer_may_be_a_token_as_a_whole() {
        assert_eq!(shown(tokens_in(Some(&"A-TOKEN".into()))), ["A-TOKEN"]);
    }

    #[test]
    fn a_code_is_known_as_it_stands_and_decoded() {
        let code = |address: &str| shown(code_in(&address.into()));
        let address = "http://127.0.0.1:8080/back?state=s&code=a%2Fb+c#top";
        assert_eq!(code(address), ["a%2Fb+c", "a/b c"]);
        assert_eq!(code("http://127.0.0.1/back?error=access_denied"), [""; 0]);
    }
}
