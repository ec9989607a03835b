//! The command `import`: formats, layouts, keys, encodings, wrong rows.

use std::collections::BTreeMap;
use std::io::Write as _;

use bigcommerce_sandbox::Sandbox;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::files::{Shop, cdnow, last_line, small};
use crate::support::{Ended, run};

const ALL_STORED: &str = "7071 values of 2357 customers in 236 requests: \
                          7071 stored, 0 superseded, 0 rejected, 0 unknown, 0 not sent\n";

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes.as_ref()).expect("a buffer");
    encoder.finish().expect("a buffer")
}

fn stored(values: &[(i64, i64, &str)]) -> BTreeMap<(i64, i64), String> {
    let values = values.iter();
    let values = values.map(|&(customer, attribute, value)| ((customer, attribute), value.into()));
    values.collect()
}

#[test]
fn ten_customers_take_a_request_whatever_their_order() {
    let shop = Shop::start(Sandbox::builder());
    let file = cdnow().to_str().expect("a path");
    let ended = shop.run(&["import", file, "--create-attributes"]);
    assert_eq!(
        ended,
        Ended {
            status: 0,
            stdout: ALL_STORED.to_owned(),
            stderr: String::new(),
        }
    );
    let text = std::fs::read_to_string(cdnow()).expect("the data set");
    let (header, lines) = text.split_once('\n').expect("a header");
    let mut lines: Vec<_> = lines.lines().collect();
    // Each line is far from those that were next to it.
    lines.sort_by_key(|line| {
        let id: u64 = line
            .split(',')
            .next()
            .and_then(|id| id.parse().ok())
            .expect("an ID");
        id * 1_009 % 2_357
    });
    shop.write("mixed.csv", format!("{header}\n{}\n", lines.join("\n")));
    let ended = shop.run(&["import", "mixed.csv", "--quiet"]);
    assert_eq!((ended.status, &*ended.stdout), (0, ALL_STORED));
    assert_eq!(shop.sandbox().counts().puts, 2 * 236);
}

