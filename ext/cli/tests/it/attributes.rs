//! The command `attributes`.

use bigcommerce_sandbox::{Sandbox, SandboxBuilder};

use crate::support::{Ended, Server, run};

fn builder() -> SandboxBuilder {
    let builder = Sandbox::builder().attribute(101, "Loyalty tier");
    builder.typed_attribute(102, "Points", bigcommerce_sandbox::AttributeType::Number)
}

fn on(server: &Server, arguments: &[&str]) -> Ended {
    let arguments = arguments.iter().copied();
    run(["attributes", "--url", server.url()]
        .into_iter()
        .chain(arguments))
}

fn done(stdout: &str) -> Ended {
    Ended {
        status: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

fn failed(status: i32, stderr: &str) -> Ended {
    Ended {
        status,
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}

#[test]
fn attributes_are_listed() {
    let server = Server::start(builder());
    server.sandbox.insert(7, 102, "12");
    server.sandbox.insert(8, 102, "13");
    assert_eq!(
        on(&server, &["list"]),
        done(
            " ID  name          type\n\
             101  Loyalty tier  string\n\
             102  Points        number\n"
        )
    );
    assert_eq!(
        on(&server, &["list", "--count"]),
        done(
            " ID  name          type    values\n\
             101  Loyalty tier  string       0\n\
             102  Points        number       2\n"
        )
    );
    let json = on(&server, &["list", "--count", "--json"]);
    let lines = json.stdout.lines();
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[1]["id"], 102);
    assert_eq!(lines[1]["name"], "Points");
    assert_eq!(lines[1]["type"], "number");
    assert_eq!(lines[1]["values"], 2);
}

#[test]
fn an_attribute_is_created_once() {
    let server = Server::start(builder());
    let created = done(" ID  name    type\n103  Joined  date\n");
    assert_eq!(
        on(&server, &["create", "Joined", "--type", "date"]),
        created
    );
    assert_eq!(
        on(&server, &["create", "Joined", "--type", "date"]),
        created
    );
    assert_eq!(server.sandbox.attributes().len(), 3);
    let other_type = on(&server, &["create", "Joined"]);
    assert_eq!((other_type.status, other_type.stdout.as_str()), (2, ""));
    assert!(other_type.stderr.contains("\"Joined\""), "{other_type:?}");
}

#[test]
fn an_attribute_is_renamed_by_its_name_or_its_id() {
    let server = Server::start(builder());
    let renamed = done(" ID  name  type\n101  Tier  string\n");
    assert_eq!(on(&server, &["rename", "Loyalty tier", "Tier"]), renamed);
    let renamed = done(" ID  name   type\n102  Score  number\n");
    assert_eq!(on(&server, &["rename", "102", "Score"]), renamed);
    assert_eq!(
        on(&server, &["rename", "Points", "Score"]),
        failed(
            2,
            "error: the store has no attribute \"Points\": give the name or the ID of one that it \
             defines; it defines \"Tier\" (ID 101), \"Score\" (ID 102)\n"
        )
    );
}

#[test]
fn a_name_that_is_the_id_of_another_attribute_is_refused() {
    let server = Server::start(builder().attribute(103, "101"));
    assert_eq!(
        on(&server, &["delete", "101", "--yes"]),
        failed(
            2,
            "error: 101 is the ID of attribute \"Loyalty tier\" and the name of the attribute with \
             the ID 103: rename one of them in the control panel first\n"
        )
    );
    assert_eq!(server.sandbox.attributes().len(), 3);
}

#[test]
fn an_attribute_with_values_is_deleted_on_demand_only() {
    let server = Server::start(builder());
    server.sandbox.insert(7, 102, "12");
    server.sandbox.insert(8, 102, "13");
    assert_eq!(
        on(&server, &["delete", "Points"]),
        failed(
            2,
            "error: Delete attribute \"Points\" (ID 102) with its 2 values? There is no terminal to \
             ask on, so nothing was changed: add --yes\n"
        )
    );
    assert_eq!(
        on(&server, &["delete", "Points", "--values", "1"]),
        failed(
            2,
            "error: attribute \"Points\" (ID 102) has 2 values, not 1: pass 2 to delete it with them\n"
        )
    );
    assert_eq!(server.sandbox.attributes().len(), 2);
    assert_eq!(
        on(&server, &["delete", "Points", "--values", "2"]),
        done(" ID  name    type    values\n102  Points  number       2\n")
    );
    assert_eq!(
        on(&server, &["delete", "101", "--yes"]),
        done(" ID  name          type    values\n101  Loyalty tier  string       0\n")
    );
    assert_eq!(server.sandbox.attributes().len(), 0);
}

#[test]
fn a_token_without_the_right_ends_with_its_status() {
    let server = Server::start(builder().read_only());
    let ended = on(&server, &["create", "Joined"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (3, ""));
    assert!(ended.stderr.contains("403"), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_question_is_asked_on_a_terminal_before_an_attribute_is_deleted() {
    use crate::terminal::{end, spawn};

    for (answer, status, left) in [("n", 1, 2), ("y", 0, 1)] {
        let server = Server::start(builder());
        server.sandbox.insert(7, 102, "12");
        let mut session = spawn(&server, ["attributes", "delete", "Points"]);
        session
            .exp_string("Delete attribute \"Points\" (ID 102) with its value? [y/N] ")
            .expect("a question");
        session.send_line(answer).expect("an answer");
        let (ended, rest) = end(&mut session);
        assert_eq!(ended, status, "{rest}");
        assert_eq!(server.sandbox.attributes().len(), left, "{rest}");
    }
}
