//! The JSON of a secret in clear text, for values that are only stored sealed.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let clear = secret.as_ref().map(ExposeSecret::expose_secret);
    clear.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let clear = Option::<String>::deserialize(deserializer)?;
    Ok(clear.map(SecretString::from))
}