#[test]
fn every_format_layout_and_key_gives_the_same_values() {
    let expected = stored(&[(7, 101, "Gold, \"old\""), (7, 102, "30"), (8, 102, "4\n5")]);
    let wide = "customer_id,Tier,Points\n7,\"Gold, \"\"old\"\"\",30\n8,,\"4\n5\"\n";
    let email =
        "email,Tier,Points\nJane@example.com,\"Gold, \"\"old\"\"\",30\njoe@example.com,,\"4\n5\"\n";
    let long =
        "customer_id,attribute,value\n7,Tier,\"Gold, \"\"old\"\"\"\n7,102,30\n8,Points,\"4\n5\"\n";
    let any = "customer,attribute,value\n7,Tier,\"Gold, \"\"old\"\"\"\n7,102,30\njoe@example.com,Points,\"4\n5\"\n";
    let json = "{\"customer\":7,\"attribute\":\"Tier\",\"value\":\"Gold, \\\"old\\\"\"}\n\
                {\"email\":\"jane@example.com\",\"attribute\":102,\"value\":30}\n\n\
                {\"value\":\"4\\n5\",\"attribute\":\"Points\",\"customer\":{\"external\":\"E8\"}}\n";
    let json_wide = "{\"customer_id\":7,\"Tier\":\"Gold, \\\"old\\\"\",\"Points\":30}\n\
                     {\"email\":\"joe@example.com\",\"Points\":\"4\\n5\"}\n";
    let crlf = "customer_id,Tier,Points\r\n7,\"Gold, \"\"old\"\"\",30\r\n8,,\"4\n5\"\r\n";
    let tabs = "ERP\tTier\tPoints\nE7\t\"Gold, \"\"old\"\"\"\t30\nE8\t\t\"4\n5\"\n";
    let mapped = "customer_id,tier,p\n7,\"Gold, \"\"old\"\"\",30\n8,,\"4\n5\"\n";
    let mark = format!("\u{feff}{wide}");
    let (first, second) = wide.split_at(40);
    let members = [gzip(first), gzip(second)].concat();
    let cases: [(&str, &[u8], &[&str]); 13] = [
        ("wide.csv", wide.as_bytes(), &[]),
        ("email.csv", email.as_bytes(), &[]),
        ("long.csv", long.as_bytes(), &[]),
        ("any.csv", any.as_bytes(), &[]),
        (
            "rows.jsonl",
            json.as_bytes(),
            &["--key", "external=ERP number"],
        ),
        ("wide.ndjson", json_wide.as_bytes(), &[]),
        ("crlf.csv", crlf.as_bytes(), &[]),
        ("mark.csv", mark.as_bytes(), &[]),
        ("wide.csv.gz", &members, &[]),
        ("json.gz", &gzip(json_wide), &[]),
        (
            "tabs.txt",
            tabs.as_bytes(),
            &["--delimiter", "tab", "--key", "external=ERP number"],
        ),
        (
            "mapped",
            mapped.as_bytes(),
            &["--attribute", "tier=Tier", "--attribute", "p=102"],
        ),
        (
            "other.txt",
            mapped.as_bytes(),
            &[
                "--format",
                "csv",
                "--layout",
                "wide",
                "--key",
                "id",
                "--attribute",
                "tier=101",
                "--attribute",
                "p=Points",
            ],
        ),
    ];
    for (name, bytes, options) in cases {
        for is_standard_input in [false, true] {
            let shop = Shop::start(small().attribute(103, "ERP number"));
            for (customer, id) in [(7, "E7"), (8, "E8")] {
                shop.sandbox().insert(customer, 103, id);
            }
            let ended = if is_standard_input {
                shop.run_with_input(&[&["import", "-"], options].concat(), bytes)
            } else {
                shop.write(name, bytes);
                shop.run(&[&["import", name], options].concat())
            };
            let mut values = shop.values();
            values.retain(|(_, attribute), _| *attribute != 103);
            assert_eq!((ended.status, &values), (0, &expected), "{name}: {ended:?}");
            assert_eq!(ended.stderr, "");
        }
    }
}

