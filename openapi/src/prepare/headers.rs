use serde_json::Value;

use super::endpoint::parameters_mut;
use crate::bound::OPERATIONS;
use crate::error::Problem;
use crate::read::text;

const OURS: [&str; 4] = ["accept", "authorization", "content-type", "x-auth-token"];

/// Drops header parameters for what the client sends anyway: the provider declares `Accept` and
/// `Content-Type` on every operation, and each would become an argument that users have to give.
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

/// Whether a parameter is what the client sends by itself.
pub(crate) fn is_sent_by_client(place: &str, name: &str) -> bool {
    place == "header" && OURS.contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bound::VALUES;

    #[test]
    fn only_what_the_client_sends_is_dropped() {
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
