//! Tests of the command line and its help.

use clap::{CommandFactory, Parser};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn documented_commands_exist() {
    let command = Cli::command();
    let known: Vec<&str> = command.get_subcommands().map(|c| c.get_name()).collect();
    for promised in [
        "init",
        "inspect",
        "describe",
        "add",
        "list",
        "show",
        "modify",
        "refresh",
        "check-expiry",
        "delete",
        "wakeups",
        "transactions",
        "notices",
        "settings",
        "run",
        "completions",
    ] {
        assert!(known.contains(&promised), "{promised}");
    }
}

#[test]
fn the_exit_codes_are_part_of_the_help() {
    let help = Cli::command().render_help().to_string();
    assert!(help.contains("4  a person must reauthorize"), "{help}");
}

#[test]
fn help_names_every_built_in_role_and_operation() {
    let help = |line: &str| match parse(line) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{line} is not help"),
    };
    for line in [
        "relation-host user add --help",
        "relation-host key add --help",
    ] {
        let help = help(line);
        for role in relation_web::access::ROLES {
            assert!(help.contains(role.name), "{}: {help}", role.name);
        }
    }
    let help = help("relation-host role add --help");
    for operation in relation_web::access::Operation::ALL {
        assert!(help.contains(operation.description()), "{help}");
    }
}

#[test]
fn help_is_wrapped_once() {
    fn check(command: &clap::Command) {
        for text in [command.get_after_help(), command.get_after_long_help()] {
            let text = text.map(ToString::to_string).unwrap_or_default();
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let is_broken = pair.iter().all(|line| is_prose(line));
                assert!(!is_broken, "{}: {pair:?}", command.get_name());
            }
            let listed = lines.iter().filter(|line| line.starts_with(' '));
            for line in listed {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
        command.get_subcommands().for_each(check);
    }
    check(&help::join_lines(Cli::command()));
}

#[test]
fn secrets_are_not_taken_as_option_values() {
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            let name = argument.get_long().unwrap_or_default();
            let about_secrets = ["token", "proxy", "secret", "password"]
                .iter()
                .any(|word| name.contains(word));
            if about_secrets {
                let takes: Vec<String> = argument
                    .get_value_names()
                    .unwrap_or_default()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                assert_eq!(takes, ["FILE|-"], "{} --{name}", command.get_name());
            }
        }
    }
}

#[test]
fn global_options_work_before_and_after_the_command() {
    let before = parse("relation-host --json --store sqlite:a.db list").unwrap();
    let after = parse("relation-host list --json --store sqlite:a.db").unwrap();
    assert!(before.global.json && after.global.json);
    assert_eq!(before.global.store, after.global.store);
}

#[test]
fn documented_command_lines_parse() {
    for line in [
        "relation-host add --hierarchy sys.A --name A --account-number 1 --tokens -",
        "relation-host add --hierarchy sys.A --name A --set email_domain=a --idempotency-key k",
        "relation-host add --hierarchy sys.A --http-proxy-file f --https-proxy-file -",
        "relation-host add --hierarchy sys.A --fields f --wholesale --contact-center --region US",
        "relation-host list --hierarchy sys --state connected --name A --limit 10 --cursor c",
        "relation-host list --cursor -m5rA --json",
        "relation-host list --all",
        "relation-host show A --hierarchy sys.A",
        "relation-host modify A --set email_domain=a --clear notes --tokens f --fields -",
        "relation-host init --base-url http://127.0.0.1:8080/v1 --client-id C --client-secret -",
        "relation-host connect A --begin --grant wholesale-users",
        "relation-host connect --complete -",
        "relation-host refresh A",
        "relation-host check-expiry A",
        "relation-host token A --grant wholesale-users --min-valid 2h --reveal",
        "relation-host delete A --dry-run",
        "relation-host delete A --yes",
        "relation-host wakeups --hierarchy sys",
        "relation-host wakeups A",
        "relation-host transactions --subject A --status fail",
        "relation-host transactions 0190 --follow",
        "relation-host transactions --follow",
        "relation-host run --until-idle --concurrency 4",
        "relation-host --config c.toml --plugin p.wasm --log debug --log-format json run",
        "relation-host inspect p.wasm",
        "relation-host backup copy.db",
        "relation-host migrate --from sqlite:a.db --to sqlite:b.db --step 10 --dry-run",
        "relation-host migrate --reopen --from sqlite:a.db",
        "relation-host keys list",
        "relation-host keys rotate --again --step 10",
        "relation-host keys rewrap --new-key-file new.key",
        "relation-host keys rewrap --new-key-env RELATION_KEY --json",
        "relation-host keys rewrap --json --new-key-command vault read -field=key secret/relation",
        "relation-host keys retire 1 --despite-quarantined",
        "relation-host keys check",
        "relation-host completions bash",
        "relation-host role add desk --hierarchy sys.A --operations read,refresh",
        "relation-host role modify desk --operations read --operations sync",
        "relation-host settings show --resolved",
        "relation-host settings set --hierarchy sys.A recipients+=it@a.example recipients-=b thresholds=30d,2d",
        "relation-host settings set --hierarchy sys.A -",
        "relation-host settings rotate-secret --hierarchy sys.A tickets",
        "relation-host settings set-credentials --hierarchy sys.A noc",
        "relation-host notices list --record A --state dead --hierarchy sys --day 2026-12-01 --all",
        "relation-host notices resend --since 2026-12-01T08:00:00+01:00 --hierarchy sys.A",
        "relation-host notices preview A --json",
        "relation-host notices enable --hierarchy sys.A tickets",
        "relation-host notices engine-id",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn invalid_command_lines_are_refused() {
    for line in [
        "relation-host",
        "relation-host add --name A",
        "relation-host add --hierarchy sys..A",
        "relation-host list --limit 0",
        "relation-host list --all --limit 3",
        "relation-host list --state conected",
        "relation-host delete A --yes --dry-run",
        "relation-host run --concurrency 0",
        "relation-host keys rotate --step 0",
        "relation-host migrate --from sqlite:a.db",
        "relation-host migrate --reopen --to sqlite:b.db",
        "relation-host keys rewrap",
        "relation-host keys rewrap --new-key-file a --new-key-env B",
        "relation-host keys retire",
        "relation-host transactions 0190 --status fail",
        "relation-host role add desk --hierarchy sys.A",
        "relation-host role modify desk --operations read,write",
        "relation-host settings set notify=no",
        "relation-host settings set --hierarchy sys.A",
        "relation-host settings rotate-secret --hierarchy sys.A",
        "relation-host notices list --state lost",
        "relation-host notices resend",
        "relation-host notices resend 0123456789abcdef01234567 --since 2026-12-01",
        "relation-host notices test noc@a.example",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