#[test]
fn files_that_can_not_be_used_are_refused_before_anything_is_sent() {
    let twice = "the columns \"Tier\" and \"101\" are the same attribute: leave one of them out";
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(*b"c\0u\0").collect();
    let cases: [(&[u8], &[&str], &str); 17] = [
        (
            b"",
            &[],
            "input.csv:1: there is no header: name the columns in the first line",
        ),
        (
            b"id,Tier\n7,x\n",
            &[],
            "input.csv:1: the first column is \"id\", neither customer_id nor email: say what it is by --key id, --key email or --key external=ATTRIBUTE",
        ),
        (
            b"customer_id\n7\n",
            &[],
            "input.csv:1: there is no column of an attribute",
        ),
        (
            b"customer_id;Tier\n7;x\n",
            &[],
            "If the cells are separated otherwise, give --delimiter ';'",
        ),
        (
            b"customer_id,Tier,Tier\n7,x,y\n",
            &[],
            "input.csv:1: the column \"Tier\" is there twice: rename one of them",
        ),
        (
            b"customer_id,Tier,\n7,x,y\n",
            &[],
            "input.csv:1: column 3 has no name",
        ),
        (b"customer_id,Tier,101\n7,x,y\n", &[], twice),
        (
            b"customer_id,tier\n7,x\n",
            &[],
            "input.csv:1: the store does not define the attribute \"tier\" (it defines \"Points\", \"Tier\"); map the column by --attribute COLUMN=ATTRIBUTE, or create the attribute",
        ),
        (
            b"customer_id,Tier\n7,x\n",
            &["--attribute", "tier=101"],
            "error: --attribute names the column \"tier\", which is not there\n",
        ),
        (
            b"customer_id,Tier\n7,x\n",
            &["--layout", "long"],
            "the layout long needs three columns: the customer, attribute, value",
        ),
        (
            b"customer_id,Tier\xe9\n7,x\n",
            &[],
            "input.csv:1: the text is not UTF-8; convert the file, such as by iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE",
        ),
        (
            &utf16,
            &[],
            "input.csv:1: the text is UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW_FILE",
        ),
        (b"c\0u\0", &[], "the text is UTF-16LE, not UTF-8"),
        (b"\0c\0u", &[], "the text is UTF-16BE, not UTF-8"),
        (b"\xff\xfe\0\0c\0\0\0", &[], "the text is UTF-32, not UTF-8"),
        (b"\x1f\x8bnonsense", &[], "input.csv can't be read: "),
        (
            b"[1]\n",
            &["--format", "json"],
            "input.csv:1: it is no JSON object: invalid type: sequence, expected an object; JSON lines have an object in each line",
        ),
    ];
    let shop = Shop::small();
    for (bytes, options, expected) in cases {
        shop.write("input.csv", bytes);
        let ended = shop.run(&[&["import", "input.csv"], options].concat());
        assert_eq!((ended.status, &*ended.stdout), (2, ""), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{expected}: {ended:?}");
    }
    for (arguments, expected) in [
        (
            &["absent.csv"][..],
            "absent.csv can't be read: No such file",
        ),
        (&["."], ". can't be read: it is a folder"),
        (&["-", "-"], "standard input (-) is given twice"),
        (
            &["-", "--checkpoint", "c"],
            "standard input can't be read a second time",
        ),
    ] {
        let input = "customer_id,Tier\n7,x\n";
        let ended = shop.run_with_input(&[&["import"], arguments].concat(), input);
        assert_eq!((ended.status, &*ended.stdout), (2, ""), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{expected}: {ended:?}");
    }
    assert_eq!(shop.sandbox().counts().puts, 0);
}

/// The line has as many cells as the header, and its last one would be the rest of the file.
#[test]
fn a_file_that_ends_within_a_quote_is_no_whole_file() {
    let shop = Shop::small();
    let csv = "customer_id,Tier,Points\n1,Gold,1\n2,Gold,\"2\n3,Gold,3\n";
    shop.write("a.csv", csv);
    let ended = shop.run(&["import", "a.csv"]);
    assert_eq!(
        ended.stderr,
        "a.csv:3: rejected: the file can't be read on: it ends within a quoted cell: a quote is not \
         closed, or the file is cut off\n"
    );
    assert_eq!(ended.status, 2, "{}", ended.stdout);
    let stored = "2 stored, 0 superseded, 1 rejected, 0 unknown, 0 not sent";
    let line = ended.stdout.trim_end();
    assert!(line.ends_with(stored), "{line}");
}

#[test]
fn wrong_rows_are_told_by_file_line_and_column_and_the_rest_is_stored() {
    let shop = Shop::small();
    let long = "x".repeat(256);
    let mut csv = format!(
        "customer_id,Tier,Points\n1,Gold,\"two\nlines\"\nabc,Gold,x\n\n\n3,Gold\n4,{long},x\n5,Gold,x,y\n6,,\n7,B"
    )
    .into_bytes();
    csv.extend(b"\xe4d,x\n0,a,b\n8,\"open,1\n9,Gold,2\"\n");
    shop.write("a.csv", &csv);
    shop.write("crlf.csv", "customer_id,Tier\r\n1,x\r\n\r\nx,y\r\n,z\r\n");
    shop.write(
        "long.csv",
        "customer_id,attribute,value\n1,tier,Gold\n1,,Gold\n1,101,Gold\n",
    );
    shop.write(
        "b.jsonl",
        "{\"customer_id\":1,\"Tier\":true}\n{\"customer_id\":2,\"tier\":\"x\"}\n{\"Tier\":\"x\"}\n\
         {\"customer_id\":1,\"Tier\":}\n{\"customer_id\":1,\"Tier\":\"a\",\"Tier\":\"b\"}\n\
         {\"customer_id\":3,\"email\":\"a@b.c\",\"Tier\":\"x\"}\n{\"email\":\"ab.c\",\"Tier\":\"x\"}\n\
         {\"customer_id\":9,\"Tier\":12345678901234567890123}\n{\"customer_id\":9,\"Tier\":\"Gold\"}\n",
    );
    let ended = shop.run(&["import", "a.csv", "crlf.csv", "long.csv", "b.jsonl"]);
    let expected = format!(
        "a.csv:4:customer_id: rejected: \"abc\" is not a customer's ID: give a whole number of 1 or more\n\
         a.csv:7:Points: rejected: the line has 2 cells, and the header 3\n\
         a.csv:8:Tier: rejected: value has 256 characters: longer than 255 characters\n\
         a.csv:9:4: rejected: the line has 4 cells, and the header 3\n\
         a.csv:11:Tier: rejected: {latin}\n\
         a.csv:12:customer_id: rejected: \"0\" is not a customer's ID: give a whole number of 1 or more\n\
         a.csv:13:Points: rejected: the line has 2 cells, and the header 3, and a cell has line breaks: is a quote not closed?\n\
         crlf.csv:4:customer_id: rejected: \"x\" is not a customer's ID: give a whole number of 1 or more\n\
         crlf.csv:5:customer_id: rejected: no customer is named\n\
         long.csv:2:attribute: rejected: {undefined}\n\
         long.csv:3:attribute: rejected: the cell names no attribute\n\
         b.jsonl:1:Tier: rejected: the value is neither a text, a number nor null\n\
         b.jsonl:2:tier: rejected: {undefined}\n\
         b.jsonl:3: rejected: no field names the customer: give one of customer, customer_id, email, external_id\n\
         b.jsonl:4:25: rejected: it is no JSON object: expected value\n\
         b.jsonl:5:Tier: rejected: the field is there twice\n\
         b.jsonl:6:email: rejected: customer_id names the customer, too: say by --key which one is meant\n\
         b.jsonl:7:email: rejected: \"ab.c\" is not an e-mail address: it has no @\n\
         b.jsonl:8:Tier: rejected: the number has too many digits to be read exactly: write it as a text\n",
        latin = "the text is not UTF-8; if the file is in another encoding, convert it, such as by iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE",
        undefined =
            "the store does not define the attribute \"tier\" (it defines \"Points\", \"Tier\")",
    );
    let lines = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&ended.stderr), lines(&expected));
    assert_eq!(ended.status, 1);
    let stored = "4 stored, 2 superseded, 19 rejected, 0 unknown, 0 not sent";
    assert!(
        ended.stdout.trim_end().ends_with(stored),
        "{}",
        ended.stdout
    );
}

