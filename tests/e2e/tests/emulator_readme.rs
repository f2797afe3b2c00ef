//! The emulator's README: its first section leads to a connected customer.

use std::process::Command;

use relation_e2e::artifacts;
use relation_e2e::optional_programs::{find_program, report_skipped};
use relation_e2e::process::{Workspace, eventually, free_address};

const README: &str = include_str!("../../webex-emulator/README.md");

/// Returns the blocks of this language in the first section, with other addresses for the two servers.
fn blocks(language: &str, webex: &str, callback: &str) -> Vec<String> {
    let section = README.split("\n## ").nth(1).expect("a first section");
    let blocks = section.split("```").skip(1).step_by(2);
    let blocks = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    let moved = |block: &str| {
        let block = block.replace("127.0.0.1:8080", webex);
        block.replace("127.0.0.1:8400", callback)
    };
    blocks.map(moved).collect()
}

#[test]
fn first_section_leads_to_a_connected_customer() {
    if find_program("curl").is_none() {
        return report_skipped("curl is not installed", "RELATION_REQUIRE_CLIENTS");
    }
    let [webex, callback] = [(); 2].map(|()| free_address("127.0.0.1").to_string());
    let [emulator, commands, accept] = &blocks("sh", &webex, &callback)[..] else {
        panic!("the section has other blocks");
    };

    let workspace = Workspace::new("", "").without_store();
    for file in ["relation.toml", "client-secret"] {
        std::fs::remove_file(workspace.path(file)).unwrap();
    }

    let arguments = emulator
        .trim()
        .strip_prefix("cargo run -p webex-emulator -- ");
    let arguments = arguments
        .expect("the emulator's command")
        .split_whitespace();
    let emulator = workspace.program("webex-emulator", arguments).start();
    let address = format!("webex emulator listening on http://{webex}/v1 (client id C");
    eventually("the emulator is ready", || {
        emulator.stdout().contains(&address).then_some(())
    });

    let (connect, setup) = commands
        .trim()
        .rsplit_once('\n')
        .map(|(a, b)| (b, a))
        .unwrap();
    for line in setup.lines() {
        match line.strip_prefix("relation-host ") {
            Some(arguments) => {
                let arguments = arguments.split_whitespace();
                workspace.relation(arguments).run().succeeds();
            }
            None => shell(&workspace, line, ""),
        }
    }
    // The default address of the callback may be taken here.
    let configuration = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let configuration = configuration.replace("127.0.0.1:8400", &callback);
    workspace.write("relation.toml", &configuration);
    let arguments = connect.strip_prefix("relation-host ").unwrap();
    let connect = workspace.relation(arguments.split_whitespace()).start();
    let link = eventually("connect has printed its link", || {
        let printed = connect.stdout();
        let link = printed.lines().find(|line| line.starts_with("http"))?;
        printed.ends_with('\n').then(|| link.to_owned())
    });
    shell(&workspace, accept, &link);
    connect.wait().succeeds();
    let list = workspace.json(["list"]);
    assert_eq!(list["items"][0]["name"], "Contoso");
    assert_eq!(list["items"][0]["state"], "connected");
}

/// Runs a line in the workspace's directory, with this link in `link`.
#[track_caller]
fn shell(workspace: &Workspace, line: &str, link: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(workspace.directory());
    let programs = artifacts::program("relation-host");
    let programs = programs.parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{programs}:{path}"));
    shell.env("XDG_CACHE_HOME", artifacts::caches());
    let output = shell.env("link", link).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}
