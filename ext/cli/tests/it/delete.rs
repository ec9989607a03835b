//! The command `delete`.

use bigcommerce_sandbox::{Sandbox, SandboxBuilder};

use crate::support::{Ended, Server, program};

fn store() -> SandboxBuilder {
    Sandbox::builder()
        .attribute(101, "Tier")
        .attribute(102, "Points")
        .customer(1, "jane@example.com")
        .customer(2, "joe@example.com")
}

/// Starts a store where three customers have two values each.
fn server(builder: SandboxBuilder) -> Server {
    let server = Server::start(builder);
    for customer in 1..=3 {
        server.sandbox.insert(customer, 101, "Gold");
        server.sandbox.insert(customer, 102, format!("{customer}0"));
    }
    server
}

fn run<'a>(server: &Server, arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    let mut program = program(["delete"]);
    program.args(arguments).args(["--url", server.url()]);
    program.output().expect("the program runs").into()
}

/// Returns the values that are left, by customer and attribute.
fn left(server: &Server) -> Vec<(i64, i64)> {
    let values = server.sandbox.values().into_iter();
    values
        .map(|value| (value.customer_id, value.attribute_id))
        .collect()
}

const ALL: [(i64, i64); 6] = [(1, 101), (1, 102), (2, 101), (2, 102), (3, 101), (3, 102)];

#[test]
fn the_values_of_a_selection_are_counted_and_deleted() {
    let server = server(store());
    let ended = run(
        &server,
        [
            "--customers",
            "1,joe@example.com",
            "--attributes",
            "Tier",
            "--yes",
        ],
    );
    assert_eq!(
        ended,
        Ended {
            status: 0,
            stdout:
                "2 values in 1 requests: 2 deleted, 0 superseded, 0 rejected, 0 unknown, 0 not \
                     sent\n"
                    .to_owned(),
            stderr: "2 values of 2 customers selected: \"Tier\" 2\n".to_owned(),
        }
    );
    assert_eq!(left(&server), [(1, 102), (2, 102), (3, 101), (3, 102)]);
}

#[test]
fn a_dry_run_shows_the_first_values_and_deletes_nothing() {
    let server = server(store());
    let ended = run(&server, ["--attributes", "101,102", "--all", "--dry-run"]);
    assert_eq!(ended.status, 0);
    assert_eq!(
        ended.stderr,
        "6 values of 3 customers selected: \"Tier\" 3, \"Points\" 3
  customer 1, \"Tier\": \"Gold\"
  customer 1, \"Points\": \"10\"
  customer 2, \"Tier\": \"Gold\"
  customer 2, \"Points\": \"20\"
  customer 3, \"Tier\": \"Gold\"
  and 1 more
"
    );
    assert_eq!(
        ended.stdout,
        "6 values in 0 requests: 0 deleted, 6 planned, 0 superseded, 0 rejected, 0 unknown, 0 not sent\n"
    );
    assert_eq!(left(&server), ALL);
    let json = run(
        &server,
        [
            "--customers",
            "1",
            "--attributes",
            "101",
            "--dry-run",
            "--json",
        ],
    );
    assert_eq!(
        json.stdout,
        "{\"index\":0,\"row\":5001,\"kind\":\"planned\"}\n"
    );
    assert!(
        json.stderr.ends_with(
            "1 value in 0 requests: 0 deleted, 1 planned, 0 superseded, 0 rejected, 0 unknown, 0 not sent\n"
        ),
        "{}",
        json.stderr
    );
    assert_eq!(left(&server), ALL);
}