#[test]
fn strict_stops_at_the_first_wrong_row() {
    let shop = Shop::small();
    for wrong in ["x,y".to_owned(), format!("3,{}", "x".repeat(256))] {
        let rest: String = (10..30_000).map(|id| format!("{id},Gold\n")).collect();
        shop.write("a.csv", format!("customer_id,Tier\n{wrong}\n{rest}"));
        let ended = shop.run(&["import", "a.csv", "--strict"]);
        assert_eq!(ended.status, 1, "{ended:?}");
        let counts = shop.sandbox().counts();
        assert!(counts.rows_stored < 20_000, "{counts:?}");
        assert!(ended.stderr.contains("a.csv:2:"), "{ended:?}");
        assert!(
            ended
                .stderr
                .ends_with(
                    "Stopped at the first wrong row (--strict).\nThe input was not read to its end: import \
                     it again. With --skip-unchanged, only what is not stored is sent.\n"
                ),
            "{ended:?}"
        );
    }
}

#[test]
fn an_empty_cell_is_nothing_a_text_or_no_value_as_the_option_says() {
    let csv = "customer_id,Tier,Points\n7,,30\n8,\"\",\n";
    let json =
        "{\"customer_id\":7,\"Tier\":\"\",\"Points\":30}\n{\"customer_id\":8,\"Tier\":null}\n";
    let long = "customer_id,attribute,value\n7,Tier,\n7,Points,30\n8,Tier,\n";
    let before = [(7, 101, "Gold"), (8, 101, "Silver"), (8, 102, "1")];
    for (name, text, option, expected) in [
        (
            "a.csv",
            csv,
            &[][..],
            &[
                (7, 101, "Gold"),
                (7, 102, "30"),
                (8, 101, "Silver"),
                (8, 102, "1"),
            ][..],
        ),
        (
            "a.csv",
            csv,
            &["--empty", "skip"],
            &[
                (7, 101, "Gold"),
                (7, 102, "30"),
                (8, 101, "Silver"),
                (8, 102, "1"),
            ],
        ),
        (
            "a.csv",
            csv,
            &["--empty", "text"],
            &[(7, 101, ""), (7, 102, "30"), (8, 101, ""), (8, 102, "")],
        ),
        ("a.csv", csv, &["--empty", "absent"], &[(7, 102, "30")]),
        (
            "long.csv",
            long,
            &["--empty", "absent"],
            &[(7, 102, "30"), (8, 102, "1")],
        ),
        (
            "a.jsonl",
            json,
            &[],
            &[(7, 101, ""), (7, 102, "30"), (8, 102, "1")],
        ),
    ] {
        let shop = Shop::small();
        for (customer, attribute, value) in before {
            shop.sandbox().insert(customer, attribute, value);
        }
        shop.write(name, text);
        let ended = shop.run(&[&["import", name], option].concat());
        assert_eq!(ended.status, 0, "{ended:?}");
        assert_eq!(shop.values(), stored(expected), "{name} {option:?}");
    }
}

