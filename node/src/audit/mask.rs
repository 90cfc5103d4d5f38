//! Values out, hashes in: copies JSON with each text replaced by its hash. Names of members, numbers, booleans and null
//! stay, as in Vault.
//!
//! It walks over the text and builds no tree, so it needs no stack for deep nesting and no memory but its output, which
//! is bounded.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::salt::Salt;

/// The longest masked JSON, in bytes. A batch of 10 000 ciphertexts fits; a short text takes more room as hash than as
/// itself, so without a bound a large body would become a line of hundreds of megabytes.
pub const MAX_MASKED_BYTES: usize = 4 * 1024 * 1024;

/// The longest JSON whose texts are looked for in an error message. A mistake in a longer one is told as a hash.
const MAX_SEARCHED_BYTES: usize = 1024 * 1024;

/// The longest message that is searched, and how many texts it may quote; beyond, it is told as a hash.
const MAX_MESSAGE_BYTES: usize = 2048;
const MAX_QUOTED: usize = 64;

/// Which texts are replaced.
#[derive(Clone, Copy)]
pub enum Hidden<'a> {
    /// All.
    All,
    /// Those that are the values of these members, on whatever level.
    Of(&'a [&'a str]),
}

/// Appends `json`, which must be well-formed, with the texts that `hidden` says replaced by their hashes. What would get
/// too long is replaced as a whole, by an object that holds its length and its hash.
pub fn append_masked(json: &str, hidden: Hidden<'_>, salt: &Salt, text: &mut String) {
    append_masked_within(MAX_MASKED_BYTES, json, hidden, salt, text);
}

/// The same with another bound than [`MAX_MASKED_BYTES`].
pub fn append_masked_within(
    most_bytes: usize,
    json: &str,
    hidden: Hidden<'_>,
    salt: &Salt,
    text: &mut String,
) {
    let begin = text.len();
    if mask(most_bytes, json, hidden, salt, text).is_none() {
        text.truncate(begin);
        text.push_str("{\"conclave_omitted_bytes\":");
        text.push_str(&json.len().to_string());
        text.push_str(",\"conclave_omitted\":\"");
        salt.append_hash(json.as_bytes(), text);
        text.push_str("\"}");
    }
}

/// `message` with each text that it quotes from `json` replaced by its hash. What is shorter than four bytes stays. Only
/// the message itself is searched, never what was put in, so nobody makes it grow by naming what hashes are made of.
pub fn without_values(message: &str, json: &str, salt: &Salt) -> String {
    if json.len() > MAX_SEARCHED_BYTES || message.len() > MAX_MESSAGE_BYTES {
        return salt.hash(message);
    }
    let mut is_quoted = vec![false; message.len()];
    let mut quoted = BTreeSet::new();
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        let (_, from_quote) = rest.split_at(quote);
        let (literal, after) = from_quote.split_at(literal_bytes(from_quote));
        rest = after;
        let value = decoded(literal);
        let is_name = after.trim_start().starts_with(':');
        if is_name || value.len() < 4 || quoted.contains(&*value) || !message.contains(&*value) {
            continue;
        }
        cover(message, &value, &mut is_quoted);
        quoted.insert(value.into_owned());
        if quoted.len() > MAX_QUOTED {
            return salt.hash(message);
        }
    }
    hash_covered(message, &is_quoted, salt)
}

/// Marks the bytes of each place where `value` stands in `message`.
fn cover(message: &str, value: &str, is_quoted: &mut [bool]) {
    for (at, _) in message.char_indices() {
        if message
            .get(at..)
            .is_some_and(|rest| rest.starts_with(value))
            && let Some(bytes) = is_quoted.get_mut(at..at + value.len())
        {
            bytes.fill(true);
        }
    }
}

/// `message` with each run of marked bytes replaced by its hash. Marks begin and end between characters.
fn hash_covered(message: &str, is_quoted: &[bool], salt: &Salt) -> String {
    let mut text = String::with_capacity(message.len());
    let mut run = String::new();
    for (letter, is_quoted) in message
        .char_indices()
        .map(|(at, letter)| (letter, is_quoted.get(at) == Some(&true)))
    {
        if is_quoted {
            run.push(letter);
            continue;
        }
        if !run.is_empty() {
            salt.append_hash(run.as_bytes(), &mut text);
            run.clear();
        }
        text.push(letter);
    }
    if !run.is_empty() {
        salt.append_hash(run.as_bytes(), &mut text);
    }
    text
}

/// `None` when it gets too long.
fn mask(
    most_bytes: usize,
    json: &str,
    hidden: Hidden<'_>,
    salt: &Salt,
    text: &mut String,
) -> Option<()> {
    let most = text.len() + most_bytes;
    let mut rest = json;
    let mut hide = matches!(hidden, Hidden::All);
    while let Some(quote) = rest.find('"') {
        let (between, from_quote) = rest.split_at(quote);
        append_compact(between, text);
        let (literal, after) = from_quote.split_at(literal_bytes(from_quote));
        let is_name = after.trim_start().starts_with(':');
        if is_name && let Hidden::Of(names) = hidden {
            hide = names.contains(&literal.trim_matches('"'));
        }
        if hide && !is_name {
            text.push('"');
            salt.append_hash(decoded(literal).as_bytes(), text);
            text.push('"');
        } else {
            text.push_str(literal);
        }
        if text.len() > most {
            return None;
        }
        rest = after;
    }
    append_compact(rest, text);
    (text.len() <= most).then_some(())
}

