//! The command `export`, and that `import` reads what it writes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;

use bigcommerce_sandbox::{Fault, FaultPlan, Sandbox};
use flate2::read::MultiGzDecoder;

use crate::files::{Shop, cdnow, last_line, small, values};

/// A store with values that are hard to write.
fn odd() -> Shop {
    let shop = Shop::start(
        small()
            .attribute(103, "Notiz é, \"alt\"")
            .attribute(104, "value")
            .attribute(105, "customer_id")
            .customer(300, "k+a@example.com"),
    );
    for (customer, attribute, value) in [
        (7, 101, "Gold"),
        (7, 103, "a, \"b\"\r\nc\n"),
        (8, 102, "30"),
        (8, 104, " spaced "),
        (300, 101, "é;\t"),
        (300, 105, "x"),
    ] {
        shop.sandbox().insert(customer, attribute, value);
    }
    shop
}

#[test]
fn what_is_exported_in_any_form_is_imported_as_it_was() {
    for (name, options) in [
        ("wide.csv", &[][..]),
        ("long.csv", &["--layout", "long"]),
        ("a.jsonl", &[]),
        ("a.json.gz", &["--layout", "wide"]),
        ("email.csv.gz", &["--key", "email"]),
        ("email.ndjson", &["--key", "email", "--layout", "long"]),
        (
            "email",
            &["--key", "email", "--layout", "long", "--format", "csv"],
        ),
        ("some.csv", &["--customers", "7,8,300", "--key", "email"]),
    ] {
        let shop = odd();
        let other = Shop::start(
            small()
                .attribute(103, "Notiz é, \"alt\"")
                .attribute(104, "value")
                .attribute(105, "customer_id")
                .customer(300, "k+a@example.com"),
        );
        let file = other.path(name);
        let output = ["export", "--output", file.to_str().expect("a path")];
        let ended = shop.run(&[&output, options].concat());
        assert_eq!(
            (ended.status, &*ended.stdout, &*ended.stderr),
            (0, "", ""),
            "{name}"
        );
        let ended = other.run(&["import", name]);
        assert_eq!((ended.status, &*ended.stderr), (0, ""), "{name}: {ended:?}");
        assert_eq!(other.values(), shop.values(), "{name}");
    }
}

#[test]
fn each_form_looks_as_documented() {
    let shop = Shop::small();
    for (customer, attribute, value) in [(7, 101, "Gold"), (7, 102, "30"), (8, 102, "")] {
        shop.sandbox().insert(customer, attribute, value);
    }
    let note = "note: 1 empty texts are empty cells, as if there were no value: --layout long and \
                --format json keep them apart\n";
    for (options, expected, stderr) in [
        (&[][..], "customer_id,Tier,Points\n7,Gold,30\n8,,\n", note),
        (
            &["--layout", "long", "--delimiter", ";"],
            "customer_id;attribute;value\n7;Tier;Gold\n7;Points;30\n8;Points;\n",
            "note: 1 empty texts are empty cells, which import takes for empty texts with --empty text\n",
        ),
        (
            &["--json"],
            "{\"customer\":7,\"attribute\":\"Tier\",\"value\":\"Gold\"}\n\
             {\"customer\":7,\"attribute\":\"Points\",\"value\":\"30\"}\n\
             {\"customer\":8,\"attribute\":\"Points\",\"value\":\"\"}\n",
            "",
        ),
        (
            &["--format", "json", "--layout", "wide", "--key", "email"],
            "{\"Points\":\"30\",\"Tier\":\"Gold\",\"email\":\"jane@example.com\"}\n\
             {\"Points\":\"\",\"email\":\"joe@example.com\"}\n",
            "",
        ),
        (
            &[
                "--attributes",
                "Points,Tier",
                "--customers",
                "jane@example.com",
            ],
            "customer_id,Points,Tier\n7,30,Gold\n",
            "",
        ),
        (&["--attributes", "101"], "customer_id,Tier\n7,Gold\n", ""),
        (
            &["--modified-since", "2999-01-01"],
            "customer_id,Tier,Points\n",
            "",
        ),
    ] {
        let ended = shop.run(&[&["export"], options].concat());
        assert_eq!(
            (ended.status, &*ended.stdout, &*ended.stderr),
            (0, expected, stderr),
            "{options:?}"
        );
    }
    for (options, expected) in [
        (
            &["--attributes", "tier"][..],
            "error: the store does not define the attribute \"tier\"",
        ),
        (
            &["--output", "no/a.csv"],
            "error: the export can't be written to no/a.csv: ",
        ),
        (
            &["--output", "."],
            "error: the export can't be written to .: it is a directory",
        ),
    ] {
        let ended = shop.run(&[&["export"], options].concat());
        assert_eq!((ended.status, &*ended.stdout), (2, ""), "{ended:?}");
        assert!(ended.stderr.starts_with(expected), "{ended:?}");
    }
}