#[test]
fn attributes_are_created_with_their_types() {
    let shop = Shop::start(Sandbox::builder());
    shop.write("wide.csv", "customer_id,tier,points\n7,Gold,30\n");
    shop.write(
        "long.csv",
        "customer_id,attribute,value\n7,born,2001-02-03\n7,tier,Silver\n",
    );
    let create = [
        "--create-attributes",
        "--type",
        "points=number",
        "--type",
        "born=date",
    ];
    let ended = shop.run(
        &[
            &["import", "wide.csv", "long.csv", "--dry-run"],
            &create[..],
        ]
        .concat(),
    );
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(
        ended.stderr,
        "The attribute \"born\" would be created (date).\n\
         The attribute \"points\" would be created (number).\n\
         The attribute \"tier\" would be created (string).\n"
    );
    assert_eq!(
        ended.stdout,
        "4 values of 1 customers in 0 requests: 0 stored, 3 planned, 1 superseded, 0 rejected, 0 unknown, \
         0 not sent\ndry run: 3 values would be stored in 1 requests\n"
    );
    assert_eq!(
        (
            shop.sandbox().attributes().len(),
            shop.sandbox().counts().puts
        ),
        (0, 0)
    );
    let ended = shop.run(&[&["import", "wide.csv", "long.csv"], &create[..]].concat());
    assert_eq!((ended.status, &*ended.stderr), (0, ""), "{ended:?}");
    let mut created: Vec<_> = shop.sandbox().attributes();
    created.sort_by_key(|attribute| attribute.name.clone());
    let created: Vec<_> = created
        .iter()
        .map(|attribute| (&*attribute.name, attribute.attribute_type.to_string()))
        .collect();
    assert_eq!(
        created,
        [
            ("born", "date".to_owned()),
            ("points", "number".to_owned()),
            ("tier", "string".to_owned())
        ]
    );
    assert_eq!(shop.values().len(), 3);
    let ended = shop.run(&[
        "import",
        "wide.csv",
        "--create-attributes",
        "--type",
        "x=date",
    ]);
    assert_eq!(
        (ended.status, &*ended.stderr),
        (
            2,
            "error: --type names the column \"x\", which is not there\n"
        )
    );
    let ended = shop.run_with_input(
        &["import", "-", "--create-attributes"],
        "customer,attribute,value\n",
    );
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("standard input must be read twice"),
        "{ended:?}"
    );
}

