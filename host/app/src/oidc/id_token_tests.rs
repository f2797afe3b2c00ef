//! The rules for ID tokens, with keys of the test. Times are relative to [`NOW`].

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

/// A key of a provider.
struct Signer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { pair, random }
    }

    fn to_key(&self, id: &str) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encode = |part| URL_SAFE_NO_PAD.encode(part);
        json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": encode(x), "y": encode(y) })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&self.random, message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn keys(keys: &[Value]) -> Keys {
    Keys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "one" })
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "relation", "sub": "248289761001", "nonce": "n-0S6",
        "exp": NOW + 60, "iat": NOW, "groups": ["noc"],
    })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    match value.is_null() {
        true => object.as_object_mut().unwrap().remove(name),
        false => object
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value),
    };
    object
}

fn expected(now: u64) -> Expected<'static> {
    Expected {
        issuer: "https://id.example.com",
        client_id: "relation",
        nonce: "n-0S6",
        begun: Timestamp((NOW - 30) * 1000),
        now: Timestamp(now * 1000),
    }
}

fn check(header: &Value, claims: &Value, now: u64) -> Option<TokenError> {
    let signer = Signer::new();
    let keys = keys(&[signer.to_key("one")]);
    verify(&signer.sign(header, claims), &keys, &expected(now)).err()
}

#[test]
fn token_with_all_claims_is_accepted() {
    let signer = Signer::new();
    let keys = keys(&[Signer::new().to_key("zero"), signer.to_key("one")]);
    let token = signer.sign(&header(), &claims());
    let verified = verify(&token, &keys, &expected(NOW)).unwrap();
    assert_eq!(verified["sub"], "248289761001");
    // Without the id of a key, each is tried.
    let token = signer.sign(&json!({ "alg": "ES256" }), &claims());
    assert!(verify(&token, &keys, &expected(NOW)).is_ok());
}

