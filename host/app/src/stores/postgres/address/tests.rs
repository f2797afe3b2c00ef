use secrecy::ExposeSecret as _;

use super::*;

const CANARY: &str = "canary-9d1f";

fn parse(url: &str) -> Address {
    match Address::parse(url.split_once(':').unwrap().1, Path::new("/etc/relation")) {
        Ok(address) => address,
        Err(errors) => panic!("{url}: {errors:?}"),
    }
}

fn errors(url: &str) -> Vec<String> {
    let parsed = Address::parse(url.split_once(':').unwrap().1, Path::new("/etc"));
    parsed.unwrap_err()
}

#[test]
fn password_is_taken_and_never_shown() {
    for url in [
        format!("postgres://relation:{CANARY}@db.example.com/relation"),
        format!("postgresql://relation:{CANARY}@db.example.com/relation"),
        format!("postgres://relation@db.example.com/relation?password={CANARY}"),
    ] {
        let address = parse(&url);
        assert_eq!(
            address.to_string(),
            "postgres://relation@db.example.com/relation"
        );
        assert_eq!(format!("{address:?}"), address.to_string());
        assert!(!address.connection().contains(CANARY));
        assert_eq!(address.password.unwrap().expose_secret(), CANARY);
    }
    let encoded = parse("postgres://u:p%40s%3As%2F%3F@h/d").password.unwrap();
    assert_eq!(encoded.expose_secret(), "p@s:s/?");
}

#[test]
fn errors_do_not_repeat_a_part_of_a_password() {
    for url in [
        "postgres://u:canary@canary@h/d",
        "postgres://u:canary?canary@h/d",
        "postgres://u:canary?canary=canary@h/d",
        "postgres://u:canary%FF@h/d",
        "postgres://u:canary@h:canary/d",
        "postgres:canary",
        "postgres://h/d?Canary9=canary&canary&sslmode=canary&port=canary&prepare=canary",
        "postgres://u:canary@h/d?password=canary",
    ] {
        let errors = errors(url);
        assert!(!errors.is_empty());
        let text = errors.join("; ");
        assert!(!text.to_lowercase().contains("canary"), "{url}: {text}");
    }
}

#[test]
fn all_errors_are_named_at_once() {
    let url = "postgres://u@h:99999/?sslmode=allow&conect_timeout=1&prepare=maybe&port=x\
               &target_session_attrs=read-only&user=a&user=b";
    assert_eq!(
        errors(url),
        [
            "a port is a number from 1 to 65535",
            "an option is unknown; did you mean `connect_timeout`?",
            "`prepare` is true or false",
            "`port` is a whole number",
            "`target_session_attrs` is any or read-write",
            "`user` is given twice",
            "name the database after the server: postgres://relation@db.example.com/relation",
            "`sslmode` is disable, prefer, require or verify-full; the last two check the certificate",
        ]
    );
    assert_eq!(
        errors("postgres:///d"),
        ["name the server, or the directory of its socket: `?host=/var/run/postgresql`"]
    );
    let twice = errors("postgres://u:p@h/d?password-file=f");
    assert_eq!(
        twice,
        ["name the password once: in the URL, or by `password-file`"]
    );
    let passfile = errors("postgres://u@h/d?passfile=f");
    assert!(passfile[0].contains("`password-file`"), "{passfile:?}");
}

#[test]
fn tls_is_required_on_the_way_to_another_machine() {
    let mode = |url: &str| {
        let address = parse(url);
        let (_, mode) = address.connection().rsplit_once("sslmode=").unwrap();
        (mode.to_owned(), address.is_remote)
    };
    for (url, expected, is_remote) in [
        ("postgres://h/d", "require", true),
        ("postgres://h/d?sslmode=verify-full", "require", true),
        ("postgres://h/d?sslmode=prefer", "prefer", true),
        ("postgres://h/d?sslmode=disable", "disable", true),
        ("postgres://localhost,h/d", "require", true),
        (
            "postgres://localhost,127.0.0.1:5433,[::1]:5434/d",
            "disable",
            false,
        ),
        ("postgres://localhost/d?sslmode=require", "require", false),
        ("postgres:///d?host=/run/pg", "disable", false),
        ("postgres://%2Frun%2Fpg/d", "disable", false),
    ] {
        assert_eq!(mode(url), (expected.to_owned(), is_remote), "{url}");
    }
    assert_eq!(
        errors("postgres:///d?host=/run/pg&sslmode=require"),
        ["a socket has no TLS: leave `sslmode` out"]
    );
}

#[test]
fn files_are_relative_to_the_configuration() {
    let address = parse("postgres://h/d?password-file=a%26b&sslrootcert=/ca.pem&pgbouncer=true");
    assert_eq!(address.password_file, Some("/etc/relation/a&b".into()));
    assert_eq!(address.root_certificates, Some("/ca.pem".into()));
    assert!(!address.prepare);
    let shown =
        "postgres://h/d?password-file=/etc/relation/a%26b&sslrootcert=/ca.pem&pgbouncer=true";
    assert_eq!(address.to_string(), shown);
    assert_eq!(parse(shown).to_string(), shown);
    assert_eq!(address.connection(), "postgres://h/d?sslmode=require");
    assert!(parse("postgres://h/d?pgbouncer=false&prepare=true").prepare);
    assert!(!parse("postgres://h/d?prepare=false").prepare);
    let system = parse("postgres://h/d?sslrootcert=system");
    assert_eq!(system.root_certificates, None);
}

#[test]
fn client_library_gets_every_server_and_option() {
    let url = "postgres://a%40b@h1:5433,[2001:db8::1]/my%20db?application_name=x%40y%26z&connect_timeout=3";
    let config: tokio_postgres::Config = parse(url).connection().parse().unwrap();
    assert_eq!(config.get_user(), Some("a@b"));
    assert_eq!(config.get_dbname(), Some("my db"));
    assert_eq!(config.get_application_name(), Some("x@y&z"));
    assert_eq!(config.get_hosts().len(), 2);
    assert_eq!(config.get_ports(), [5433, 5432]);
    let url = "postgres:///?host=h1,h2&port=1,2&dbname=d&user=a@b";
    let config: tokio_postgres::Config = parse(url).connection().parse().unwrap();
    assert_eq!(config.get_hosts().len(), 2);
    assert_eq!(config.get_user(), Some("a@b"));
}
