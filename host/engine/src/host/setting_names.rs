//! Names of settings that the plugin does not have. They are mistakes: the plugin would use the default.

use std::collections::BTreeMap;

use crate::reports::SettingDescription;
use crate::types::FieldError;

/// The minimum similarity (Jaro-Winkler, 0 to 1) at which a setting is suggested for an unknown one.
const MIN_SIMILARITY: f64 = 0.75;

/// Returns an error for each setting that the plugin does not describe. A plain setting in place of a secret one is an
/// error too, and the reverse. A plugin that describes no settings is not checked.
pub(super) fn check_names<S>(
    described: &[SettingDescription],
    plain: &BTreeMap<String, String>,
    secret: &BTreeMap<String, S>,
) -> Vec<FieldError> {
    if described.is_empty() {
        return Vec::new();
    }
    let plain = plain.keys().map(|key| (key, false));
    let secret = secret.keys().map(|key| (key, true));
    let errors = plain.chain(secret).filter_map(|(key, is_secret)| {
        let message = match described.iter().find(|setting| setting.key == *key) {
            Some(setting) if setting.secret == is_secret => return None,
            Some(setting) if setting.secret => "must be given as a secret".to_owned(),
            Some(_) => "is not a secret".to_owned(),
            None => match find_nearest(key, described) {
                Some(known) => format!("unknown setting; did you mean `{known}`?"),
                None => "unknown setting; `describe` lists the settings".to_owned(),
            },
        };
        Some(FieldError {
            field: key.clone(),
            message,
        })
    });
    errors.collect()
}

fn find_nearest<'d>(key: &str, described: &'d [SettingDescription]) -> Option<&'d str> {
    let key = key.replace('_', "-").to_lowercase();
    described
        .iter()
        .map(|setting| {
            (
                strsim::jaro_winkler(&key, &setting.key),
                setting.key.as_str(),
            )
        })
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(key: &str, secret: bool) -> SettingDescription {
        SettingDescription {
            key: key.to_owned(),
            secret,
            format: "a text".to_owned(),
            default: None,
            help: String::new(),
        }
    }

    fn errors(plain: &[&str], secret: &[&str]) -> Vec<(String, String)> {
        let described = [
            described("webex.client-id", false),
            described("webex.client-secret", true),
            described("refresh.period", false),
        ];
        let plain = plain.iter().map(|key| ((*key).to_owned(), "x".to_owned()));
        let secret = secret.iter().map(|key| ((*key).to_owned(), ()));
        let errors = check_names(&described, &plain.collect(), &secret.collect());
        let errors = errors.into_iter();
        errors.map(|error| (error.field, error.message)).collect()
    }

    #[test]
    fn described_settings_are_accepted() {
        let accepted = errors(&["webex.client-id"], &["webex.client-secret"]);
        assert_eq!(accepted, []);
    }

    #[test]
    fn misspelt_setting_gets_a_suggestion() {
        let found = errors(&["webex.client_id", "color"], &["webex.clientsecret"]);
        let text = |field: &str, message: &str| (field.to_owned(), message.to_owned());
        assert_eq!(
            found,
            [
                text("color", "unknown setting; `describe` lists the settings"),
                text(
                    "webex.client_id",
                    "unknown setting; did you mean `webex.client-id`?"
                ),
                text(
                    "webex.clientsecret",
                    "unknown setting; did you mean `webex.client-secret`?"
                ),
            ]
        );
    }

    #[test]
    fn secret_and_plain_settings_are_not_confused() {
        let found = errors(&["webex.client-secret"], &["refresh.period"]);
        let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
        assert_eq!(messages, ["must be given as a secret", "is not a secret"]);
    }

    #[test]
    fn plugin_without_described_settings_is_not_checked() {
        let plain = BTreeMap::from([("anything".to_owned(), "x".to_owned())]);
        assert_eq!(check_names(&[], &plain, &BTreeMap::<String, ()>::new()), []);
    }
}
