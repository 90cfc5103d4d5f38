//! The lines of the audit log, member by member, in Vault's shape. Members without a value are left out.

use std::fmt::Write as _;

/// A JSON object under construction.
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self("{".to_owned())
    }
}

impl Object {
    /// A text, unless it is empty.
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.name(name);
            append_text(value, &mut self.0);
        }
        self
    }

    /// A number, unless it is zero.
    pub fn number(mut self, name: &'static str, value: i64) -> Self {
        if value != 0 {
            self.name(name);
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{value}");
        }
        self
    }

    /// A list of texts, unless it is empty.
    pub fn texts(mut self, name: &'static str, values: &[String]) -> Self {
        if !values.is_empty() {
            self.name(name);
            for (index, value) in values.iter().enumerate() {
                self.0.push(if index == 0 { '[' } else { ',' });
                append_text(value, &mut self.0);
            }
            self.0.push(']');
        }
        self
    }

    /// JSON that `append` writes, unless it writes nothing.
    pub fn json(mut self, name: &'static str, append: impl FnOnce(&mut String)) -> Self {
        let before = self.0.len();
        self.name(name);
        let begin = self.0.len();
        append(&mut self.0);
        if self.0.len() == begin {
            self.0.truncate(before);
        }
        self
    }

    /// A finished object, unless it is empty.
    pub fn object(self, name: &'static str, value: &str) -> Self {
        self.json(name, |text| {
            if value != "{}" {
                text.push_str(value);
            }
        })
    }

    /// The object as text.
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &'static str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

/// Appends a text as a JSON string.
fn append_text(value: &str, text: &mut String) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(is_plain) {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value).to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn members_without_value_are_left_out() {
        let inner = Object::default().text("x", "").finish();
        let line = Object::default()
            .text("none", "")
            .number("zero", 0)
            .texts("no", &[])
            .object("empty", &inner)
            .json("nothing", |_| {})
            .finish();
        assert_eq!(line, "{}");
    }

    #[test]
    fn everything_reads_back() {
        let line = Object::default()
            .text("text", "a\"\\\n\u{1}ü")
            .number("number", -7)
            .texts("texts", &["a".to_owned(), "b\n".to_owned()])
            .json("json", |text| text.push_str("[1]"))
            .object("object", r#"{"a":1}"#)
            .finish();
        assert!(!line.contains('\n'));
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({"text": "a\"\\\n\u{1}ü", "number": -7, "texts": ["a", "b\n"], "json": [1],
                "object": {"a": 1}})
        );
    }
}
