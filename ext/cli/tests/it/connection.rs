//! Which store is named, and where the token comes from.

use std::fs;

use assert_cmd::Command;
use bigcommerce_sandbox::Sandbox;
use tempfile::TempDir;

use crate::support::{Ended, Server, program, run};

const LIST: [&str; 2] = ["attributes", "list"];
const HOW_TO_NAME: &str = "set BIGCOMMERCE_STORE_HASH (or BIGCOMMERCE_BASE_URL) and BIGCOMMERCE_ACCESS_TOKEN, or give \
     --url, or give --profile for a profile of the configuration file; --sandbox tries the program \
     without a store";

/// A store that accepts one token, with one attribute.
fn store(token: &str, attribute: &str) -> Server {
    Server::start(Sandbox::builder().token(token).attribute(101, attribute))
}

/// A folder of configuration files with a file for the program.
struct ConfigFolder(TempDir);

impl ConfigFolder {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = folder.path().join("bigcommerce-attributes");
        fs::create_dir(&config).expect("a folder");
        fs::write(config.join("config.toml"), text).expect("a file");
        Self(folder)
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let arguments = LIST.iter().chain(arguments).copied();
        let mut program = program(arguments);
        program.env("XDG_CONFIG_HOME", self.0.path());
        program
    }
}

fn end(mut program: Command) -> Ended {
    program.output().expect("the program runs").into()
}

/// Asserts that the list of attributes shows this one.
fn assert_lists(ended: &Ended, attribute: &str) {
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.status, 0);
    let last = ended.stdout.lines().last().unwrap_or_default();
    assert!(last.contains(attribute), "{ended:?}");
}

fn assert_refused(ended: &Ended, error: &str) {
    assert_eq!(ended.stderr, format!("error: {error}\n"));
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
}

#[test]
fn without_a_store_the_error_says_how_to_name_one() {
    let error = format!("no store is named: {HOW_TO_NAME}");
    assert_refused(&run(LIST), &error);
    let empty = ["BIGCOMMERCE_STORE_HASH", "BIGCOMMERCE_BASE_URL"];
    let mut program = program(LIST);
    program.envs(empty.map(|name| (name, "")));
    assert_refused(&end(program), &error);
}

#[test]
fn a_store_that_can_not_be_named_so_is_refused() {
    let mut mistyped = program(LIST);
    mistyped
        .env("BIGCOMMERCE_STORE_HASH", "Abc123")
        .env("BIGCOMMERCE_ACCESS_TOKEN", "s3cr3t");
    assert_refused(
        &end(mistyped),
        &format!(
            "BIGCOMMERCE_STORE_HASH: invalid store hash \"Abc123\": it must be 1 to 64 lower-case \
             letters and digits; copy it from the store's API path, stores/{{store_hash}}/v3; to name \
             a store, {HOW_TO_NAME}"
        ),
    );
    let url = "https://user:p4ss@shop.example/v3";
    let mut program = program(LIST);
    program
        .args(["--url", url])
        .env("BIGCOMMERCE_ACCESS_TOKEN", "s3cr3t");
    let ended = end(program);
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: --url: invalid base URL: it contains a user name")
    );
    assert!(!ended.stderr.contains("p4ss"), "{ended:?}");
}

#[test]
fn the_sandbox_has_a_store_of_its_own() {
    let mut program = program(LIST);
    program
        .arg("--sandbox")
        .env("BIGCOMMERCE_STORE_HASH", "abc123")
        .env("BIGCOMMERCE_REDIS_URL", "redis://127.0.0.1:1");
    assert_lists(&end(program), "tenure_weeks");
    for option in [
        "--url=x",
        "--profile=x",
        "--config=x",
        "--token-stdin",
        "--token-command=x",
    ] {
        let ended = run([LIST[0], LIST[1], "--sandbox", option]);
        assert_eq!(ended.status, 2, "{option}");
        assert!(ended.stderr.contains("cannot be used with"), "{ended:?}");
    }
}

