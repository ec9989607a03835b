use std::fmt;

/// A place in an operation's schemas, as messages name it:
/// `GET /customers/attribute-values: answer field "data[].id"`.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    part: String,
    path: String,
}

impl Spot {
    pub(crate) fn new(operation: &str, part: &str) -> Self {
        Self {
            part: format!("{operation}: {part}"),
            path: String::new(),
        }
    }

    pub(crate) fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            part: self.part.clone(),
            path: format!("{}{dot}{name}", self.path),
        }
    }

    pub(crate) fn item(&self) -> Self {
        let mut item = self.clone();
        if !item.path.is_empty() {
            item.path.push_str("[]");
        }
        item
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.part),
            path => write!(f, "{} field \"{path}\"", self.part),
        }
    }
}
