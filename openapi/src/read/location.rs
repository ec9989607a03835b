use std::fmt;

/// A place in an operation's schemas, as messages show it:
/// `GET /customers/attribute-values: response field "data[].id"`.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    part: String,
    path: Option<String>,
}

impl Location {
    pub(crate) fn new(operation: &str, part: &str) -> Self {
        Self {
            part: format!("{operation}: {part}"),
            path: None,
        }
    }

    /// Returns the place of an operation as a whole.
    #[cfg(feature = "cli")]
    pub(crate) fn operation(label: &str) -> Self {
        Self {
            part: label.to_owned(),
            path: None,
        }
    }

    pub(crate) fn field(&self, name: &str) -> Self {
        let path = match &self.path {
            Some(path) => format!("{path}.{name}"),
            None => name.to_owned(),
        };
        Self {
            part: self.part.clone(),
            path: Some(path),
        }
    }

    /// Returns `true` if this is an item of the array `data`, which is a record of a page.
    pub(crate) fn is_record(&self) -> bool {
        self.path.as_deref() == Some("data[]")
    }

    pub(crate) fn item(&self) -> Self {
        let mut item = self.clone();
        if let Some(path) = &mut item.path {
            path.push_str("[]");
        }
        item
    }

    /// Returns the place of a map's values.
    #[cfg(feature = "cli")]
    pub(crate) fn map_value(&self) -> Self {
        self.field("*")
    }

    /// Returns the place of a member of `oneOf` or `anyOf`.
    #[cfg(feature = "cli")]
    pub(crate) fn member(&self, keyword: &str) -> Self {
        let path = self.path.as_deref().unwrap_or_default();
        Self {
            part: self.part.clone(),
            path: Some(format!("{path}({keyword})")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => f.write_str(&self.part),
            Some(path) => write!(f, "{} field \"{path}\"", self.part),
        }
    }
}
