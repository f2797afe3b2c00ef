//! The secrets in caller input. They are redacted from what the plugin logs, like secrets that it
//! revealed.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

/// Extracts the tokens of a token response; the whole text if it is not a JSON object.
pub(super) fn extract_tokens(response: Option<&SecretString>) -> Vec<SecretString> {
    let Some(response) = response else {
        return Vec::new();
    };
    match serde_json::from_str::<Map<String, Value>>(response.expose_secret()) {
        Ok(fields) => fields.into_iter().filter_map(token).collect(),
        Err(_) => vec![response.clone()],
    }
}

/// Extracts `access_token`, `refresh_token` and every other field that ends with `token`.
fn token((name, value): (String, Value)) -> Option<SecretString> {
    match value {
        Value::String(token) if name.ends_with("token") => Some(token.into()),
        _ => None,
    }
}

/// Extracts the authorization code of a callback URL, both as written and percent-decoded.
pub(super) fn extract_codes(callback: &SecretString) -> Vec<SecretString> {
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

    fn exposed(secrets: Vec<SecretString>) -> Vec<String> {
        let secrets = secrets.iter();
        secrets
            .map(|secret| secret.expose_secret().to_owned())
            .collect()
    }

    #[test]
    fn only_token_fields_are_extracted() {
        let response =
            r#"{"access_token":"A","refresh_token":"R","token_type":"Bearer","expires_in":1}"#;
        let tokens = exposed(extract_tokens(Some(&response.into())));
        assert_eq!(tokens, ["A", "R"]);
        assert_eq!(exposed(extract_tokens(None)), [""; 0]);
    }

    #[test]
    fn non_json_input_is_one_secret() {
        assert_eq!(
            exposed(extract_tokens(Some(&"A-TOKEN".into()))),
            ["A-TOKEN"]
        );
    }

    #[test]
    fn code_is_extracted_raw_and_decoded() {
        let code = |address: &str| exposed(extract_codes(&address.into()));
        let address = "http://127.0.0.1:8080/back?state=s&code=a%2Fb+c#top";
        assert_eq!(code(address), ["a%2Fb+c", "a/b c"]);
        assert_eq!(code("http://127.0.0.1/back?error=access_denied"), [""; 0]);
    }
}