#[test]
fn an_option_comes_before_the_environment_and_the_environment_before_the_file() {
    let of_option = store("t", "of the option");
    let of_environment = store("t", "of the environment");
    let of_file = store("t", "of the file");
    let config = ConfigFolder::new(&format!(
        "[profile.main]\nurl = \"{}\"\ntoken_command = [\"echo\", \"t\"]\n",
        of_file.url()
    ));
    assert_lists(&end(config.program(&[])), "of the file");
    assert_lists(&end(config.program(&["--profile", "main"])), "of the file");

    let variables = [
        ("BIGCOMMERCE_BASE_URL", of_environment.url()),
        ("BIGCOMMERCE_ACCESS_TOKEN", "t"),
    ];
    let with_variables = |arguments: &[&str]| {
        let mut program = config.program(arguments);
        program.envs(variables);
        end(program)
    };
    assert_lists(&with_variables(&[]), "of the environment");
    assert_lists(
        &with_variables(&["--url", of_option.url()]),
        "of the option",
    );
    assert_lists(&with_variables(&["--profile", "main"]), "of the file");
    let file = config.0.path().join("bigcommerce-attributes/config.toml");
    let file = file.to_str().expect("UTF-8");
    assert_lists(&with_variables(&["--config", file]), "of the file");
}

#[test]
fn the_token_of_a_named_profile_comes_before_that_of_the_environment() {
    let store = store("of the profile", "Tier");
    let config = ConfigFolder::new(&format!(
        "default_profile = \"main\"\n[profile.main]\nurl = \"{}\"\ntoken_env = \"SHOP_TOKEN\"\n",
        store.url()
    ));
    let with_tokens = |arguments: &[&str], shop: &str, global: &str| {
        let mut program = config.program(arguments);
        program
            .env("SHOP_TOKEN", shop)
            .env("BIGCOMMERCE_ACCESS_TOKEN", global);
        end(program)
    };
    let named = ["--profile", "main"];
    assert_lists(&with_tokens(&named, "of the profile", "wrong"), "Tier");
    assert_lists(&with_tokens(&[], "wrong", "of the profile"), "Tier");
    assert_eq!(with_tokens(&[], "of the profile", "wrong").status, 3);
    assert_refused(
        &with_tokens(&named, "", "wrong"),
        "the environment variable SHOP_TOKEN is not set, which profile main names for its access token",
    );
}

#[test]
fn the_token_comes_from_standard_input_or_a_command() {
    let store = store("s3cr3t", "Tier");
    let listing = |arguments: &[&str], input: &str| {
        let mut program = program(LIST);
        program
            .args(["--url", store.url()])
            .args(arguments)
            .env("BIGCOMMERCE_ACCESS_TOKEN", "wrong")
            .write_stdin(input);
        end(program)
    };
    assert_lists(&listing(&["--token-stdin"], "s3cr3t\nnext"), "Tier");
    assert_lists(&listing(&["--token-stdin"], "s3cr3t\r\n"), "Tier");
    assert_refused(
        &listing(&["--token-stdin"], "\ns3cr3t"),
        "standard input has no access token in its first line: write the token to it",
    );
    let command = "--token-command";
    assert_lists(&listing(&[command, "echo s3cr3t && echo next"], ""), "Tier");
    assert_refused(
        &listing(&[command, "echo s3cr3t && exit 7"], ""),
        "the command of --token-command failed (exit status: 7), so there is no access token: run it \
         by hand to see why",
    );
    assert_refused(
        &listing(&[command, "true"], ""),
        "the command of --token-command printed no access token in its first line: run it by hand to \
         see why",
    );
    let ended = listing(&["--token-stdin", command, "true"], "");
    assert!(ended.stderr.contains("cannot be used with"), "{ended:?}");
    assert_eq!(listing(&[], "").status, 3);
}

