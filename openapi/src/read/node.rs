use serde_json::Value;

/// A value in a document, and the JSON pointer to it.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) pointer: String,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        let pointer = String::new();
        Self { value, pointer }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.as_object()?.get(key)?;
        Some(self.child(key, value))
    }

    /// Returns the fields of an object, in its order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(key, value)| (key.as_str(), self.child(key, value)))
    }

    /// Returns the items of an array.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| self.child(&index.to_string(), value))
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{}/{key}", self.pointer);
        Self { value, pointer }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pointer_leads_to_the_value() {
        let root = json!({"a/b": {"~": [{"c": 1}]}});
        let node = Node::root(&root).get("a/b").expect("the field exists");
        let (key, list) = node.fields().next().expect("has a field");
        assert_eq!(key, "~");
        let item = list.items().next().and_then(|item| item.get("c"));
        let item = item.expect("the item exists");
        assert_eq!(item.pointer, "/a~1b/~0/0/c");
        assert_eq!(root.pointer(&item.pointer), Some(item.value));
    }
}
