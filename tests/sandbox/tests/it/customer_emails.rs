//! How a GET of customers reads `email:in`.

use bigcommerce_sandbox::{EmailListSplit, Sandbox};

use crate::client::get_customers;

#[tokio::test(start_paused = true)]
async fn the_list_is_split_as_configured() {
    struct Case<'a> {
        query: &'a str,
        after_decoding: &'a [i64],
        before_decoding: &'a [i64],
    }
    let cases = [
        Case {
            query: "email:in=a@example.com,b@example.com",
            after_decoding: &[1, 2],
            before_decoding: &[1, 2],
        },
        Case {
            query: "email%3Ain=a@example.com%2Cb@example.com",
            after_decoding: &[1, 2],
            before_decoding: &[],
        },
        Case {
            query: "email:in=c%2Cd@example.com,a@example.com",
            after_decoding: &[1],
            before_decoding: &[1, 3],
        },
        Case {
            query: "email:in=e%2Bf@example.com",
            after_decoding: &[4],
            before_decoding: &[4],
        },
        Case {
            query: "email:in=e+f@example.com",
            after_decoding: &[5],
            before_decoding: &[5],
        },
        Case {
            query: "email:in=a@example.com&limit=9&email:in=b@example.com",
            after_decoding: &[2],
            before_decoding: &[2],
        },
        Case {
            query: "email:in=%C3%84%26%3D@example.com",
            after_decoding: &[6],
            before_decoding: &[6],
        },
    ];
    for split in [
        EmailListSplit::AfterDecoding,
        EmailListSplit::BeforeDecoding,
    ] {
        let addresses = [
            "a@example.com",
            "b@example.com",
            "c,d@example.com",
            "e+f@example.com",
            "e f@example.com",
            "ä&=@example.com",
        ];
        let sandbox = Sandbox::builder()
            .customers((1..).zip(addresses))
            .email_list_split(split)
            .start()
            .await
            .unwrap();
        for case in &cases {
            let expected = match split {
                EmailListSplit::BeforeDecoding => case.before_decoding,
                _ => case.after_decoding,
            };
            let response = get_customers(sandbox.base_url(), case.query).await;
            assert_eq!(response.column("id"), expected, "{split:?} {}", case.query);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn case_counts_if_configured_and_spaces_never_do() {
    for (distinguished, expected) in [(false, &[1, 2, 3][..]), (true, &[2, 3])] {
        let sandbox = Sandbox::builder()
            .customer(1, "JANE@example.com")
            .customer(2, " Jane@example.com")
            .customer(3, "Jane@example.com  ")
            .distinguish_email_case(distinguished)
            .start()
            .await
            .unwrap();
        for query in ["email:in=Jane@example.com", "email:in=+Jane@example.com%20"] {
            let response = get_customers(sandbox.base_url(), query).await;
            assert_eq!(response.column("id"), expected, "{query}");
        }
    }
}
