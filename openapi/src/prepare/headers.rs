use serde_json::Value;

use super::accessors::parameters_mut;
use crate::contract::{OPERATIONS, is_sent_by_client};
use crate::error::Problem;
use crate::schema::text;

/// Drops header parameters that the client sets itself.
///
/// The provider declares `Accept` and `Content-Type` on every operation. Each would become a
/// required argument.
pub(super) fn drop_client_headers(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        if let Some(parameters) = parameters_mut(root, operation) {
            parameters.retain(|parameter| {
                !is_sent_by_client(text(parameter, "in"), text(parameter, "name"))
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::VALUES;

    #[test]
    fn only_headers_that_the_client_sends_are_dropped() {
        let parameter = |place: &str, name: &str| json!({"in": place, "name": name});
        let mut root = json!({"paths": {VALUES: {"get": {"parameters": [
            parameter("header", "Accept"),
            parameter("header", "content-type"),
            parameter("header", "X-Auth-Token"),
            parameter("header", "X-Correlation-Id"),
            parameter("query", "accept"),
        ]}}}});
        drop_client_headers(&mut root).expect("never fails");
        assert_eq!(
            root["paths"][VALUES]["get"]["parameters"],
            json!([
                parameter("header", "X-Correlation-Id"),
                parameter("query", "accept")
            ])
        );
    }
}
