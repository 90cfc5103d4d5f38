//! [`Expected`]: a value that `allowed_parameters` or `denied_parameters` names.
//!
//! `vault write k=true` sends the text `"true"`, and the server takes it for a boolean where it wants one. So numbers and
//! booleans are compared by what they mean, or a denied `true` could be sent as text. (Vault compares types too, and
//! lets that through.)

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::fields::parse_bool;

/// One value, or for texts a family of them: a `*` at either end stands for any text.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected(Value);

impl Expected {
    /// Takes the value that a policy gives.
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// Whether `sent` is this value; `None` is null.
    pub fn is(&self, sent: Option<&Value>) -> bool {
        let sent = sent.unwrap_or(&Value::Null);
        match (&self.0, sent) {
            (Value::String(glob), _) if glob == "*" => true,
            (Value::String(glob), _) => text(sent).is_some_and(|sent| glob_matches(glob, &sent)),
            (Value::Bool(flag), _) => text(sent).and_then(|sent| parse_bool(&sent)) == Some(*flag),
            (Value::Number(number), _) => {
                text(sent).is_some_and(|sent| same_number(&number.to_string(), &sent))
            }
            (value, sent) => value == sent,
        }
    }

    /// Whether `sent` is this value, or a list that holds it.
    pub fn occurs_in(&self, sent: Option<&Value>) -> bool {
        let in_list = match sent {
            Some(Value::Array(items)) => items.iter().any(|item| self.is(Some(item))),
            _ => false,
        };
        in_list || self.is(sent)
    }
}

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What a scalar is as text, which is also how the parameters are read.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn glob_matches(glob: &str, text: &str) -> bool {
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(rest), Some(_)) => text.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == glob,
    }
}

fn same_number(one: &str, other: &str) -> bool {
    let other = other.trim();
    match (one.parse::<i64>(), other.parse::<i64>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is(expected: Value, sent: Value) -> bool {
        Expected::new(expected).is(Some(&sent))
    }

    #[test]
    fn texts_may_have_a_star_at_either_end() {
        assert!(is(json!("foo*"), json!("foobar")));
        assert!(is(json!("*bar"), json!("foobar")));
        assert!(is(json!("*oba*"), json!("foobar")));
        assert!(!is(json!("f*r"), json!("foobar")), "only at the ends");
        assert!(!is(json!("foo"), json!("foobar")));
        assert!(is(json!("*"), json!({"any": "thing"})));
        assert!(Expected::new(json!("*")).is(None));
        assert!(!is(json!("**x"), json!("x")));
    }

    #[test]
    fn scalars_are_compared_by_meaning() {
        for sent in [json!(true), json!("true"), json!("T"), json!("1"), json!(1)] {
            assert!(is(json!(true), sent.clone()), "{sent}");
            assert!(!is(json!(false), sent), "false");
        }
        for sent in [json!(5), json!("5"), json!(5.0), json!("5.0"), json!(" 5")] {
            assert!(is(json!(5), sent.clone()), "{sent}");
        }
        assert!(!is(json!(5), json!("5x")));
        assert!(!is(json!(9007199254740993i64), json!(9007199254740992i64)));
        assert!(is(json!("5"), json!(5)));
        assert!(is(json!("true"), json!(true)));
    }

    #[test]
    fn lists_and_objects_are_compared_whole_or_searched() {
        assert!(is(json!(["a", "b"]), json!(["a", "b"])));
        assert!(!is(json!("a"), json!(["a", "b"])));
        assert!(Expected::new(json!("a")).occurs_in(Some(&json!(["a", "b"]))));
        assert!(!Expected::new(json!("c")).occurs_in(Some(&json!(["a", "b"]))));
        assert!(is(json!({"k": [1]}), json!({"k": [1]})));
    }
}
