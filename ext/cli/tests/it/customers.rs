//! The command `customers`.

use bigcommerce_sandbox::{Sandbox, SandboxCustomer};

use crate::support::{Ended, Server, run};

#[test]
fn customers_are_found_by_address() {
    let server = Server::start(Sandbox::builder().customers([
        SandboxCustomer::new(7, "Jane@Example.com").in_channels([1, 2]),
        SandboxCustomer::new(1204, "jane@example.com"),
        SandboxCustomer::new(9, "joe@example.com"),
    ]));
    let find = ["customers", "find", "--url", server.url()];
    let with = |arguments: &[&str]| run(find.iter().chain(arguments).copied());
    assert_eq!(
        with(&["jane@example.com", " JOE@example.com"]),
        Ended {
            status: 0,
            stdout: "  ID  e-mail address    name  channels\n\
                     \u{20}  7  Jane@Example.com        1, 2\n\
                     \u{20}  9  joe@example.com         all\n\
                     1204  jane@example.com        all\n"
                .to_owned(),
            stderr: String::new(),
        }
    );
    assert_eq!(
        with(&["nobody@example.com", "joe@example.com"]),
        Ended {
            status: 1,
            stdout: "ID  e-mail address   name  channels\n 9  joe@example.com        all\n"
                .to_owned(),
            stderr: "no customer has the address \"nobody@example.com\"\n".to_owned(),
        }
    );
    let json = with(&["jane@example.com", "--json"]);
    let ids = json.stdout.lines().map(|line| {
        let customer: serde_json::Value = serde_json::from_str(line).expect("JSON");
        customer["id"].as_i64().expect("an ID")
    });
    assert_eq!(ids.collect::<Vec<_>>(), [7, 1204]);
    assert_eq!(with(&["nobody"]).status, 2);
    assert_eq!(run(["customers", "find"]).status, 2);
}
