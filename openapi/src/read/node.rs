use serde_json::Value;

/// A value in a document, and the JSON pointer to it.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) at: String,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        let at = String::new();
        Self { value, at }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.as_object()?.get(key)?;
        Some(self.below(key, value))
    }

    /// The fields of an object, in its order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(key, value)| (key.as_str(), self.below(key, value)))
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| self.below(&index.to_string(), value))
    }

    fn below(&self, key: &str, value: &'a Value) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        let at = format!("{}/{key}", self.at);
        Self { value, at }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pointer_leads_to_the_value() {
        let root = json!({"a/b": {"~": [{"c": 1}]}});
        let node = Node::root(&root).get("a/b").expect("is there");
        let (key, list) = node.fields().next().expect("has a field");
        assert_eq!(key, "~");
        let item = list.items().next().and_then(|item| item.get("c"));
        let item = item.expect("is there");
        assert_eq!(item.at, "/a~1b/~0/0/c");
        assert_eq!(root.pointer(&item.at), Some(item.value));
    }
}