#[test]
fn claims_bind_the_token_to_this_log_in() {
    for (name, value, error) in [
        (
            "iss",
            json!("https://id.example.com/"),
            Some(TokenError::Issuer),
        ),
        ("iss", Value::Null, Some(TokenError::Issuer)),
        ("aud", json!("other"), Some(TokenError::Audience)),
        ("aud", json!(["other", 7]), Some(TokenError::Audience)),
        ("aud", json!([]), Some(TokenError::Audience)),
        ("aud", Value::Null, Some(TokenError::Audience)),
        ("aud", json!(["relation"]), None),
        // Several audiences need the authorized party.
        (
            "aud",
            json!(["relation", "other"]),
            Some(TokenError::Audience),
        ),
        ("azp", json!("relation"), None),
        ("azp", json!("other"), Some(TokenError::Audience)),
        ("azp", json!(7), Some(TokenError::Audience)),
        ("nonce", json!("other"), Some(TokenError::Nonce)),
        ("nonce", Value::Null, Some(TokenError::Nonce)),
    ] {
        let found = check(&header(), &with(claims(), name, value.clone()), NOW);
        assert_eq!(found, error, "{name} {value}");
    }
    let both = with(claims(), "aud", json!(["other", "relation"]));
    let both = with(both, "azp", json!("relation"));
    assert_eq!(check(&header(), &both, NOW), None);
    for name in ["sub", "exp", "iat"] {
        let found = check(&header(), &with(claims(), name, Value::Null), NOW);
        assert!(
            matches!(found, Some(TokenError::Malformed(_))),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let leeway = LEEWAY.as_secs();
    for (name, value, error) in [
        ("exp", NOW - leeway + 1, None),
        ("exp", NOW - leeway, Some(TokenError::Expired)),
        ("iat", NOW + leeway, None),
        ("iat", NOW + leeway + 1, Some(TokenError::NotYetValid)),
        ("nbf", NOW + leeway, None),
        ("nbf", NOW + leeway + 1, Some(TokenError::NotYetValid)),
        // The log-in began 30 s ago.
        ("iat", NOW - 30 - leeway, None),
        ("iat", NOW - 31 - leeway, Some(TokenError::Expired)),
    ] {
        let found = check(&header(), &with(claims(), name, json!(value)), NOW);
        assert_eq!(found, error, "{name} {value}");
    }
    assert_eq!(check(&header(), &claims(), NOW - leeway), None);
    assert_eq!(check(&header(), &claims(), NOW + leeway), None);
}

#[test]
fn only_the_algorithm_of_the_key_is_accepted() {
    for algorithm in ["none", "None", "HS256", "ES384", "PS256", ""] {
        let found = check(&with(header(), "alg", json!(algorithm)), &claims(), NOW);
        assert_eq!(found, Some(TokenError::Algorithm), "{algorithm}");
    }
    let found = check(&with(header(), "alg", json!("RS256")), &claims(), NOW);
    assert_eq!(found, Some(TokenError::UnknownKey));
    let found = check(&with(header(), "crit", json!(["b64"])), &claims(), NOW);
    assert!(matches!(found, Some(TokenError::Malformed(_))), "{found:?}");
    let signer = Signer::new();
    let token = signer.sign(&header(), &claims());
    for (name, value) in [
        ("use", "enc"),
        ("alg", "ES384"),
        ("kty", "RSA"),
        ("kid", "two"),
    ] {
        let keys = keys(&[with(signer.to_key("one"), name, json!(value))]);
        let found = verify(&token, &keys, &expected(NOW)).err();
        assert_eq!(found, Some(TokenError::UnknownKey), "{name}");
    }
}

#[test]
fn unsigned_and_changed_tokens_are_refused() {
    let signer = Signer::new();
    let keys = keys(&[signer.to_key("one")]);
    let refuse = |token: &str| verify(token, &keys, &expected(NOW)).err();
    let token = signer.sign(&header(), &claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(refuse(&format!("{message}.")), Some(TokenError::Signature));
    let other = signer.sign(&header(), &with(claims(), "sub", json!("another")));
    let (other, _) = other.rsplit_once('.').unwrap();
    assert_eq!(
        refuse(&format!("{other}.{signature}")),
        Some(TokenError::Signature)
    );
    assert_eq!(
        refuse(&Signer::new().sign(&header(), &claims())),
        Some(TokenError::Signature)
    );
    // A key without an id may be a new one.
    let unnamed = Signer::new().sign(&json!({ "alg": "ES256" }), &claims());
    assert_eq!(refuse(&unnamed), Some(TokenError::UnknownKey));
    for malformed in ["", "a.b", "a.b.c.d.e", "!.!.!", &format!("{token}.")] {
        let found = refuse(malformed);
        assert!(
            matches!(found, Some(TokenError::Malformed(_))),
            "{malformed}: {found:?}"
        );
    }
}

#[test]
fn rs256_accepts_the_example_of_rfc_7515() {
    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql\
        L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS\
        -UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkM\
        Ls91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const MESSAGE: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
        LmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W\
        2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar\
        ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A\
        XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let keys = keys(&[json!({ "kty": "RSA", "n": N, "e": "AQAB" })]);
    let expected = Expected {
        issuer: "joe",
        ..expected(NOW)
    };
    let verify =
        |signature: &str| verify(&format!("{MESSAGE}.{signature}"), &keys, &expected).err();
    // The example has no audience, which is checked after the signature.
    assert_eq!(verify(SIGNATURE), Some(TokenError::Audience));
    assert_eq!(
        verify(&SIGNATURE.replace("cC4", "cC5")),
        Some(TokenError::UnknownKey)
    );
}

#[test]
fn keys_of_other_kinds_are_left_out() {
    let signer = Signer::new();
    let odd = [
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }),
        json!(7),
        json!({ "kid": "one" }),
    ];
    let all = [&odd[..], &[signer.to_key("one")]].concat();
    let token = signer.sign(&header(), &claims());
    assert!(verify(&token, &keys(&all), &expected(NOW)).is_ok());
    for document in ["", "{}", "[]", "{\"keys\": 7}"] {
        assert!(Keys::parse(document.as_bytes()).is_none(), "{document}");
    }
}