/// How long the string literal is that `text` begins with, both quotes included.
fn literal_bytes(text: &str) -> usize {
    let mut bytes = 1;
    while let Some(found) = text.get(bytes..).and_then(|rest| rest.find(['"', '\\'])) {
        bytes += found + 1;
        if text.as_bytes().get(bytes - 1) == Some(&b'"') {
            return bytes;
        }
        // What is escaped is one byte, or `u` and digits, among which is no quote.
        bytes += 1;
    }
    text.len()
}

/// The text that a literal stands for. Halves of surrogate pairs, which JSON allows and text does not, stand as written.
fn decoded(literal: &str) -> Cow<'_, str> {
    if !literal.contains('\\') {
        return Cow::Borrowed(literal.trim_matches('"'));
    }
    serde_json::from_str::<String>(literal).map_or(Cow::Borrowed(literal), Cow::Owned)
}

/// Appends what stands between strings without its spaces, so that an entry stays on one line.
fn append_compact(between: &str, text: &mut String) {
    text.extend(between.split_ascii_whitespace().flat_map(str::chars));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::rng::OsRandom;

    fn masked(json: &str, hidden: Hidden<'_>, salt: &Salt) -> String {
        let mut text = String::new();
        append_masked(json, hidden, salt, &mut text);
        text
    }

    fn salt() -> Salt {
        Salt::random(&OsRandom).unwrap()
    }

    #[test]
    fn texts_are_hashed_and_nothing_else() {
        let salt = salt();
        let json = "{ \"a\" : \"x\", \"n\": [1.50, true, null, \"\", \"q\\\"\\\\\"],\n \"o\": {\"b: \": \"\\u0041\"}, \"e\": {} }";
        let expected = format!(
            "{{\"a\":\"{}\",\"n\":[1.50,true,null,\"{}\",\"{}\"],\"o\":{{\"b: \":\"{}\"}},\"e\":{{}}}}",
            salt.hash("x"),
            salt.hash(""),
            salt.hash("q\"\\"),
            salt.hash("A"),
        );
        assert_eq!(masked(json, Hidden::All, &salt), expected);
    }

    #[test]
    fn only_the_members_named_are_hashed() {
        let salt = salt();
        let json = r#"{"client_token":"t","policies":["p"],"accessor":"a"}"#;
        let masked = masked(json, Hidden::Of(&["client_token", "accessor"]), &salt);
        let masked: Value = serde_json::from_str(&masked).unwrap();
        assert_eq!(
            masked,
            json!({"client_token": salt.hash("t"), "policies": ["p"], "accessor": salt.hash("a")})
        );
    }

    #[test]
    fn what_is_too_long_is_one_hash() {
        let salt = salt();
        let json = format!("[{}\"\"]", "\"\",".repeat(MAX_MASKED_BYTES / 70));
        let masked: Value = serde_json::from_str(&masked(&json, Hidden::All, &salt)).unwrap();
        assert_eq!(masked["conclave_omitted_bytes"], json.len());
        assert_eq!(masked["conclave_omitted"], salt.hash(&json));
    }

    #[test]
    fn messages_quote_no_values() {
        let salt = salt();
        let json = r#"{"algorithm":"hunter\"2","data":"no","unsupported":1}"#;
        let message = "unsupported algorithm hunter\"2, no";
        assert_eq!(
            without_values(message, json, &salt),
            format!("unsupported algorithm {}, no", salt.hash("hunter\"2"))
        );
        let long = format!("[{}]", " ".repeat(MAX_SEARCHED_BYTES));
        assert_eq!(without_values("a", &long, &salt), salt.hash("a"));
    }

    #[test]
    fn what_hashes_are_made_of_makes_no_message_grow() {
        let salt = salt();
        let values = format!(
            "[\"perm\",{}\"x\"]",
            "\"hmac\",\"sha2\",\"-sha\",".repeat(1000)
        );
        assert_eq!(
            without_values("permission denied", &values, &salt),
            format!("{}ission denied", salt.hash("perm"))
        );
        // Values that overlap are one.
        let values = r#"["abcd","cdef"]"#;
        assert_eq!(without_values("abcdef", values, &salt), salt.hash("abcdef"));
        // So many quotes are no message that somebody reads.
        let message: String = (0..100).map(|number| format!("value{number} ")).collect();
        let values: Vec<String> = (0..100).map(|number| format!("value{number}")).collect();
        let values = serde_json::to_string(&values).unwrap();
        assert_eq!(
            without_values(&message, &values, &salt),
            salt.hash(&message)
        );
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(masked(&deep, Hidden::All, &salt()), deep);
    }

    /// The same by way of a tree.
    fn by_tree(value: Value, salt: &Salt) -> Value {
        match value {
            Value::String(text) => salt.hash(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| by_tree(item, salt)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name, by_tree(value, salt)))
                .collect(),
            other => other,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_masked_as_its_tree_is(value in any_json(), pretty in any::<bool>()) {
            let salt = salt();
            let json = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let masked = masked(&json, Hidden::All, &salt);
            prop_assert!(!masked.contains('\n'));
            let masked: Value = serde_json::from_str(&masked).unwrap();
            prop_assert_eq!(masked, by_tree(value, &salt));
        }
    }
}
