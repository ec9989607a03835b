use bigcommerce_sandbox::{Cursors, EmailListSplit, SandboxCustomer};

use super::Setter;

/// Returns the setter of an option for customers.
pub fn option(name: &str) -> Option<Setter> {
    let setter: Setter = match name {
        "customer" => |builder, value| Some(builder.customers([customer(&value)?])),
        "email-split" => |builder, value| {
            Some(builder.email_list_split(match value.as_str() {
                "decoded" => EmailListSplit::AfterDecoding,
                "raw" => EmailListSplit::BeforeDecoding,
                _ => return None,
            }))
        },
        "cursors" => |builder, value| {
            Some(builder.cursors(match value.as_str() {
                "support" => Cursors::Supported,
                "422" => Cursors::Rejected,
                "ignore" => Cursors::Ignored,
                _ => return None,
            }))
        },
        _ => return None,
    };
    Some(setter)
}

/// Parses `ID=EMAIL`, or `ID/CHANNELS=EMAIL` with IDs of channels such as `1+2`.
fn customer(text: &str) -> Option<SandboxCustomer> {
    let (ids, email) = text.split_once('=')?;
    let (id, channels) = match ids.split_once('/') {
        Some((id, channels)) => (id, Some(channels)),
        None => (ids, None),
    };
    let id = id.parse().ok().filter(|id| *id > 0)?;
    if email.trim().is_empty() {
        return None;
    }
    let customer = SandboxCustomer::new(id, email);
    let Some(channels) = channels else {
        return Some(customer);
    };
    let channels = channels.split('+').map(|id| id.parse().ok());
    Some(customer.in_channels(channels.collect::<Option<Vec<i64>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_has_an_id_and_an_address_and_may_have_channels() {
        let texts = ["7=jane@example.com", "8/1+2= a=b@example.com"];
        let customers = texts.map(|text| format!("{:?}", customer(text).expect(text)));
        let expected = [
            SandboxCustomer::new(7, "jane@example.com"),
            SandboxCustomer::new(8, " a=b@example.com").in_channels([1, 2]),
        ];
        assert_eq!(customers, expected.map(|customer| format!("{customer:?}")));
        for bad in [
            "",
            "7",
            "7=",
            "7= ",
            "=jane",
            "x=jane",
            "0=jane",
            "-7=jane",
            "7/=jane",
            "7/1+=jane",
        ] {
            assert!(customer(bad).is_none(), "{bad:?}");
        }
    }
}