#[test]
fn what_may_be_meant_otherwise_is_refused() {
    let server = server(store());
    for (arguments, expected) in [
        (
            &["--yes"][..],
            "error: nothing says whose or which values to delete: add --customers, --file or \
             --attributes\n",
        ),
        (
            &["--modified-since", "2020-01-01", "--yes"],
            "error: nothing says whose or which values to delete: add --customers, --file or \
             --attributes\n",
        ),
        (
            &["--attributes", "Tier", "--yes"],
            "error: this would delete the values of all customers: add --all if that is meant, or \
             --customers, --file or a date\n",
        ),
        (
            &["--customers", "1"],
            "2 values of 1 customer selected: \"Tier\" 1, \"Points\" 1
  customer 1, \"Tier\": \"Gold\"
  customer 1, \"Points\": \"10\"
error: Delete 2 values? There is no terminal to ask on, so nothing was changed: add --yes\n",
        ),
    ] {
        let ended = run(&server, arguments.iter().copied());
        assert_eq!(
            (ended.status, &*ended.stderr),
            (2, expected),
            "{arguments:?}"
        );
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
    for arguments in [
        ["--customers", ""],
        ["--customers", "jane"],
        ["--attributes", ""],
        ["--modified-until", "yesterday"],
    ] {
        let ended = run(&server, arguments.into_iter().chain(["--all", "--yes"]));
        assert_eq!(ended.status, 2, "{arguments:?}");
    }
    assert_eq!(left(&server), ALL);
    assert_eq!(server.sandbox.counts().deletes, 0);
}

#[test]
fn an_unknown_customer_or_attribute_deletes_nothing() {
    let server = server(store());
    for (arguments, expected) in [
        (
            ["--customers", "1,Jane@example.com,jim@example.com"],
            "error: no customer has the e-mail address jim@example.com: correct it or leave it out; \
             nothing was deleted",
        ),
        (["--attributes", "Tier,Tear"], "\"Tear\""),
    ] {
        let ended = run(
            &server,
            arguments
                .into_iter()
                .chain(["--modified-since", "2020-01-01", "--yes"]),
        );
        assert_eq!(ended.status, 2);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    assert_eq!(left(&server), ALL);
}

#[test]
fn a_token_that_may_only_read_is_refused() {
    let server = server(store().read_only());
    let ended = run(&server, ["--customers", "1", "--yes"]);
    assert_eq!(ended.status, 3);
    assert_eq!(
        ended.stdout,
        "2 values in 1 requests: 0 deleted, 0 superseded, 0 rejected, 0 unknown, 2 not sent\n"
    );
    assert_eq!(
        ended.stderr,
        "2 values of 1 customer selected: \"Tier\" 1, \"Points\" 1
error: the run stopped early: DELETE /customers/attribute-values returned 403 (The token lacks the \
         OAuth scope to modify customers): the access token lacks the OAuth scope store_v2_customers \
         (Customers: modify): add the scope to the API account and create a new token\n"
    );
    assert_eq!(left(&server), ALL);
}

#[test]
fn customers_are_read_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("customers.csv");
    let file = path.to_str().expect("UTF-8");
    for (contents, options, gone) in [
        (
            "customer_id\n1\n3\n",
            &["--attributes", "Tier"][..],
            &[(1, 101), (3, 101)][..],
        ),
        (
            "email,name\nJane@example.com,Jane\njoe@example.com,Joe\n",
            &["--attributes", "Points"],
            &[(1, 102), (2, 102)],
        ),
        (
            "number\n20\n",
            &["--key", "external=Points"],
            &[(2, 101), (2, 102)],
        ),
        ("customer_id\n", &[], &[]),
    ] {
        let server = server(store());
        std::fs::write(&path, contents).expect("a file");
        let arguments = ["--file", file, "--yes"];
        let ended = run(
            &server,
            arguments.into_iter().chain(options.iter().copied()),
        );
        assert_eq!(ended.status, 0, "{contents}: {}", ended.stderr);
        let kept: Vec<_> = ALL
            .into_iter()
            .filter(|value| !gone.contains(value))
            .collect();
        assert_eq!(left(&server), kept, "{contents}");
    }
}

#[test]
fn a_file_with_a_wrong_line_deletes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("customers.csv");
    std::fs::write(&path, "customer_id\n1\nx2\n\n3\n").expect("a file");
    let server = server(store());
    let file = path.to_str().expect("UTF-8");
    let ended = run(&server, ["--file", file, "--yes"]);
    let expected = format!(
        "error: customers can't be read, so nothing was deleted:
  {file}:3:customer_id: \"x2\" is not a customer's ID: give a whole number of 1 or more\n"
    );
    assert_eq!((ended.status, ended.stderr), (2, expected));
    assert_eq!(left(&server), ALL);
}