#[test]
fn only_changes_are_sent_if_asked_for() {
    let shop = Shop::start(Sandbox::builder().cdnow());
    let file = cdnow().to_str().expect("a path");
    let ended = shop.run(&["import", file, "--skip-unchanged"]);
    let expected = "25 stored, 7046 unchanged, 0 superseded, 0 rejected, 0 unknown, 0 not sent";
    assert!(last_line(&ended.stdout).ends_with(expected), "{ended:?}");
    assert_eq!((ended.status, shop.sandbox().counts().rows_stored), (0, 25));
}

#[test]
fn changes_of_customers_far_apart_fill_their_requests() {
    let shop = Shop::start(Sandbox::builder());
    let file = cdnow().to_str().expect("a path");
    let ended = shop.run(&["import", file, "--create-attributes"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let text = std::fs::read_to_string(cdnow()).expect("the data set");
    for (changed, requests) in [(10, 1), (25, 3)] {
        let lines = text.lines().enumerate().map(|(number, line)| {
            let (rest, _) = line.rsplit_once(',').expect("columns");
            match number % 90 == 1 && number / 90 < changed {
                true => format!("{rest},changed {changed}\n"),
                false => format!("{line}\n"),
            }
        });
        shop.write("changed.csv", lines.collect::<String>());
        let before = shop.sandbox().counts();
        let arguments = ["import", "changed.csv", "--skip-unchanged"];
        let ended = shop.run(&[&arguments[..], &["--dry-run"]].concat());
        let planned = format!("dry run: {changed} values would be stored in {requests} requests");
        assert_eq!(last_line(&ended.stdout), planned);
        assert_eq!(shop.sandbox().counts().puts, before.puts);
        let ended = shop.run(&arguments);
        let after = shop.sandbox().counts();
        assert_eq!(
            (ended.status, after.puts - before.puts),
            (0, requests),
            "{ended:?}"
        );
        assert_eq!(after.rows_stored - before.rows_stored, changed as u64);
    }
}

#[test]
fn outcomes_are_json_lines_if_asked_for() {
    let shop = Shop::small();
    shop.write("a.csv", "customer_id,Tier\n7,Gold\nx,Gold\n");
    let ended = shop.run(&["import", "a.csv", "--json"]);
    assert_eq!(ended.status, 1);
    let mut lines: Vec<serde_json::Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    lines.sort_by_key(|line| line["index"].as_u64());
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["kind"], "stored");
    assert_eq!(lines[0]["row"]["value"], "Gold");
    assert_eq!(lines[0]["row"]["tag"], "a.csv:2:Tier");
    assert_eq!(lines[1]["kind"], "rejected");
    let message = lines[1]["error"]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("a.csv:3:customer_id: \"x\" is not"),
        "{message}"
    );
    assert_eq!(
        last_line(&ended.stderr),
        "2 values of 1 customers in 1 requests: 1 stored, 0 superseded, 1 rejected, 0 unknown, 0 not sent"
    );
}

