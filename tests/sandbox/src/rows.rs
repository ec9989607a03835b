use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::extra_fields::ExtraFields;
use crate::json::{self, InvalidBody, InvalidRow};

/// One row of a PUT.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub attribute_id: i64,
    pub value: String,
    pub customer_id: i64,
    #[serde(default, deserialize_with = "present")]
    pub id: Option<i64>,
    #[serde(skip)]
    pub extra: ExtraFields,
}

/// Parses rows with the extra fields of these names.
pub(crate) fn parse_with_extra(
    body: &[u8],
    names: &BTreeSet<String>,
) -> Result<Vec<Result<Row, InvalidRow>>, InvalidBody> {
    if names.is_empty() {
        return parse(body);
    }
    let rows = json::parse_array(body)?;
    let with_extra = |row: &Value| {
        let extra = ExtraFields::of_row(row, names);
        Ok(Row {
            extra,
            ..parse_row(row)?
        })
    };
    Ok(rows.iter().map(with_extra).collect())
}

/// Deserializes a field that can be absent but not null.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(field).map(Some)
}

pub(crate) fn parse(body: &[u8]) -> Result<Vec<Result<Row, InvalidRow>>, InvalidBody> {
    // Nearly every body is valid and takes only this step. An invalid one is parsed again field by
    // field, to name the invalid rows.
    if let Ok(rows) = serde_json::from_slice::<Vec<Row>>(body) {
        return Ok(rows.into_iter().map(Ok).collect());
    }
    Ok(json::parse_array(body)?.iter().map(parse_row).collect())
}

fn parse_row(row: &Value) -> Result<Row, InvalidRow> {
    let integer = |field| {
        row.get(field)
            .map(|value| {
                let integer = value.as_i64();
                integer.ok_or_else(|| InvalidRow::new(field, "must be an integer"))
            })
            .transpose()
    };
    let required = |field| integer(field)?.ok_or_else(|| InvalidRow::new(field, "is required"));
    let value = match row.get("value") {
        Some(Value::String(value)) => value.clone(),
        Some(_) => return Err(InvalidRow::new("value", "must be a string")),
        None => return Err(InvalidRow::new("value", "is required")),
    };
    Ok(Row {
        attribute_id: required("attribute_id")?,
        value,
        customer_id: required("customer_id")?,
        id: integer("id")?,
        extra: ExtraFields::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_body_is_parsed_into_rows() {
        let rows = parse(br#"[{"attribute_id":101,"value":"Yes","customer_id":2048,"new":1}]"#);
        let row = rows.expect("a body").remove(0).expect("a row");
        assert_eq!(
            (row.attribute_id, row.customer_id, row.id),
            (101, 2048, None)
        );
        assert_eq!(row.value, "Yes");
    }

    #[test]
    fn each_invalid_row_names_its_field() {
        for (body, field) in [
            (r#"{"value":"v","customer_id":1}"#, "attribute_id"),
            (
                r#"{"attribute_id":"1","value":"v","customer_id":1}"#,
                "attribute_id",
            ),
            (
                r#"{"attribute_id":1.5,"value":"v","customer_id":1}"#,
                "attribute_id",
            ),
            (r#"{"attribute_id":1,"customer_id":1}"#, "value"),
            (r#"{"attribute_id":1,"value":7,"customer_id":1}"#, "value"),
            (
                r#"{"attribute_id":1,"value":null,"customer_id":1}"#,
                "value",
            ),
            (r#"{"attribute_id":1,"value":"v"}"#, "customer_id"),
            (
                r#"{"attribute_id":1,"value":"v","customer_id":1,"id":"x"}"#,
                "id",
            ),
            (
                r#"{"attribute_id":1,"value":"v","customer_id":1,"id":null}"#,
                "id",
            ),
            (
                r#"{"attribute_id":null,"value":"v","customer_id":1}"#,
                "attribute_id",
            ),
            ("7", "value"),
        ] {
            let valid = r#"{"attribute_id":1,"value":"v","customer_id":1,"id":5001}"#;
            let rows = parse(format!("[{valid},{body}]").as_bytes()).expect("a body");
            assert!(rows[0].is_ok());
            assert_eq!(rows[1].as_ref().expect_err(body).field, field, "{body}");
        }
    }

    #[test]
    fn other_bodies_are_rejected() {
        for body in ["", "[", "[{]", "[{\"value\":7},", "\u{0}"] {
            assert_eq!(
                parse(body.as_bytes()).err(),
                Some(InvalidBody::Malformed),
                "{body}"
            );
        }
        for body in ["{}", "7", "null", "\"[]\""] {
            assert_eq!(
                parse(body.as_bytes()).err(),
                Some(InvalidBody::NotAnArray),
                "{body}"
            );
        }
    }
}