#[test]
fn an_export_of_many_customers_equals_the_import_and_sends_few_requests() {
    let customers = (1..=2_357).map(|id| (id, format!("customer{id}@example.com")));
    let shop = Shop::start(Sandbox::builder().customers(customers));
    let file = cdnow().to_str().expect("a path");
    let ended = shop.run(&["import", file, "--create-attributes"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let before = shop.sandbox().counts();
    let ended = shop.run(&["export", "--output", "out.csv.gz"]);
    assert_eq!((ended.status, &*ended.stderr), (0, ""), "{ended:?}");
    let counts = shop.sandbox().counts();
    // 10 pages of customers, 750 values each in 3 or 4 pages, and the check of the total.
    assert_eq!(counts.customer_gets - before.customer_gets, 10);
    assert!(
        counts.gets - before.gets <= 45,
        "{}",
        counts.gets - before.gets
    );
    let mut text = String::new();
    let bytes = fs::File::open(shop.path("out.csv.gz")).expect("the file");
    MultiGzDecoder::new(bytes)
        .read_to_string(&mut text)
        .expect("CSV");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let original = fs::read_to_string(cdnow()).expect("the data set");
    assert_eq!(lines(&text), lines(&original));

    let ended = shop.run(&["import", "out.csv.gz", "--skip-unchanged"]);
    let expected = ": 0 stored, 7071 unchanged, 0 superseded, 0 rejected, 0 unknown, 0 not sent";
    assert!(last_line(&ended.stdout).ends_with(expected), "{ended:?}");
}

#[test]
fn an_incomplete_export_says_so_and_replaces_nothing() {
    // Values of a customer that the store does not list.
    let shop = Shop::small();
    shop.sandbox().insert(7, 101, "Gold");
    shop.sandbox().insert(9, 101, "Gold");
    shop.write("out.csv", "as it was");
    let ended = shop.run(&["export", "--output", "out.csv"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    let part = fs::canonicalize(shop.path("out.csv.part")).expect("a file");
    let expected = format!(
        "error: 1 of 2 values were written: the others came during the export, or their customers are not \
         listed; export again, or with --layout long, which lists values instead of customers\n\
         What was read is in {}; out.csv was not written.\n",
        part.display()
    );
    assert_eq!(ended.stderr, expected);
    assert_eq!(shop.read("out.csv"), "as it was");
    assert_eq!(
        shop.read("out.csv.part"),
        "customer_id,Tier,Points\n7,Gold,\n"
    );
    let ended = shop.run(&["export", "--output", "out.csv", "--allow-incomplete"]);
    assert_eq!((ended.status, &*ended.stderr), (0, ""), "{ended:?}");
    assert_eq!(shop.read("out.csv"), "customer_id,Tier,Points\n7,Gold,\n");

    // A page that can't be read, and a value whose attribute is not defined.
    let faults = FaultPlan::script([None, None, Some(Fault::Oversized)]);
    let shop = Shop::start(small().faults(faults));
    for customer in 1..=600 {
        shop.sandbox().insert(customer, 101, "Gold");
    }
    let ended = shop.run(&["export", "--layout", "long"]);
    assert_eq!(
        (ended.status, ended.stdout.lines().count()),
        (0, 601),
        "{ended:?}"
    );
    let shop = Shop::small();
    shop.sandbox().insert(7, 999, "odd");
    let ended = shop.run(&["export"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("a value has the attribute 999, which was not defined"),
        "{ended:?}"
    );

    let shop = Shop::start(small().token("right"));
    let ended = shop.run(&["export", "--output", "out.csv"]);
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(!shop.path("out.csv").exists());
    assert_eq!(
        fs::read_dir(shop.folder.path())
            .expect("the folder")
            .count(),
        0
    );
    assert!(values(shop.sandbox()).is_empty());
}
