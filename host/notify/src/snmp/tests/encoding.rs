//! Encodings against bytes that were computed by hand, and the reader against the writer and arbitrary bytes.

use proptest::prelude::*;

use super::super::ber::{SEQUENCE, Value, Writer};
use super::super::engine::{EngineId, EngineTime};
use super::super::message::{
    RESPONSE, ReceivedMessage, TRAP, UserMessage, build_community_message, build_pdu,
    read_community_message,
};
use super::super::oid::Oid;
use super::super::reader::{ReadError, Reader};
use super::super::usm::{AuthProtocol, UserKeys};

fn encode(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    hex::encode(writer.into_bytes())
}

fn oid(text: &str) -> Oid {
    Oid::parse(text).unwrap()
}

#[test]
fn integers_have_the_least_number_of_octets() {
    for (value, expected) in [
        (0, "020100"),
        (127, "02017f"),
        (128, "02020080"),
        (256, "02020100"),
        (-1, "0201ff"),
        (-128, "020180"),
        (-129, "0202ff7f"),
        (i32::MAX, "02047fffffff"),
        (i32::MIN, "020480000000"),
    ] {
        assert_eq!(encode(|writer| writer.integer(value)), expected, "{value}");
    }
    for (value, expected) in [
        (Value::Gauge(0), "420100"),
        (Value::Gauge(u32::MAX), "420500ffffffff"),
        (Value::Ticks(0x80), "43020080"),
    ] {
        assert_eq!(encode(|writer| writer.value(&value)), expected);
    }
}

#[test]
fn object_identifiers_use_base_128() {
    for (text, expected) in [
        ("1.3.6.1.2.1.1.3.0", "06082b06010201010300"),
        ("1.3.6.1.4.1.32473.1", "06092b0601040181fd5901"),
        ("2.999.3", "0603883703"),
        ("0.39", "060127"),
        ("2.4294967215", "06058fffffff7f"),
        ("1.0.4294967295", "0606288fffffff7f"),
    ] {
        assert_eq!(encode(|writer| writer.oid(&oid(text))), expected, "{text}");
    }
    for bad in [
        "",
        "1",
        "3.1",
        "1.40",
        "1.3.",
        "1..3",
        "1.3.x",
        "1.3.-1",
        "1.+3",
        "1.3.4294967296",
        "2.4294967216",
    ] {
        assert!(Oid::parse(bad).is_err(), "{bad}");
    }
    assert!(Oid::parse(&"1.".repeat(200)).is_err());
    assert_eq!(oid(".1.3.6").to_string(), "1.3.6");
}

#[test]
fn lengths_have_short_and_long_forms() {
    for (length, expected) in [
        (0, "0400"),
        (127, "047f"),
        (128, "048180"),
        (255, "0481ff"),
        (256, "04820100"),
    ] {
        let encoded = encode(|writer| writer.octets(&vec![0xaa; length]));
        assert_eq!(encoded.split("aa").next(), Some(expected));
    }
}

#[test]
fn community_trap_is_that_computed_by_hand() {
    let bindings = [
        (oid("1.3.6.1.2.1.1.3.0"), Value::Ticks(100)),
        (
            oid("1.3.6.1.6.3.1.1.4.1.0"),
            Value::Oid(oid("1.3.6.1.4.1.32473.1.0.9")),
        ),
    ];
    let message = build_community_message("public", &build_pdu(TRAP, 1, &bindings));
    let expected = [
        // The message: version 1 (v2c) and the community.
        "3042020101",
        "04067075626c6963",
        // The trap: request id 1, error status and index 0.
        "a735020101020100020100",
        // The list: sysUpTime.0 = 100.
        "302a",
        "300d",
        "06082b06010201010300",
        "430164",
        // snmpTrapOID.0 = relationTest.
        "3019",
        "060a2b060106030101040100",
        "060b2b0601040181fd59010009",
    ];
    let expected = expected.concat();
    assert_eq!(hex::encode(&message), expected);
}

#[test]
fn responses_are_read() {
    let pdu = build_pdu(RESPONSE, 77, &[(oid("1.3.6.1"), Value::Integer(1))]);
    let reply = read_community_message(&build_community_message("x", &pdu)).unwrap();
    assert_eq!((reply.request_id, reply.error_status), (77, 0));
    assert_eq!(reply.first_name, Some(oid("1.3.6.1")));
    // Another type.
    let pdu = build_pdu(SEQUENCE, 77, &[]);
    assert!(read_community_message(&build_community_message("x", &pdu)).is_err());
}

#[test]
fn malformed_values_are_refused() {
    for (bytes, expected) in [
        ("", ReadError::Truncated),
        ("02", ReadError::Truncated),
        ("0201", ReadError::Truncated),
        ("0200", ReadError::Number),
        ("0206010000000000", ReadError::Number),
        ("02050100000000", ReadError::Number),
        ("0280", ReadError::Length),
        ("02850000000001ff", ReadError::Length),
        ("0284ffffffff00", ReadError::Truncated),
        (
            "040101",
            ReadError::Tag {
                expected: 2,
                found: 4,
            },
        ),
    ] {
        let bytes = hex::decode(bytes).unwrap();
        assert_eq!(Reader::new(&bytes).integer(), Err(expected), "{bytes:x?}");
    }
    for bytes in ["0600", "060180", "06022b80", "06072b90ffffffff7f"] {
        let bytes = hex::decode(bytes).unwrap();
        assert_eq!(Reader::new(&bytes).oid(), Err(ReadError::Oid), "{bytes:x?}");
    }
}

