//! The example that embeds the host works.

use std::process::Command;

use relation_e2e::artifacts;

#[test]
fn embedding_example_adds_a_customer() {
    let output = Command::new(artifacts::example("embed"))
        .arg(artifacts::component())
        .output()
        .expect("the example starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("Contoso is not-connected"), "{stdout}");
    let created = |model: &str| {
        let lines = stdout.lines().filter(|line| line.starts_with("created "));
        lines.filter(|line| line.contains(model)).count()
    };
    let counts = ["data/SparkCustomer", "data/DataSync", "data/Schedule"].map(created);
    assert_eq!(counts, [1, 3, 2], "{stdout}");
}