#[test]
fn an_input_that_breaks_off_is_told_and_what_came_before_is_stored() {
    let shop = Shop::small();
    let rows: String = (1..=40_000).map(|id| format!("{id},Gold {id}\n")).collect();
    let mut bytes = gzip(format!("customer_id,Tier\n{rows}"));
    bytes.truncate(bytes.len() - 1000);
    shop.write("a.csv.gz", bytes);
    let ended = shop.run(&["import", "a.csv.gz"]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains(": rejected: the file can't be read on: "),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains(" 1 rejected, 0 unknown, 0 not sent"),
        "{ended:?}"
    );
    assert!(shop.values().len() > 1000);
    // A quote that is never closed would read the file to its end.
    let rows: String = (1..=2_000_000).map(|id| format!("{id},Gold\n")).collect();
    shop.write("quote.csv", format!("customer_id,Tier\n7,\"Gold\n{rows}"));
    let ended = shop.run(&["import", "quote.csv"]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert_eq!(
        ended.stderr,
        "quote.csv:2: rejected: the file can't be read on: it is longer than 16 MiB: is a quote not closed?\n"
    );
}

#[test]
fn refused_access_and_an_unknown_host_have_statuses_of_their_own() {
    let shop = Shop::start(small().token("right"));
    shop.write("a.csv", "customer_id,Tier\n7,Gold\n");
    let ended = shop.run(&["import", "a.csv"]);
    assert_eq!((ended.status, &*ended.stdout), (3, ""), "{ended:?}");
    // The token may read only: the run is refused when it stores.
    let shop = Shop::start(small().read_only());
    shop.write("a.csv", "customer_id,Tier\n7,Gold\n");
    let ended = shop.run(&["import", "a.csv"]);
    assert_eq!(ended.status, 3, "{ended:?}");
    assert!(
        ended.stdout.ends_with("1 not sent\n") || ended.stdout.contains("1 rejected"),
        "{ended:?}"
    );
    let file = shop.path("a.csv");
    let file = file.to_str().expect("a path");
    let arguments = ["import", file, "--url", "https://shop.invalid/stores/x/v3"];
    let mut program = crate::support::program(arguments);
    let output = program.env("BIGCOMMERCE_ACCESS_TOKEN", "t").output();
    let ended: Ended = output.expect("the program runs").into();
    assert_eq!(ended.status, 5, "{ended:?}");
    let ended = run(["import"]);
    assert_eq!(ended.status, 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_waits_for_its_input_stops_at_a_signal() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let shop = Shop::small();
    for (command, header) in [
        ("import", ""),
        ("import", "customer_id,Tier\n7,Gold\n"),
        ("diff", ""),
    ] {
        let program = shop.program(&[command, "-", "--json"]);
        let mut command = Command::new(program.get_program());
        command
            .args(program.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(header.as_bytes())
            .expect("the program reads");
        stdin.flush().expect("the program reads");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        if header.is_empty() {
            // Nothing shows that the program waits: it listens for signals before it connects.
            let is_listening = || {
                let path = format!("/proc/{}/status", child.id());
                let status = std::fs::read_to_string(path).expect("a process");
                let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
                let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16);
                caught.expect("a mask") & (1 << (Signal::SIGINT as u64 - 1)) != 0
            };
            while !is_listening() {
                std::thread::yield_now();
            }
        } else {
            let outcome = stdout.next().expect("a line").expect("UTF-8");
            assert!(outcome.contains("\"stored\""), "{outcome}");
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("an ID"));
        kill(pid, Signal::SIGINT).expect("a process");
        let status = child.wait().expect("the program ends");
        assert_eq!(status.code(), Some(130));
        drop(stdin);
    }
}

#[test]
fn the_report_counts_every_request() {
    let shop = Shop::small();
    shop.write("a.csv", "customer_id,Tier,Points\n7,Gold,1\n8,Silver,2\n");
    let mut before = 0;
    for command in [
        &["import", "a.csv"][..],
        &["import", "a.csv", "--create-attributes"],
        &["diff", "a.csv"],
        // The other layout begins a page that it then has no use for.
        &["export", "--output", "b.csv", "--layout", "long"],
    ] {
        shop.run(&[command, &["--report", "report.json"]].concat());
        let report: serde_json::Value =
            serde_json::from_str(&shop.read("report.json")).expect("JSON");
        let requests = shop.sandbox().counts().requests;
        assert_eq!(report["requests"], requests - before, "{command:?}");
        before = requests;
    }
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let shop = Shop::small();
    shop.write("a.jsonl", "{\"customer_id\":7,\"\\u001b[2JTier\":\"x\"}\n");
    let ended = shop.run(&["import", "a.jsonl"]);
    assert!(
        ended.stderr.contains("a.jsonl:1:\\u{1b}[2JTier: "),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains('\x1b'), "{ended:?}");
}