#[test]
fn standard_input_is_not_both_the_token_and_the_file() {
    let store = store("s3cr3t", "Tier");
    for command in [
        &["import", "-"][..],
        &["diff", "-"],
        &["sync", "--yes", "-"],
        &["delete", "--yes", "--file", "-"],
    ] {
        let mut program = program(command.iter().copied());
        program
            .args(["--url", store.url(), "--token-stdin"])
            .write_stdin("s3cr3t\ncustomer_id,Tier\n7,Gold\n");
        let ended = end(program);
        assert_eq!(ended.status, 2, "{command:?}");
        assert!(
            ended
                .stderr
                .starts_with("error: standard input can't be both the access token"),
            "{ended:?}"
        );
    }
    assert_eq!(store.sandbox.counts().requests, 0);
}

#[test]
fn a_store_on_this_machine_needs_no_token_and_another_one_does() {
    let store = Server::start(Sandbox::builder().attribute(101, "Tier"));
    assert_lists(&run([LIST[0], LIST[1], "--url", store.url()]), "Tier");
    let remote = "https://shop.example/stores/abc/v3";
    assert_refused(
        &run([LIST[0], LIST[1], "--url", remote]),
        &format!(
            "there is no access token for {remote}: set BIGCOMMERCE_ACCESS_TOKEN, give --token-stdin \
             or --token-command, or add token_command or token_env to a profile"
        ),
    );
}

#[test]
fn errors_of_the_configuration_file_name_the_file_and_the_line() {
    let config = ConfigFolder::new("[profile.main]\nstore_hash = \"abc\"\ntoken = \"s3cr3t\"\n");
    let ended = end(config.program(&[]));
    let file = config.0.path().join("bigcommerce-attributes/config.toml");
    let place = format!("error: {}:3:1: unknown field `token`", file.display());
    assert!(ended.stderr.starts_with(&place), "{ended:?}");
    assert!(!ended.stderr.contains("s3cr3t"), "{ended:?}");
    assert_eq!(ended.status, 2);

    let config = ConfigFolder::new("[profile.main]\nstore_hash = \"abc\"\nmax_in_flight = 0\n");
    let mut program = config.program(&[]);
    program.env("BIGCOMMERCE_ACCESS_TOKEN", "t");
    let ended = end(program);
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: the configuration file, profile main: limits: "),
        "{ended:?}"
    );
    let ended = run([LIST[0], LIST[1], "--config", "/nonexistent/config.toml"]);
    assert_refused(
        &ended,
        "/nonexistent/config.toml: there is no such configuration file: create it, or name another \
         one with --config",
    );
}

#[test]
fn a_redis_with_a_password_is_named_by_the_environment_only() {
    let ended = run([
        LIST[0],
        LIST[1],
        "--sandbox",
        "--redis",
        "redis://:p4ss@127.0.0.1:1",
    ]);
    assert_refused(
        &ended,
        "--redis contains a user name or a password, which other users of this machine could read: \
         set the environment variable BIGCOMMERCE_REDIS_URL to the URL",
    );
    let config = ConfigFolder::new(
        "[profile.main]\nurl = \"http://127.0.0.1:1\"\nredis = \"redis://:p4ss@127.0.0.1:1\"\n",
    );
    let ended = end(config.program(&[]));
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: the redis of profile main contains"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("p4ss"), "{ended:?}");
}

#[test]
fn a_profile_without_a_file_is_refused() {
    let ended = run([LIST[0], LIST[1], "--profile", "main"]);
    assert_refused(
        &ended,
        "/nonexistent/.config/bigcommerce-attributes/config.toml: there is no such configuration \
         file: create it, or name another one with --config",
    );
}

#[cfg(unix)]
#[test]
fn a_terminal_is_not_asked_for_the_token_which_it_would_show() {
    use crate::terminal::{end, spawn};

    let store = store("s3cr3t", "Tier");
    let mut session = spawn(&store, ["attributes", "list", "--token-stdin"]);
    session
        .exp_string("standard input is a terminal, which would show the access token")
        .expect("an error");
    assert_eq!(end(&mut session).0, 2);
}
