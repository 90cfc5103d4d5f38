//! Reads a policy written in JSON. Syntax only; `null` members count as absent, as generators write them for settings
//! that are not set. A key given twice is refused, because readers disagree on which one counts.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::document::{Budget, Item, Value};

/// The members of the document's root object.
///
/// # Errors
/// A sentence for the user, with line and column where the syntax is wrong.
pub fn parse(text: &str) -> Result<Vec<Item>, String> {
    let root: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value(root, &mut Budget::default())? {
        Value::Object(items) => Ok(items),
        _ => Err("does not contain a root object".to_owned()),
    }
}

fn value(raw: &RawValue, budget: &mut Budget) -> Result<Value, String> {
    budget.value()?;
    match raw.get().bytes().next() {
        Some(b'{') => object(raw, budget).map(Value::Object),
        Some(b'[') => list(raw, budget).map(Value::List),
        Some(b'"') => decoded(raw).map(Value::Text),
        Some(b't' | b'f') => decoded(raw).map(Value::Bool),
        Some(b'n') => Err("null cannot stand in a list".to_owned()),
        _ => number(raw.get()),
    }
}

fn object(raw: &RawValue, budget: &mut Budget) -> Result<Vec<Item>, String> {
    budget.enter()?;
    let members: Members<'_> = decoded(raw)?;
    let mut keys = BTreeSet::new();
    let mut items = Vec::with_capacity(members.0.len());
    for (key, member) in members.0 {
        if !keys.insert(key.clone()) {
            return Err(format!("the key {key:?} is given twice"));
        }
        if member.get() == "null" {
            continue;
        }
        items.push(Item {
            keys: vec![key],
            position: None,
            value: value(member, budget)?,
        });
    }
    budget.leave();
    Ok(items)
}

fn list(raw: &RawValue, budget: &mut Budget) -> Result<Vec<Value>, String> {
    budget.enter()?;
    let elements: Vec<&RawValue> = decoded(raw)?;
    let values = elements
        .into_iter()
        .map(|element| value(element, budget))
        .collect::<Result<_, _>>()?;
    budget.leave();
    Ok(values)
}

fn number(text: &str) -> Result<Value, String> {
    if let Ok(number) = text.parse() {
        return Ok(Value::Integer(number));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(format!("the number {text} is out of range")),
    }
}

fn decoded<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| error.to_string())
}

/// An object's members in the order in which they were written, none dropped.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_becomes_the_tree_it_shows() {
        let items = parse(r#"{"path":{"a":{"n":[1,-2.5,"x",true],"gone":null}}}"#).unwrap();
        let [path] = items.as_slice() else {
            panic!("one member, got {items:?}");
        };
        assert_eq!(path.key(), "path");
        let Value::Object(paths) = &path.value else {
            panic!("an object");
        };
        let Value::Object(rule) = &paths[0].value else {
            panic!("an object");
        };
        assert_eq!(rule.len(), 1, "null counts as absent");
        assert_eq!(
            rule[0].value,
            Value::List(vec![
                Value::Integer(1),
                Value::Float(-2.5),
                Value::Text("x".into()),
                Value::Bool(true)
            ])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("{\n \"path\": }", "line 2 column 10"),
            (r#"{"a":1,"a":2}"#, r#"the key "a" is given twice"#),
            ("[]", "does not contain a root object"),
            (r#"{"a":[null]}"#, "null cannot stand in a list"),
            (r#"{"a":1e999}"#, "out of range"),
            (r#"{"a":1} x"#, "line 1 column 9"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn deep_and_wide_documents_are_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
        assert!(parse(&deep).unwrap_err().contains("deep"));
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(70_000));
        assert!(parse(&wide).unwrap_err().contains("values"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}\\[\\]\":,a0-9. \\\\ntrue-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
