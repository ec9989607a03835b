/// The resource that a request's path names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    Values,
    Attributes,
    Customers,
    /// A path of this store that is not served.
    OtherPath,
    /// Another store, or no store at all.
    OtherStore,
}

impl Target {
    pub(crate) fn from_path(path: &str, store_hash: &str) -> Self {
        let path_in_store = path
            .strip_prefix("/stores/")
            .and_then(|rest| rest.strip_prefix(store_hash))
            .and_then(|rest| rest.strip_prefix('/'));
        match path_in_store {
            Some("v3/customers/attribute-values") => Self::Values,
            Some("v3/customers/attributes") => Self::Attributes,
            Some("v3/customers") => Self::Customers,
            Some(_) => Self::OtherPath,
            None => Self::OtherStore,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_paths_of_one_store_are_served() {
        let values = "/stores/abc/v3/customers/attribute-values";
        let attributes = "/stores/abc/v3/customers/attributes";
        assert_eq!(Target::from_path(values, "abc"), Target::Values);
        assert_eq!(Target::from_path(attributes, "abc"), Target::Attributes);
        let customers = "/stores/abc/v3/customers";
        assert_eq!(Target::from_path(customers, "abc"), Target::Customers);
        assert_eq!(Target::from_path(values, "ab"), Target::OtherStore);
        assert_eq!(Target::from_path(values, "abcd"), Target::OtherStore);
        for path in [
            "/stores/abc/",
            "/stores/abc/v2/customers",
            "/stores/abc/v3/customers/",
            "/stores/abc/v3/customers/attribute-values/",
        ] {
            assert_eq!(Target::from_path(path, "abc"), Target::OtherPath);
        }
        for path in ["/", "/stores/abc", "/v3/customers/attribute-values"] {
            assert_eq!(Target::from_path(path, "abc"), Target::OtherStore);
        }
    }
}
