//! Help and version.

use crate::support::run;

#[test]
fn every_command_has_help_and_the_exit_statuses_are_told() {
    let program = run(["--help"]);
    assert_eq!((program.status, program.stderr.as_str()), (0, ""));
    assert!(
        program.stdout.contains("\nExit status:\n  0    done\n"),
        "{}",
        program.stdout
    );
    let (_, commands) = program
        .stdout
        .split_once("Commands:\n")
        .expect("the commands");
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = lines
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names.len(), 11, "{names:?}");
    // The help of the help is the same.
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = run([name, "--help"]);
        assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{name}");
        assert!(
            help.stdout.contains("Usage: bigcommerce-attributes"),
            "{name}: {help:?}"
        );
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let ended = run(["--version"]);
    let version = concat!("bigcommerce-attributes ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, version));
}

#[test]
fn wrong_usage_has_its_status_and_shows_no_value() {
    for arguments in [
        &["improt"][..],
        &[],
        &["export", "--token=s3cr3t"],
        &["export", "--token", "s3cr3t"],
    ] {
        let ended = run(arguments.iter().copied());
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        assert!(!ended.stderr.contains("s3cr3t"), "{ended:?}");
    }
}