fn arcs() -> impl Strategy<Value = Oid> {
    (
        0..3u32,
        0..40u32,
        prop::collection::vec(any::<u32>(), 0..20),
    )
        .prop_map(|(first, second, rest)| {
            Oid::new([&[first, second], rest.as_slice()].concat()).unwrap()
        })
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::Integer),
        prop::collection::vec(any::<u8>(), 0..400).prop_map(Value::Octets),
        arcs().prop_map(Value::Oid),
        any::<u32>().prop_map(Value::Gauge),
        any::<u32>().prop_map(Value::Ticks),
    ]
}

/// Returns a user's keys once, since deriving them takes time.
fn keys(privacy: bool) -> &'static UserKeys {
    static KEYS: std::sync::OnceLock<[UserKeys; 2]> = std::sync::OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let password = "maplesyrup".into();
        [
            UserKeys::derive(AuthProtocol::Sha512, &password, None),
            UserKeys::derive(AuthProtocol::Sha256, &password, Some(&password)),
        ]
    });
    &keys[usize::from(privacy)]
}

fn user_message(id: i32, salt: u64, privacy: bool, pdu: &[u8]) -> Vec<u8> {
    let engine = EngineId::derive(32473, "installation", "host");
    UserMessage {
        id,
        reportable: false,
        engine: engine.as_octets(),
        time: EngineTime {
            boots: 3,
            seconds: 70_000,
        },
        user: "relation",
        keys: Some(&keys(privacy).localize(&engine)),
        salt: salt.to_be_bytes(),
        context_engine: engine.as_octets(),
    }
    .build(pdu)
}

proptest! {
    #[test]
    fn written_values_are_read(bindings in prop::collection::vec((arcs(), values()), 0..8), id: i32) {
        let pdu = build_pdu(RESPONSE, id, &bindings);
        let mut whole = Reader::new(&pdu);
        let mut content = whole.nested(RESPONSE).unwrap();
        whole.finish().unwrap();
        prop_assert_eq!(content.integer(), Ok(id));
        prop_assert_eq!(content.integer(), Ok(0));
        prop_assert_eq!(content.integer(), Ok(0));
        let mut list = content.nested(SEQUENCE).unwrap();
        content.finish().unwrap();
        for (name, value) in bindings {
            let mut binding = list.sequence().unwrap();
            prop_assert_eq!(binding.oid(), Ok(name));
            prop_assert_eq!(binding.value(), Ok(value));
            binding.finish().unwrap();
        }
        list.finish().unwrap();
    }

    #[test]
    fn user_messages_are_read_and_protected(
        id in 0..=i32::MAX, request_id: i32, salt: u64, privacy: bool, octets in prop::collection::vec(any::<u8>(), 0..400),
        flipped: prop::sample::Index,
    ) {
        let pdu = build_pdu(RESPONSE, request_id, &[(oid("1.3.6.1"), Value::Octets(octets))]);
        let mut message = user_message(id, salt, privacy, &pdu);
        let engine = EngineId::derive(32473, "installation", "host");
        let localized = keys(privacy).localize(&engine);
        {
            let reply = ReceivedMessage::read(&message).unwrap();
            prop_assert_eq!(reply.id, id);
            prop_assert_eq!(reply.engine.as_ref(), Some(&engine));
            prop_assert_eq!(reply.time, EngineTime { boots: 3, seconds: 70_000 });
            prop_assert_eq!(reply.user, b"relation");
            prop_assert!(reply.is_authenticated() && reply.verify(&localized));
            prop_assert_eq!(reply.is_encrypted(), privacy);
            prop_assert_eq!(reply.open(Some(&localized)).unwrap().request_id, request_id);
        }
        // Any changed bit is noticed.
        let at = flipped.index(message.len() * 8);
        message[at / 8] ^= 1 << (at % 8);
        if let Ok(reply) = ReceivedMessage::read(&message) {
            prop_assert!(!reply.verify(&localized));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_community_message(&bytes);
        let _ = Reader::new(&bytes).value();
        if let Ok(reply) = ReceivedMessage::read(&bytes) {
            let _ = reply.open(None);
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        privacy: bool, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut: prop::sample::Index,
    ) {
        let pdu = build_pdu(RESPONSE, 7, &[(oid("1.3.6.1"), Value::Octets(vec![1; 40]))]);
        let community = build_community_message("public", &pdu);
        let engine = EngineId::derive(32473, "installation", "host");
        let localized = keys(privacy).localize(&engine);
        for mut message in [community, user_message(1, 1, privacy, &pdu)] {
            for (at, octet) in &damage {
                let at = at.index(message.len());
                message[at] = *octet;
            }
            message.truncate(cut.index(message.len()) + 1);
            let _ = read_community_message(&message);
            if let Ok(reply) = ReceivedMessage::read(&message) {
                reply.verify(&localized);
                let _ = reply.open(Some(&localized));
            }
        }
    }
}
