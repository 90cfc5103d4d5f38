//! Looking into the data of a secret: merge patches (RFC 7396) and skeletons. Values are never parsed, copied or changed:
//! they are pieces of the text they came in, so that numbers keep their digits and nothing is left behind in memory.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::Error;

/// How deep patches and skeletons go. Each level is read once more for each level above it, so a hostile secret of the
/// largest size costs this many passes over it.
const MAX_LEVELS: u64 = 32;

/// Applies a merge patch to the data of a secret and returns the new text.
///
/// # Errors
/// [`Error::Invalid`] when the patch is nested too deeply, [`Error::Corrupt`] when the data is no JSON.
pub(super) fn merge_patch(data: &[u8], patch: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let changes: &RawValue = serde_json::from_str(patch)
        .map_err(|_| Error::Bug("a parameter that is no JSON".into()))?;
    let merged = merge(Some(parse(data)?), changes, MAX_LEVELS)?;
    // Long enough from the start: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(data.len() + patch.len()));
    serde_json::to_writer(&mut *text, &merged)
        .map_err(|_| Error::Bug("a secret could not be encoded".into()))?;
    Ok(text)
}

/// The objects of a secret's data with `null` for all that is no object, for empty objects, and for what is `depth`
/// levels deep; zero is no limit.
///
/// # Errors
/// [`Error::Invalid`] when it is nested too deeply for that, [`Error::Corrupt`] when the data is no JSON.
pub(super) fn skeleton(data: &[u8], depth: u64) -> Result<Value, Error> {
    match members(parse(data)?) {
        Some(members) => bones(&members, 1, depth),
        None => Ok(Value::Null),
    }
}

/// A piece of data: as it came, or an object that was merged.
enum Piece<'t> {
    Text(&'t RawValue),
    Object(BTreeMap<String, Piece<'t>>),
}

impl Serialize for Piece<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Object(members) => members.serialize(serializer),
        }
    }
}

fn merge<'t>(
    target: Option<&'t RawValue>,
    patch: &'t RawValue,
    levels_left: u64,
) -> Result<Piece<'t>, Error> {
    let Some(changes) = members(patch) else {
        return Ok(Piece::Text(patch));
    };
    let levels_left = levels_left.checked_sub(1).ok_or_else(|| {
        Error::invalid(
            "data",
            format!("a patch can be nested at most {MAX_LEVELS} levels deep"),
        )
    })?;
    let mut old = target.and_then(members).unwrap_or_default();
    let mut new = BTreeMap::new();
    for (name, change) in changes {
        let before = old.remove(&name);
        if change.get() != "null" {
            new.insert(name, merge(before, change, levels_left)?);
        }
    }
    new.extend(
        old.into_iter()
            .map(|(name, text)| (name, Piece::Text(text))),
    );
    Ok(Piece::Object(new))
}

fn bones(
    members_here: &BTreeMap<String, &RawValue>,
    level: u64,
    depth: u64,
) -> Result<Value, Error> {
    if level > MAX_LEVELS {
        return Err(Error::invalid(
            "depth",
            format!(
                "the data is nested more than {MAX_LEVELS} levels deep: ask for fewer with 'depth'"
            ),
        ));
    }
    let mut bones_here = Map::new();
    for (name, text) in members_here {
        let below = match members(text) {
            Some(below) if level != depth && !below.is_empty() => bones(&below, level + 1, depth)?,
            _ => Value::Null,
        };
        bones_here.insert(name.clone(), below);
    }
    Ok(Value::Object(bones_here))
}

/// The members of an object; `None` for all that is none.
fn members(text: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    let text = text.get();
    text.starts_with('{')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

fn parse(data: &[u8]) -> Result<&RawValue, Error> {
    serde_json::from_slice(data)
        .map_err(|_| Error::Corrupt("a version of a secret is no JSON".into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn merged(target: &str, patch: &str) -> String {
        let text = merge_patch(target.as_bytes(), patch).unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    }

    /// The examples of RFC 7396, appendix A, whose patch is an object.
    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (
                r#"{}"#,
                r#"{"a":{"bb":{"ccc":null}}}"#,
                r#"{"a":{"bb":{}}}"#,
            ),
            (r#"null"#, r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(merged(target, patch), result, "{target} + {patch}");
        }
    }

    #[test]
    fn values_keep_their_text() {
        let target =
            r#"{"a":9007199254740993,"b":1.0,"c":1E400,"d":{"e":-0.10,"f":"\u00e9"},"g":[ 1 ]}"#;
        let patch = r#"{"d":{"x":123456789012345678901234567890.50},"y":{"z":1E1}}"#;
        assert_eq!(
            merged(target, patch),
            r#"{"a":9007199254740993,"b":1.0,"c":1E400,"d":{"e":-0.10,"f":"\u00e9","x":123456789012345678901234567890.50},"g":[ 1 ],"y":{"z":1E1}}"#
        );
    }

    #[test]
    fn a_skeleton_holds_no_value() {
        let bones = |text: &str, depth| skeleton(text.as_bytes(), depth).unwrap();
        let text = r#"{"a":{"b":{"c":1},"d":{ }},"e":[{"f":1}],"g":"x","h":12.5}"#;
        assert_eq!(
            bones(text, 0),
            json!({"a":{"b":{"c":null},"d":null},"e":null,"g":null,"h":null})
        );
        assert_eq!(bones(text, 1), json!({"a":null,"e":null,"g":null,"h":null}));
        assert_eq!(
            bones(text, 2),
            json!({"a":{"b":null,"d":null},"e":null,"g":null,"h":null})
        );
        assert_eq!(bones("{}", 0), json!({}));
        assert_eq!(bones("null", 0), json!(null));
    }

    /// An object this many levels deep.
    fn nested(levels: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn what_is_too_deep_is_refused_and_not_a_crash() {
        let (fits, deep) = (nested(32), nested(100_000));
        assert!(merge_patch(deep.as_bytes(), &fits).is_ok());
        assert!(merge_patch(fits.as_bytes(), &nested(33)).is_err());
        assert!(merge_patch(fits.as_bytes(), &deep).is_err());
        assert!(skeleton(fits.as_bytes(), 0).is_ok());
        assert!(skeleton(deep.as_bytes(), 0).is_err());
        assert!(skeleton(deep.as_bytes(), 32).is_ok());
    }

    /// Objects, texts, numbers and `null`, three levels deep.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-c\"\u{1}é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
        })
    }

    /// The RFC's own pseudo-code, on parsed values.
    fn by_the_rfc(mut target: Value, patch: &Value) -> Value {
        let Value::Object(changes) = patch else {
            return patch.clone();
        };
        if !target.is_object() {
            target = json!({});
        }
        let members = target.as_object_mut().unwrap();
        for (name, change) in changes {
            let before = members.remove(name).unwrap_or_default();
            if !change.is_null() {
                members.insert(name.clone(), by_the_rfc(before, change));
            }
        }
        target
    }

    proptest! {
        #[test]
        fn merging_does_what_the_rfc_says(target in json(), patch in json()) {
            let text = merged(&target.to_string(), &patch.to_string());
            prop_assert!(text.len() <= target.to_string().len() + patch.to_string().len());
            let result: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(result, by_the_rfc(target, &patch));
        }
    }
}
